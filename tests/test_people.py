"""Ten thousand people: whoever is forgotten takes nobody along, and no turn looks through what everybody left."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from bot import digest, gaps, reminders
from bot.conversation import serve
from bot.curriculum import bank_of
from bot.people import Person, Role
from bot.ports import App
from bot.store import SqlStore
from bot.store import tables as t
from bot.store.database import open_engine
from bot.store.people import forget_person, personal_tables
from bot.turns import Incoming, Record, Reply, plain

NOW = datetime(2026, 11, 24, 9, tzinfo=UTC)


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    opened = await open_engine(None, tmp_path)
    yield opened
    await opened.dispose()


@pytest.fixture
def app(playbook: App, engine: AsyncEngine, tmp_path: Path) -> App:
    """The shared playbook with a database of this test's own."""
    return replace(playbook, store=SqlStore(engine), clock=lambda: NOW, chance=Random(7), data_dir=tmp_path, extras={})


@contextmanager
def statements(engine: AsyncEngine) -> Iterator[list[str]]:
    """What the database is asked meanwhile."""
    seen: list[str] = []

    def note(connection: object, cursor: object, statement: str, *rest: object) -> None:
        seen.append(statement)

    sa.event.listen(engine.sync_engine, "before_cursor_execute", note)
    yield seen
    sa.event.remove(engine.sync_engine, "before_cursor_execute", note)


async def audited(engine: AsyncEngine, **details: object) -> None:
    async with engine.begin() as connection:
        await connection.execute(t.audit.insert().values(at=NOW, person="tg:9", what="changed", details=details))


async def left_in_the_audit(engine: AsyncEngine) -> list[dict[str, object]]:
    async with engine.begin() as connection:
        return list((await connection.execute(sa.select(t.audit.c.details).where(t.audit.c.what == "changed"))).scalars())


async def test_forgetting_somebody_leaves_those_with_longer_ids_in_the_audit(engine: AsyncEngine) -> None:
    await audited(engine, person="tg:12", roles=["rep"])
    await audited(engine, reason="asked by tg:12, not by tg:123")
    async with engine.begin() as connection:
        await forget_person(connection, "tg:1", everything=True, at=NOW)
    assert await left_in_the_audit(engine) == [{"person": "tg:12", "roles": ["rep"]}, {"reason": "asked by tg:12, not by tg:123"}]


@pytest.mark.parametrize("person", ["tg:1", "terminal:王芳", "terminal:a_%b"])
async def test_forgetting_finds_a_person_wherever_the_audit_names_them(engine: AsyncEngine, person: str) -> None:
    for details in ({"person": person}, {"people": ["tg:7", person]}, {"deep": {"er": [person]}}):
        await audited(engine, **details)
    async with engine.begin() as connection:
        await forget_person(connection, person, everything=False, at=NOW)
    assert await left_in_the_audit(engine) == [{}, {}, {}]


