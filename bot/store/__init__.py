"""State that survives: one database, one transaction per turn.

`SqlStore.keep` writes a whole turn (inbox row done, session, records, outbox) or nothing. What a record means for
the database is a function in `WRITERS`, by the record's kind; each room's functions stand in a module of its own.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from bot.people import Person, Role
from bot.sessions import Session, session_from_json, session_to_json
from bot.store import desk, people, usage
from bot.store import tables as t
from bot.store.database import writing
from bot.store.learning import LEARNING_WRITERS
from bot.store.rehearsals import REHEARSAL_WRITERS
from bot.turns import Aside, Incoming, Record, Reply, reply_to_json

Writer = Callable[[AsyncConnection, Incoming, Mapping[str, Any]], Awaitable[None]]


async def _write_gap(connection: AsyncConnection, incoming: Incoming, data: Mapping[str, Any]) -> None:
    await connection.execute(
        t.gaps.insert().values(
            person=incoming.person, chat=incoming.chat, at=incoming.at, text=data["text"], language=data["language"],
            reason=data["reason"], topics=data.get("topics", []),
        )
    )  # fmt: skip


async def _write_feedback(connection: AsyncConnection, incoming: Incoming, data: Mapping[str, Any]) -> None:
    """One vote per person and turn: voting again changes it."""
    mine = sa.and_(t.feedback.c.person == incoming.person, t.feedback.c.incoming == data["incoming"])
    await connection.execute(t.feedback.delete().where(mine))
    await connection.execute(
        t.feedback.insert().values(
            person=incoming.person, incoming=data["incoming"], at=incoming.at, vote=data["vote"],
            reason=data.get("reason", ""),
        )
    )  # fmt: skip


async def _write_audit(connection: AsyncConnection, incoming: Incoming, data: Mapping[str, Any]) -> None:
    await connection.execute(
        t.audit.insert().values(
            at=incoming.at, person=incoming.person, what=data["what"], details=data.get("details", {})
        )
    )


async def _write_person(connection: AsyncConnection, incoming: Incoming, data: Mapping[str, Any]) -> None:
    """Change fields of the speaking person (language, zone, options)."""
    await connection.execute(t.persons.update().where(t.persons.c.id == incoming.person).values(**data))


# kind of record → what it does to the database, inside the turn's transaction
WRITERS: dict[str, Writer] = {
    "gap": _write_gap,
    "feedback": _write_feedback,
    "audit": _write_audit,
    "person": _write_person,
    **LEARNING_WRITERS,
    **REHEARSAL_WRITERS,
    "invitation": people.write_invitation,
    "uninvite": people.write_uninvite,
    "join": people.write_join,
    "roles": people.write_roles,
    "forget": people.write_forget,
    "usage": usage.write_usage,
    "gap-withheld": desk.write_gap_withheld,
}


# built once: every turn asks these
_SESSION = sa.select(t.sessions.c.data, t.sessions.c.version).where(
    t.sessions.c.chat == sa.bindparam("chat"), t.sessions.c.person == sa.bindparam("person")
)
_PERSON = sa.select(t.persons).where(t.persons.c.id == sa.bindparam("id"))


class Overtaken(Exception):
    """Another process or an earlier try has kept this turn, or moved its session on."""


class SqlStore:
    """The store on SQLite or PostgreSQL."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine
        self.reader = engine.execution_options(reads="latest")
        self._insert = sqlite.insert if engine.dialect.name == "sqlite" else postgresql.insert

    async def session(self, chat: str, person: str) -> Session:
        async with self.reader.connect() as connection:
            row = (await connection.execute(_SESSION, {"chat": chat, "person": person})).first()
        if row is None:
            return Session(chat=chat, person=person)
        return replace(session_from_json(row.data), version=row.version)

    async def keep(
        self,
        incoming: Incoming,
        session: Session,
        reply: Reply,
        records: Sequence[Record] = (),
        asides: Sequence[Aside] = (),
        *,
        shown: str = "",
        playbook: int = 0,
    ) -> bool:
        try:
            async with writing(self.engine) as connection:
                await self._write_session(connection, incoming, session)
                await self._write_turn(connection, incoming, session, reply, shown, playbook)
                for record in records:
                    await WRITERS[record.kind](connection, incoming, record.data)
                await self._post(connection, incoming, reply, asides)
                done = t.inbox.update().where(t.inbox.c.id == incoming.id).values(state="done", raw="", error=None)
                await connection.execute(done)
        except Overtaken:
            return False
        return True

    async def _write_turn(
        self, connection: AsyncConnection, incoming: Incoming, session: Session, reply: Reply, shown: str, playbook: int
    ) -> None:
        turn = {
            "incoming": incoming.id, "chat": incoming.chat, "person": incoming.person, "at": incoming.at,
            "said": _what_was_said(incoming), "reply": shown, "activity": session.activity.kind, "action": reply.action,
            "topics": [list(pair) for pair in reply.topics], "language": reply.language, "playbook": playbook,
        }  # fmt: skip
        done = await connection.execute(self._insert(t.turns).values(turn).on_conflict_do_nothing())
        if not done.rowcount:
            raise Overtaken  # this turn was kept before

    async def _kept_before(self, connection: AsyncConnection, incoming: str) -> bool:
        query = sa.select(t.turns.c.id).where(t.turns.c.incoming == incoming)
        return (await connection.execute(query)).first() is not None

    async def _write_session(self, connection: AsyncConnection, incoming: Incoming, session: Session) -> None:
        """Raises `Overtaken` if somebody else wrote this session since it was loaded."""
        values = {"data": session_to_json(session), "version": session.version + 1, "at": incoming.at}
        if session.version:
            loaded = sa.and_(t.sessions.c.chat == session.chat, t.sessions.c.person == session.person, t.sessions.c.version == session.version)
            done = await connection.execute(t.sessions.update().where(loaded).values(**values))
        else:
            first = self._insert(t.sessions).values(chat=session.chat, person=session.person, **values)
            done = await connection.execute(first.on_conflict_do_nothing())
        if not done.rowcount:
            raise Overtaken

    async def _post(
        self, connection: AsyncConnection, incoming: Incoming, reply: Reply, asides: Sequence[Aside]
    ) -> None:
        posts = [(incoming.chat, incoming.person, incoming.id, reply)] if reply.blocks else []
        posts += [(item.chat, "", item.key or incoming.id, item.reply) for item in asides]
        for part, (chat, person, key, content) in enumerate(posts):
            ours = part if key == incoming.id else 0
            row = {
                "incoming": key, "part": ours, "chat": chat, "person": person, "reply": reply_to_json(content), "at": incoming.at,
                "state": "waiting",
            }  # fmt: skip
            await connection.execute(self._insert(t.outbox).values(row).on_conflict_do_nothing())  # an aside may be there already

    async def answered(self, incoming: str) -> bool:
        """Was this turn kept already?"""
        async with self.reader.connect() as connection:
            return await self._kept_before(connection, incoming)

    async def person(self, person_id: str) -> Person | None:
        async with self.reader.connect() as connection:
            row = (await connection.execute(_PERSON, {"id": person_id})).first()
        return _person(row._mapping) if row else None

    async def welcome(self, person: Person, at: datetime) -> None:
        """Write a person, or bring their roles, name, team and chat up to date."""
        values = {
            "name": person.name, "roles": sorted(person.roles), "team": person.team, "chat": person.chat,
            "active": person.active, "language": person.language, "zone": person.zone,
        }  # fmt: skip
        async with writing(self.engine) as connection:
            done = await connection.execute(t.persons.update().where(t.persons.c.id == person.id).values(**values))
            if not done.rowcount:
                await connection.execute(t.persons.insert().values(id=person.id, options={}, joined=at, **values))

    async def prune(self, *, history: datetime, letters: datetime) -> None:
        """Delete turns and replies older than `history`, answered or parked letters older than `letters`.

        Delivered replies to people who were forgotten go too, and closed letters lose their names.
        """
        closed = t.inbox.c.state.in_(("done", "parked"))
        sent = t.outbox.c.state.in_(("sent", "dead"))
        gone, strangers = await self._left_behind()
        async with writing(self.engine) as connection:
            await connection.execute(t.turns.delete().where(t.turns.c.at < history))
            await connection.execute(t.gaps.delete().where(t.gaps.c.at < history))
            await connection.execute(t.sessions.delete().where(t.sessions.c.at < history))
            await connection.execute(t.outbox.delete().where(sent, t.outbox.c.at < history))
            for column, values in ((t.outbox.c.person, gone), (t.outbox.c.chat, strangers)):
                for start in range(0, len(values), 500):
                    await connection.execute(t.outbox.delete().where(sent, column.in_(values[start : start + 500])))
            await connection.execute(t.inbox.delete().where(closed, t.inbox.c.received < letters))
            await connection.execute(t.inbox.update().where(t.inbox.c.state == "done", t.inbox.c.chat != "").values(chat="", person=""))
            await connection.execute(t.polls.delete().where(t.polls.c.at < history))
            await connection.execute(t.invitations.delete().where(t.invitations.c.until < history))
        if self.engine.dialect.name == "sqlite":  # the write-ahead log holds deleted words until it is written back and emptied
            async with self.reader.connect() as connection:
                await connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")

    async def _left_behind(self) -> tuple[list[str], list[str]]:
        """People and private chats in the outbox whom nobody knows any more: looked up before the lock is taken."""
        person, chat = t.outbox.c.person, t.outbox.c.chat
        gone = sa.select(person).where(person != "", person.not_in(sa.select(t.persons.c.id))).distinct()
        private = sa.and_(chat.like("tg:%"), chat.not_like("tg:-%"))
        strangers = sa.select(chat).where(private, chat.not_in(sa.select(t.persons.c.chat))).distinct()
        async with self.reader.connect() as connection:
            return list(await connection.scalars(gone)), list(await connection.scalars(strangers))

    async def rows(self, query: str | sa.Select[Any], **values: Any) -> list[Mapping[str, Any]]:
        asked = sa.text(query) if isinstance(query, str) else query
        async with self.reader.connect() as connection:
            return [dict(row._mapping) for row in await connection.execute(asked, values)]


def _person(row: Mapping[Any, Any]) -> Person:
    return Person(
        id=row["id"], roles=frozenset(Role(role) for role in row["roles"]), name=row["name"], team=row["team"],
        language=row["language"], zone=row["zone"], chat=row["chat"], active=row["active"],
    )  # fmt: skip


def _what_was_said(incoming: Incoming) -> str:
    if incoming.command is not None:
        return f"/{incoming.command} {incoming.text}".strip()
    if incoming.choice is not None:
        return f"[{incoming.choice}]"
    return incoming.text


def aware(moment: datetime) -> datetime:
    """SQLite gives back naive datetimes; all of ours are UTC."""
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
