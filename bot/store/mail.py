"""Inbox and outbox rows: what came in and is not answered yet, what is to be delivered and is not yet."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from bot.sessions import session_from_json, session_to_json
from bot.store import aware
from bot.store import tables as t
from bot.store.database import writing
from bot.turns import Aside, Reply, reply_from_json, reply_to_json

SCAN = 500  # chats looked at in one go
STANDING, NOTE_PART = "standing", -1  # a note in a chat, which its answer replaces: a row of the outbox that is never sent


@dataclass(frozen=True, slots=True)
class Letter:
    """Something that came in. `ordinal` gives the order within a chat; `raw` is the platform's JSON, kept until answered."""

    id: str
    ordinal: int
    chat: str
    person: str
    raw: str
    received: datetime
    attempts: int = 0


@dataclass(frozen=True, slots=True)
class Post:
    """A reply on its way. `sent` messages of it are delivered; `attempts` counts failed tries."""

    id: int
    incoming: str
    part: int
    chat: str
    person: str
    reply: Reply
    sent: int
    attempts: int
    not_before: datetime | None
    messages: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Note:
    """A message that says what is being worked on, for a letter: edited, and taken away when the answer is there."""

    letter: str
    chat: str
    message: str


@dataclass(frozen=True, slots=True)
class Pending:
    """What waits in a chat. `more`: further letters wait behind `letter`."""

    posts: Sequence[Post]
    letter: Letter | None
    more: bool


def _letter(row: Any) -> Letter:
    return Letter(row.id, row.ordinal, row.chat, row.person, row.raw, aware(row.received), row.attempts)


NOTHING = reply_to_json(Reply(()))

# Built once: these are asked several times in every turn.
_CHAT: sa.BindParameter[str] = sa.bindparam("chat")
_WAITING_POSTS = sa.select(t.outbox).where(t.outbox.c.chat == _CHAT, t.outbox.c.state == "waiting").order_by(t.outbox.c.id).limit(50)
_NEW_LETTERS = sa.select(t.inbox).where(t.inbox.c.chat == _CHAT, t.inbox.c.state == "new").order_by(t.inbox.c.ordinal).limit(2)


def _post(row: Any) -> Post:
    return Post(
        row.id, row.incoming, row.part, row.chat, row.person, reply_from_json(row.reply), row.sent_parts,
        row.attempts, aware(row.not_before) if row.not_before else None, tuple((row.message or "").split()),
    )  # fmt: skip


def _without_twins(chat: str, to: str) -> sa.Delete:
    """Posts of `chat` that stand in `to` as well: they need not be moved, and must not be sent twice."""
    twin = t.outbox.alias()
    same = sa.exists().where(twin.c.chat == to, twin.c.incoming == t.outbox.c.incoming, twin.c.part == t.outbox.c.part)
    return t.outbox.delete().where(t.outbox.c.chat == chat, same)


