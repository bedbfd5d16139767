"""The mailbox keeps order within a chat, lets chats run side by side, and resumes – on SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from bot.mailbox import CRASHES, Later, Mailbox, Moved, Receipt, Undeliverable
from bot.store.database import open_engine
from bot.store.mail import Letter, Mail, Post
from bot.turns import Aside, Reply, Say


def now() -> datetime:
    return datetime.now(UTC)


def letter(number: int, chat: str = "tg:1") -> Letter:
    return Letter(f"tg-9-{number}", number, chat, chat, f'{{"n": {number}}}', now())


@dataclass
class Office:
    """A front end without a platform: answers each letter with its number, remembers what was delivered."""

    said: list[tuple[str, str]] = field(default_factory=list)
    answered: list[str] = field(default_factory=list)
    trouble: dict[str, list[Exception]] = field(default_factory=dict)
    work: float = 0.0
    running: Counter[str] = field(default_factory=Counter)
    crowded: bool = False

    def pack(self, post: Post) -> Sequence[Any]:
        return [block.text for block in post.reply.of(Say)]

    async def carry(self, post: Post, parcel: Any) -> Receipt:
        if self.trouble.get(parcel):
            raise self.trouble[parcel].pop()
        self.said.append((post.chat, parcel))
        return Receipt(str(len(self.said)))

    async def answer(self, incoming: Letter) -> Sequence[Aside]:
        self.running[incoming.chat] += 1
        self.crowded = self.crowded or self.running[incoming.chat] > 1
        await asyncio.sleep(self.work)
        self.running[incoming.chat] -= 1
        if self.trouble.get(incoming.id):
            raise self.trouble[incoming.id].pop()
        self.answered.append(incoming.id)
        return [Aside(incoming.chat, Reply((Say(incoming.id.split("-")[-1]),), "en"))]

    async def apologise(self, incoming: Letter, reference: str) -> Sequence[Aside]:
        return [Aside(incoming.chat, Reply((Say("sorry"),), "en"))]

    def mailbox(self, engine: AsyncEngine, **more: Any) -> Mailbox:
        return Mailbox(Mail(engine, "tg:"), self, self.answer, self.apologise, now, scan_every=0.05, **more)

    def told(self, chat: str) -> list[str]:
        return [text for where, text in self.said if where == chat]


@pytest.fixture(params=["sqlite", "postgresql"])
async def engine(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    url = request.getfixturevalue("postgres") if request.param == "postgresql" else None
    engine = await open_engine(url, tmp_path)
    from bot.store import tables as t

    async with engine.begin() as connection:
        for table in (t.inbox, t.outbox, t.leases, t.polls, t.sessions, t.turns):
            await connection.execute(table.delete())
    yield engine
    await engine.dispose()


async def drained(box: Mailbox, seconds: float = 10) -> None:
    running = asyncio.create_task(box.run())
    async with asyncio.timeout(seconds):
        while await box.mail.backlog() != (0, 0):  # noqa: ASYNC110 – other processes' work gives no event
            await asyncio.sleep(0.02)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await box.stop()


async def test_letters_are_answered_in_order_and_once(engine: AsyncEngine) -> None:
    office = Office(work=0.002)
    box = office.mailbox(engine)
    letters = [letter(10 * number + chat, f"tg:{chat}") for number in range(8) for chat in range(4)]
    await box.receive(letters)
    await box.receive(letters)  # the confirming poll was lost: all of it comes again
    await drained(box)
    assert not office.crowded
    for chat in range(4):
        assert office.told(f"tg:{chat}") == [str(10 * number + chat) for number in range(8)]


async def test_two_processes_share_the_work_without_doubling_it(engine: AsyncEngine) -> None:
    if engine.dialect.name == "sqlite":
        pytest.skip("SQLite has one owner")
    office = Office(work=0.003)
    boxes = [office.mailbox(engine) for _ in range(2)]
    letters = [letter(100 * number + chat, f"tg:{chat}") for number in range(6) for chat in range(6)]
    await boxes[0].receive(letters[::2])
    await boxes[1].receive(letters[1::2])
    await asyncio.gather(*(drained(box) for box in boxes))
    assert not office.crowded
    assert Counter(office.answered) == Counter(item.id for item in letters)
    assert Counter(office.said) == Counter((item.chat, item.id.split("-")[-1]) for item in letters)


async def test_a_flooding_chat_starves_nobody(engine: AsyncEngine) -> None:
    office = Office(work=0.01)
    box = office.mailbox(engine, workers=2)
    await box.receive([letter(number, "tg:1") for number in range(60)])
    await box.receive([letter(100, "tg:2")])
    async with asyncio.timeout(5):
        while not office.told("tg:2"):  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    assert len(office.told("tg:1")) < 20
    await box.stop()


async def test_a_failing_letter_is_tried_three_times_then_parked_and_the_next_goes_on(engine: AsyncEngine) -> None:
    office = Office(trouble={"tg-9-1": [ValueError("bug")] * 3, "tg-9-2": [ValueError("once")]})
    box = office.mailbox(engine)
    await box.receive([letter(1), letter(2)])
    await drained(box)
    assert office.told("tg:1") == ["sorry", "2"]


async def test_a_letter_that_ends_the_process_each_time_is_parked(engine: AsyncEngine) -> None:
    office = Office()
    mail = Mail(engine, "tg:")
    await mail.receive([letter(1)])
    for _ in range(CRASHES):  # taken in hand, then killed
        letter_one = (await mail.pending("tg:1")).letter
        assert letter_one and await mail.tried(letter_one, now())
    await drained(office.mailbox(engine))
    assert office.answered == [] and office.told("tg:1") == ["sorry"]


async def test_what_was_not_delivered_waits_and_keeps_its_place(engine: AsyncEngine) -> None:
    office = Office(trouble={"1": [Later(0.3, "flood"), Later(0.1, "network")]})
    box = office.mailbox(engine)
    await box.receive([letter(1), letter(2), letter(3, "tg:2")])
    await drained(box)
    assert office.told("tg:1") == ["1", "2"] and office.said[0] == ("tg:2", "3")


async def test_a_closed_chat_gets_nothing_more_and_a_bad_message_is_given_up(engine: AsyncEngine) -> None:
    office = Office(trouble={"1": [Undeliverable("too long")], "3": [Undeliverable("blocked", gone=True)]})
    box = office.mailbox(engine)
    await box.receive([letter(1), letter(2), letter(3, "tg:2")])
    await drained(box)
    assert office.said == [("tg:1", "2")]


async def test_a_long_reply_goes_on_where_its_delivery_stopped(engine: AsyncEngine) -> None:
    office = Office(trouble={"two": [Later(0.1, "network")]})
    mail = Mail(engine, "tg:")
    await mail.receive([letter(1)])
    await mail.settle("tg-9-1", [Aside("tg:1", Reply((Say("one"), Say("two"), Say("three")), "en"))], now())
    await drained(office.mailbox(engine))
    assert office.told("tg:1") == ["one", "two", "three"]


async def test_a_chat_with_a_new_id_takes_what_waits_with_it_in_order_and_once(engine: AsyncEngine) -> None:
    office, mail = Office(trouble={"two": [Moved("tg:-100")]}), Mail(engine, "tg:")
    await mail.receive([letter(1), letter(2), letter(4, "tg:-100"), letter(3)])
    await mail.settle("tg-9-1", [Aside("tg:1", Reply((Say("one"), Say("two"), Say("three")), "en"))], now())
    await drained(office.mailbox(engine))
    assert office.told("tg:1") == ["one"]
    assert [text for text in office.told("tg:-100") if text != "4"] == ["two", "three", "2", "3"], (
        "4 may have been in hand"
    )
    assert sorted(office.answered) == ["tg-9-2", "tg-9-3", "tg-9-4"]


async def test_a_session_moves_with_its_chat_and_does_not_replace_a_newer_one(engine: AsyncEngine) -> None:
    from bot.sessions import Session
    from bot.store import SqlStore
    from bot.turns import Incoming

    store, mail = SqlStore(engine), Mail(engine, "tg:")
    places = (("tg:-1", "anna", "old"), ("tg:-1", "ben", "old"), ("tg:-100", "ben", "new"))
    for number, (chat, person, text) in enumerate(places):
        session = Session(chat, person).heard(text, Reply(()), "")
        assert await store.keep(
            Incoming(f"m{number}", chat, person, now(), text), session, Reply((Say("x"),))
        )
    for _ in range(2):  # told by the service message, and again by a refused message
        await mail.move("tg:-1", "tg:-100")
    for person, text in (("anna", "old"), ("ben", "new")):
        session = await store.session("tg:-100", person)
        assert session.history[0].text == text
        assert await store.keep(Incoming(f"{person}-goes-on", "tg:-100", person, now()), session, Reply(()))
        assert (await store.session("tg:-1", person)).version == 0


async def test_answered_letters_keep_no_words(engine: AsyncEngine) -> None:
    from bot.store import SqlStore

    box = Office().mailbox(engine)
    await box.receive([letter(1)])
    await drained(box)
    (row,) = await SqlStore(engine).rows("SELECT raw, state FROM inbox")
    assert (row["raw"], row["state"]) == ("", "done")


async def test_what_was_delivered_while_the_database_was_away_is_noted_and_not_sent_again(engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    office = Office()
    box = office.mailbox(engine)
    note, failures = box.mail.delivered, [ConnectionError(), ConnectionError()]

    async def away_at_first(*things: Any, **more: Any) -> None:
        if failures:
            raise failures.pop()
        await note(*things, **more)

    monkeypatch.setattr(box.mail, "delivered", away_at_first)
    await box.receive([letter(1), letter(2)])
    await drained(box)
    assert office.told("tg:1") == ["1", "2"] and not failures


async def test_a_note_whose_confirmation_was_lost_is_not_made_twice(engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    office = Office()
    box = office.mailbox(engine)
    note, failures = box.mail.delivered, [ConnectionError()]

    async def written_but_not_confirmed(*things: Any, **more: Any) -> None:
        await note(*things, **more)
        if failures:
            raise failures.pop()

    monkeypatch.setattr(box.mail, "delivered", written_but_not_confirmed)
    await box.mail.receive([letter(1)])
    await box.mail.settle("tg-9-1", [Aside("tg:1", Reply((Say("one"), Say("two"), Say("three")), "en"))], now())
    await drained(box)
    assert office.told("tg:1") == ["one", "two", "three"]


async def test_a_database_that_is_away_never_parks_a_letter(engine: AsyncEngine) -> None:
    import sqlalchemy as sa

    gone = sa.exc.OperationalError("SELECT 1", {}, Exception("server closed the connection"))
    office = Office(trouble={"tg-9-1": [gone] * 4})
    box = office.mailbox(engine)
    await box.receive([letter(1)])
    await drained(box)
    assert office.told("tg:1") == ["1"]


async def test_a_full_disk_refuses_what_is_new_and_loses_nothing_old(tmp_path: Path) -> None:
    import sqlalchemy as sa

    engine, pages = await open_engine(None, tmp_path), [0]

    @sa.event.listens_for(engine.sync_engine, "checkout")
    def small_disk(connection: Any, *_: Any) -> None:
        connection.cursor().execute(f"PRAGMA max_page_count={pages[0] or 10**9}")

    mail = Mail(engine, "tg:")
    await mail.receive([letter(1)])
    pages[0] = 1  # SQLite takes it as: no page more than there are
    with pytest.raises(sa.exc.OperationalError, match="full"):
        for number in range(2, 200):
            await mail.receive([Letter(f"tg-9-{number}", number, "tg:1", "tg:1", "x" * 4000, now())])
    pages[0] = 0
    written = (await mail.backlog())[0]
    await mail.receive([letter(500)])
    assert written >= 1 and (await mail.backlog())[0] == written + 1
    await engine.dispose()


async def test_replicas_that_start_at_once_on_an_empty_database_migrate_it_once(postgres: str, tmp_path: Path) -> None:
    import psycopg

    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute("CREATE DATABASE fresh")
    url = postgres.replace("/postgres?", "/fresh?")
    assert url != postgres
    engines = await asyncio.gather(*(open_engine(url, tmp_path) for _ in range(3)))
    assert await Mail(engines[2], "tg:").backlog() == (0, 0)
    for engine in engines:
        await engine.dispose()