async def plan(engine: AsyncEngine, query: str) -> str:
    async with engine.begin() as connection:
        return " | ".join(str(row[-1]) for row in await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {query}"))


@pytest.mark.parametrize("table", sorted(personal_tables()))
async def test_what_is_kept_of_a_person_is_found_without_reading_everybodys(engine: AsyncEngine, table: str) -> None:
    found = await plan(engine, f"SELECT * FROM {table} WHERE {personal_tables()[table]} = 'tg:1'")
    assert found.startswith(f"SEARCH {table} USING"), found


async def test_the_latest_replies_of_a_chat_are_found_in_order(engine: AsyncEngine) -> None:
    found = await plan(engine, "SELECT reply FROM outbox WHERE chat = 'tg:1' ORDER BY id DESC LIMIT 40")
    assert "USING INDEX outbox_of_chat" in found and "TEMP B-TREE" not in found


async def test_whoever_writes_again_is_found_by_their_chat(engine: AsyncEngine) -> None:
    assert "USING INDEX ix_persons_chat" in await plan(engine, "UPDATE persons SET blocked = 0 WHERE chat = 'tg:1' AND blocked")


@pytest.mark.parametrize("query", [
    "SELECT question, COUNT(*), SUM(correct) FROM quiz_asked WHERE answered IS NOT NULL GROUP BY question",
    "SELECT scenario, COUNT(*), SUM(passed) FROM rehearsals GROUP BY scenario",
])  # fmt: skip
async def test_a_trainers_counts_open_nobodys_talks_or_questions(engine: AsyncEngine, query: str) -> None:
    assert "COVERING INDEX" in await plan(engine, query)


# -- screens of many people


TINA = Person("tina", frozenset({Role.TRAINER}), "Tina", chat="t:tina", language="en")


async def learned(app: App, person: str, team: str, *, right: bool = True, days: int = 1) -> None:
    who = Person(person, frozenset({Role.REP}), person, team, chat=f"t:{person}", language="en")
    await app.store.welcome(who, NOW)
    goal = next(iter(bank_of(app).objectives()))
    record = Record("skill", {"card": goal.rpartition(":")[0], "objective": goal, "right": right})
    session = await app.store.session(who.chat, who.id)
    await app.store.keep(Incoming(f"l-{person}", who.chat, who.id, NOW - timedelta(days=days)), session, Reply(()), [record])


async def shown(app: App, person: Person, command: str) -> str:
    reply = await serve(app, person, Incoming(f"{person.id}-{command}", person.chat, person.id, NOW, command=command))
    assert reply is not None
    return plain(reply)


async def asked_for_team(app: App, engine: AsyncEngine, trainer: Person) -> tuple[str, int]:
    """The screen, and how many queries it took."""
    await app.store.welcome(trainer, NOW)
    with statements(engine) as seen:
        screen = await shown(app, trainer, "team")
    return screen, len([item for item in seen if item.startswith("SELECT")])


async def test_a_team_of_many_takes_no_more_queries_than_one_of_few(app: App, engine: AsyncEngine) -> None:
    for number in range(5):
        await learned(app, f"p{number}", "North")
    _, few = await asked_for_team(app, engine, TINA)
    for number in range(5, 25):
        await learned(app, f"p{number}", "North")
    screen, many = await asked_for_team(app, engine, replace(TINA, id="tom", chat="t:tom"))
    assert many == few
    assert "25 people did 25 reviews" in screen


async def test_a_trainer_sees_the_own_team_only_and_the_last_week_only(app: App, engine: AsyncEngine) -> None:
    for number in range(6):
        await learned(app, f"n{number}", "North", right=number < 3)
        await learned(app, f"s{number}", "South")
        await learned(app, f"old{number}", "North", days=9)
    screen, _ = await asked_for_team(app, engine, replace(TINA, team="North"))
    assert "(12 people)" in screen
    assert "6 people did 6 reviews, 50% right" in screen


# -- what goes on beside the turns


async def test_reminders_hold_nobody_up_when_nothing_is_due(app: App, engine: AsyncEngine) -> None:
    await learned(app, "amy", "")
    session = await app.store.session("t:amy", "amy")
    await app.store.keep(Incoming("r-amy", "t:amy", "amy", NOW), session, Reply(()), [Record("reminder", {"hour": NOW.hour})])
    here = replace(app, settings=app.settings.model_copy(update={"zone": "UTC"}))
    nothing_due = replace(here, clock=lambda: NOW - timedelta(hours=23))  # the review comes due after a day
    async with engine.begin(), asyncio.timeout(5):  # somebody writes, and takes long
        assert await reminders.send_due(replace(nothing_due, clock=lambda: NOW.replace(hour=20))) == []
        assert await reminders.send_due(replace(here, clock=lambda: NOW - timedelta(hours=2))) == []
    with statements(engine) as seen:
        assert await reminders.send_due(replace(here, clock=lambda: NOW + timedelta(days=6))) == ["t:amy"]
        assert await reminders.send_due(replace(here, clock=lambda: NOW + timedelta(days=6, hours=1))) == []
    assert sum(item.startswith("BEGIN IMMEDIATE") for item in seen) <= 1


async def turned(engine: AsyncEngine, number: int, person: str, topics: list[object], days: float, action: str = "coach") -> None:
    async with engine.begin() as connection:
        values = {"incoming": f"x{number}", "chat": "c", "person": person, "at": NOW - timedelta(days=days), "said": "", "reply": "", "activity": "idle"}
        await connection.execute(t.turns.insert().values(**values, action=action, topics=topics, language="zh", playbook=1))


async def check_the_week(app: App, engine: AsyncEngine) -> None:
    for number in range(6):
        await turned(engine, number, f"p{number}", [["sign-off", 0.9], ["buck-passing", 0.1]], 1 + number / 2)
        await turned(engine, 10 + number, f"p{number}", [["sign-off", 0.9]], 8 if number < 2 else 15)
        await turned(engine, 20 + number, "p1", [["buck-passing", 0.9]], 2)
    await turned(engine, 30, "p9", [], 1, "decline")
    await turned(engine, 31, "p9", [["sign-off", 0.5]], 1, "chat")
    await turned(engine, 32, "p9", [["no-such", 0.5]], 1, "abstain")
    for number, vote in enumerate((1, 1, -1)):
        async with engine.begin() as connection:
            await connection.execute(t.feedback.insert().values(person="p1", incoming=f"x{number}", at=NOW, vote=vote))
    week = await digest.week(app.store, app.retriever.cards(), NOW, 3)
    assert week.topics == (("sign-off", 6, 2),)  # buck-passing was asked by one person only
    assert (week.questions, week.people, week.other, week.answered_share) == (14, 7, 7, 93)
    assert week.votes == (2, 1)
    assert not {"sign-off", "buck-passing"} & set(week.unused)


async def test_the_week_is_added_up_by_the_database(app: App, engine: AsyncEngine) -> None:
    assert (await digest.week(app.store, app.retriever.cards(), NOW, 0)).questions == 0
    await check_the_week(app, engine)


async def test_trainers_screens_are_the_same_on_postgresql(postgres: str, app: App, tmp_path: Path) -> None:
    server = await open_engine(postgres, tmp_path)
    there = replace(app, store=SqlStore(server))
    await check_the_week(there, server)
    for number in range(5):
        await learned(there, f"n{number}", "North")
    screen, _ = await asked_for_team(there, server, replace(TINA, team="North"))
    assert "(5 people)" in screen and "5 people did 5 reviews, 100% right" in screen
    assert "not played yet" in await shown(there, TINA, "scenarios")
    assert "0 " in await shown(there, TINA, "privacy")
    await server.dispose()


async def test_only_the_gaps_that_are_asked_for_are_read(app: App, engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        for number in range(5):
            await connection.execute(t.gaps.insert().values(person="p", chat="c", at=NOW, text=f"q{number}", language="en", reason="low", topics=[], withheld=number == 1))
    assert [row["text"] for row in await app.store.rows(gaps.waiting([1, 2, 4]))] == ["q3", "q0"]
    assert [row["id"] for row in await app.store.rows(gaps.OPEN)] == [5, 4, 3, 1]


async def test_privacy_counts_and_does_not_fetch(app: App, engine: AsyncEngine) -> None:
    await app.store.welcome(TINA, NOW)
    await turned(engine, 1, "tina", [], 1)
    await turned(engine, 2, "tom", [], 1)
    with statements(engine) as seen:
        assert "1 " in await shown(app, TINA, "privacy")
    assert not [item for item in seen if "SELECT * FROM" in item]


async def posted(engine: AsyncEngine, number: int, chat: str, person: str, state: str = "sent", days: int = 1) -> None:
    async with engine.begin() as connection:
        values = {"incoming": f"x{number}", "part": 0, "chat": chat, "person": person, "reply": "{}", "at": NOW - timedelta(days=days), "state": state}
        await connection.execute(t.outbox.insert().values(**values))


async def test_cleaning_up_takes_what_is_old_and_what_nobody_knows(app: App, engine: AsyncEngine) -> None:
    await app.store.welcome(replace(TINA, id="tg:1", chat="tg:1"), NOW)
    kept = [("tg:1", "tg:1", "sent", 1), ("tg:2", "", "waiting", 1), ("tg:-9", "", "sent", 1), ("t:3", "", "sent", 1), ("tg:1", "tg:1", "waiting", 400)]
    gone = [("tg:2", "", "sent", 1), ("tg:2", "tg:1", "dead", 1), ("tg:-9", "tg:12", "sent", 1), ("tg:1", "tg:1", "sent", 400)]
    gone += [(f"tg:{number}", "", "sent", 1) for number in range(1000, 1600)]  # more strangers than fit into one statement
    for number, (chat, person, state, days) in enumerate([*kept, *gone]):
        await posted(engine, number, chat, person, state, days)
    await app.store.prune(history=NOW - timedelta(days=365), letters=NOW)
    rows = await app.store.rows("SELECT incoming FROM outbox ORDER BY id")
    assert [row["incoming"] for row in rows] == [f"x{number}" for number in range(len(kept))]


async def test_old_replies_are_found_without_reading_all(engine: AsyncEngine) -> None:
    assert "outbox_done (state=? AND at<?)" in await plan(engine, "DELETE FROM outbox WHERE state IN ('sent', 'dead') AND at < '2020-01-01'")