class Mail:
    """The rows of inbox and outbox in SQLite or PostgreSQL. `prefix`: the chats that are ours (`tg:`)."""

    def __init__(self, engine: AsyncEngine, prefix: str) -> None:
        self.engine, self.prefix = engine, prefix
        self.reader = engine.execution_options(reads="latest")
        self.shared = engine.dialect.name != "sqlite"  # SQLite has one owner by lock: no leases needed
        self._insert = postgresql.insert if self.shared else sqlite.insert

    async def receive(self, letters: Sequence[Letter]) -> set[str]:
        """Write what came in, once: a letter that is here already stays as it is. One transaction.

        Returns the ids of those that were new. Their first try is counted here, before it is made.
        """
        if not letters:
            return set()
        rows = [
            {"id": x.id, "ordinal": x.ordinal, "chat": x.chat, "person": x.person, "raw": x.raw, "received": x.received, "state": "new", "attempts": 1}
            for x in letters
        ]
        async with writing(self.engine) as connection:
            written = self._insert(t.inbox).values(rows).on_conflict_do_nothing().returning(t.inbox.c.id)
            return set(await connection.scalars(written))

    async def waiting(self, now: datetime) -> list[str]:
        """Chats with something to answer (longest waiting first) or to deliver."""
        ours = t.inbox.c.chat.startswith(self.prefix, autoescape=True)
        unanswered = sa.select(t.inbox.c.chat).where(t.inbox.c.state == "new", ours)
        unanswered = unanswered.group_by(t.inbox.c.chat).order_by(sa.func.min(t.inbox.c.ordinal)).limit(SCAN)
        due = sa.or_(t.outbox.c.not_before.is_(None), t.outbox.c.not_before <= now)
        ours = t.outbox.c.chat.startswith(self.prefix, autoescape=True)
        unsent = sa.select(t.outbox.c.chat).where(t.outbox.c.state == "waiting", due, ours).distinct().limit(SCAN)
        async with self.reader.connect() as connection:
            chats = [*(await connection.scalars(unsent)), *(await connection.scalars(unanswered))]
        return list(dict.fromkeys(chats))

    async def backlog(self) -> tuple[int, int]:
        """How many letters are unanswered, how many posts undelivered."""
        counts = [
            sa.select(sa.func.count()).select_from(t.inbox).where(t.inbox.c.state == "new"),
            sa.select(sa.func.count()).select_from(t.outbox).where(t.outbox.c.state == "waiting", t.outbox.c.chat.startswith(self.prefix, autoescape=True)),
        ]  # fmt: skip
        async with self.reader.connect() as connection:
            left, right = [int(await connection.scalar(query) or 0) for query in counts]
        return left, right

    async def waits(self, now: datetime) -> dict[str, float]:
        """How much waits, and how long (seconds) the oldest has: names as in `vitals.GAUGES`."""
        ours = t.outbox.c.chat.startswith(self.prefix, autoescape=True)
        unanswered = sa.select(sa.func.count(), sa.func.min(t.inbox.c.received)).where(t.inbox.c.state == "new")
        unsent = sa.select(sa.func.count(), sa.func.min(t.outbox.c.at)).where(t.outbox.c.state == "waiting", ours)
        found: dict[str, float] = {}
        async with self.reader.connect() as connection:
            for query, length, age in ((unanswered, "coach_inbox_waiting", "coach_inbox_age_seconds"), (unsent, "coach_outbox_waiting", "coach_outbox_lag_seconds")):
                count, oldest = (await connection.execute(query)).one()
                found |= {length: count, age: (now - aware(oldest)).total_seconds() if oldest else 0.0}
        return found

    async def pending(self, chat: str) -> Pending:
        """What is to be done in a chat: posts to deliver, the oldest unanswered letter, whether more wait behind it."""
        async with self.reader.connect() as connection:
            letters = [_letter(row) for row in await connection.execute(_NEW_LETTERS, {"chat": chat})]
            posts = [_post(row) for row in await connection.execute(_WAITING_POSTS, {"chat": chat})]
        return Pending(posts, letters[0] if letters else None, len(letters) > 1)

    async def tried(self, letter: Letter, now: datetime) -> Letter:
        """Count a try before it is made, so that a crash counts too."""
        counted = t.inbox.update().where(t.inbox.c.id == letter.id).values(attempts=letter.attempts + 1, claimed=now)
        async with writing(self.engine) as connection:
            await connection.execute(counted)
        return replace(letter, attempts=letter.attempts + 1)

    async def settle(self, letter: str, posts: Sequence[Aside], at: datetime, *, error: str | None = None) -> None:
        """Close a letter without a turn (or park it with an error), and post what is to be said about it."""
        state = "parked" if error else "done"
        values = {"state": state, "error": error} | ({} if error else {"raw": ""})
        async with writing(self.engine) as connection:
            open_still = sa.and_(t.inbox.c.id == letter, t.inbox.c.state == "new")
            done = await connection.execute(t.inbox.update().where(open_still).values(**values))
            if done.rowcount:
                await self._post(connection, letter, posts, at)

    async def _post(self, connection: AsyncConnection, letter: str, posts: Sequence[Aside], at: datetime) -> None:
        for part, item in enumerate(posts):
            row = {
                "incoming": item.key or letter, "part": part, "chat": item.chat, "reply": reply_to_json(item.reply), "at": at,
                "state": "waiting",
            }  # fmt: skip
            await connection.execute(self._insert(t.outbox).values(row).on_conflict_do_nothing())

    async def posts(self, chat: str) -> list[Post]:
        """What is to be delivered in a chat, in order, whether it is due or not."""
        async with self.reader.connect() as connection:
            return [_post(row) for row in await connection.execute(_WAITING_POSTS, {"chat": chat})]

    async def delivered(self, post: Post, messages: Sequence[str], *, all_sent: bool, poll: str | None = None, token: str = "", at: datetime) -> None:
        """Note the messages delivered so far; a poll's id is noted with them."""
        values = {"sent_parts": len(messages), "message": " ".join(messages), "state": "sent" if all_sent else "waiting"}
        async with writing(self.engine) as connection:
            await connection.execute(t.outbox.update().where(t.outbox.c.id == post.id).values(**values))
            if poll:
                row = {"id": poll, "token": token, "chat": post.chat, "person": post.person, "at": at}
                await connection.execute(self._insert(t.polls).values(row).on_conflict_do_nothing())

    async def postpone(self, post: Post, until: datetime, error: str) -> None:
        values = {"attempts": post.attempts + 1, "not_before": until, "error": error[:500]}
        async with writing(self.engine) as connection:
            await connection.execute(t.outbox.update().where(t.outbox.c.id == post.id).values(**values))

    async def give_up(self, post: Post, error: str) -> None:
        """A post that can never be delivered."""
        async with writing(self.engine) as connection:
            await connection.execute(t.outbox.update().where(t.outbox.c.id == post.id).values(state="dead", error=error[:500]))

    async def unreachable(self, chat: str, error: str) -> None:
        """The person blocked us or is gone: mark them, and stop sending to the chat."""
        async with writing(self.engine) as connection:
            waiting = sa.and_(t.outbox.c.chat == chat, t.outbox.c.state == "waiting")
            await connection.execute(t.outbox.update().where(waiting).values(state="dead", error=error[:500]))
            await connection.execute(t.persons.update().where(t.persons.c.chat == chat).values(blocked=True))

    async def reachable(self, chat: str) -> None:
        async with writing(self.engine) as connection:
            await connection.execute(t.persons.update().where(t.persons.c.chat == chat, t.persons.c.blocked).values(blocked=False))

    async def poll(self, poll: str) -> tuple[str, str, str] | None:
        """(token, chat, person) of a quiz question by the platform's poll id."""
        query = sa.select(t.polls.c.token, t.polls.c.chat, t.polls.c.person).where(t.polls.c.id == poll)
        async with self.reader.connect() as connection:
            row = (await connection.execute(query)).first()
        return (row.token, row.chat, row.person) if row else None

    async def offered(self, chat: str, limit: int = 40) -> list[Reply]:
        """The latest replies in a chat, newest first (to find again what a shortened button meant)."""
        query = sa.select(t.outbox.c.reply).where(t.outbox.c.chat == chat).order_by(t.outbox.c.id.desc()).limit(limit)
        async with self.reader.connect() as connection:
            return [reply_from_json(text) for text in await connection.scalars(query)]

    # -- notes that stand in a chat while an answer is being worked on ---------------------------------

    async def stands(self, note: Note, at: datetime) -> None:
        """Remember a note that was sent, so that whoever goes on after a crash can take it away."""
        row = {
            "incoming": note.letter, "part": NOTE_PART, "chat": note.chat, "reply": NOTHING, "at": at, "state": STANDING,
            "message": note.message,
        }  # fmt: skip
        async with writing(self.engine) as connection:
            await connection.execute(self._insert(t.outbox).values(row).on_conflict_do_nothing())

    async def note(self, letter: str, chat: str) -> Note | None:
        """The note that an earlier try at a letter left in a chat."""
        return next((item for item in await self._notes(t.outbox.c.incoming == letter) if item.chat == chat), None)

    async def notes_left(self) -> list[Note]:
        """Notes whose letters are not being worked on any more."""
        open_letters = sa.select(t.inbox.c.id).where(t.inbox.c.state == "new")
        return await self._notes(t.outbox.c.incoming.not_in(open_letters))

    async def _notes(self, which: sa.ColumnElement[bool]) -> list[Note]:
        ours = t.outbox.c.chat.startswith(self.prefix, autoescape=True)
        query = sa.select(t.outbox.c.incoming, t.outbox.c.chat, t.outbox.c.message).where(t.outbox.c.state == STANDING, ours, which)
        async with self.reader.connect() as connection:
            return [Note(row.incoming, row.chat, row.message) for row in await connection.execute(query)]

    async def taken_away(self, note: Note) -> None:
        this = sa.and_(t.outbox.c.incoming == note.letter, t.outbox.c.part == NOTE_PART, t.outbox.c.chat == note.chat)
        async with writing(self.engine) as connection:
            await connection.execute(t.outbox.delete().where(this))

    # -- a chat with a new id -------------------------------------------------------------------------

    async def move(self, chat: str, to: str) -> None:
        """All of a chat goes on as `to`: what waits in and out, sessions, turns, questions. Moving twice moves once."""
        async with writing(self.engine) as connection:
            await self._move_sessions(connection, chat, to)
            await connection.execute(_without_twins(chat, to))
            for table in (t.inbox, t.polls, t.turns, t.gaps):
                await connection.execute(table.update().where(table.c.chat == chat).values(chat=to))
            posts = sa.and_(t.outbox.c.chat == chat, t.outbox.c.state != STANDING)  # a note's number is good in its chat only
            await connection.execute(t.outbox.update().where(posts).values(chat=to))

    async def _move_sessions(self, connection: AsyncConnection, chat: str, to: str) -> None:
        """A session that somebody has begun in `to` already is the newer one, and stays."""
        here = t.sessions.c.chat == chat
        for row in (await connection.execute(sa.select(t.sessions).where(here))).all():
            moved = {"chat": to, "person": row.person, "version": row.version, "at": row.at}
            data = session_to_json(replace(session_from_json(row.data), chat=to))
            await connection.execute(self._insert(t.sessions).values(**moved, data=data).on_conflict_do_nothing())
        await connection.execute(t.sessions.delete().where(here))

    # -- leases: with several processes on one database, one of them works on a chat -----------------

    async def hold(self, chat: str, worker: str, span: timedelta) -> bool:
        """Take (or keep) the lease of a chat; False if another worker has it. The database's clock counts, not ours.

        After a restart of the database nobody could renew for a while: a lease lapses only when it has been up for `span`.
        """
        if not self.shared:
            return True
        now = sa.func.clock_timestamp()
        row = {"chat": chat, "worker": worker, "until": now + span}
        lapsed = sa.and_(t.leases.c.until < now, sa.func.pg_postmaster_start_time() < now - span)
        free = sa.or_(lapsed, t.leases.c.worker == worker)
        insert = postgresql.insert(t.leases).values(row)
        insert = insert.on_conflict_do_update(index_elements=["chat"], set_={"worker": worker, "until": now + span}, where=free)
        claim = insert.returning(t.leases.c.chat)
        async with writing(self.engine) as connection:
            return (await connection.execute(claim)).first() is not None

    async def renew(self, chats: Collection[str], worker: str, span: timedelta) -> None:
        if self.shared and chats:
            mine = sa.and_(t.leases.c.worker == worker, t.leases.c.chat.in_(chats))
            async with writing(self.engine) as connection:
                await connection.execute(t.leases.update().where(mine).values(until=sa.func.clock_timestamp() + span))

    async def release(self, chat: str, worker: str) -> None:
        if self.shared:
            async with writing(self.engine) as connection:
                await connection.execute(t.leases.delete().where(t.leases.c.chat == chat, t.leases.c.worker == worker))
