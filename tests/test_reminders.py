"""Reminders: once a day at the person's hour, whatever replicas, zones, crashes and clocks do."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest

from bot import reminders
from bot.conversation import serve
from bot.people import Person, Role
from bot.ports import App
from bot.store import SqlStore
from bot.store.database import open_engine
from bot.turns import Incoming, Record, Reply, plain, reply_from_json

AMY = Person("amy", frozenset({Role.REP}), "Amy", chat="t:amy", language="en", zone="Asia/Shanghai")
MONDAY_NINE = datetime(2026, 3, 2, 1, 5, tzinfo=UTC)  # 09:05 in Shanghai


def at(app: App, moment: datetime) -> App:
    return replace(app, clock=lambda: moment)


@pytest.fixture
async def app(playbook: App, tmp_path: Path) -> AsyncIterator[App]:
    """The shared playbook with a database of this test's own."""
    engine = await open_engine(None, tmp_path)
    yield replace(playbook, store=SqlStore(engine), chance=Random(7), data_dir=tmp_path, extras={})
    await engine.dispose()


@pytest.fixture
async def due(app: App) -> App:
    """Amy wants a reminder at nine and has something to review."""
    await wants_a_reminder(app, AMY)
    return app


async def wants_a_reminder(app: App, person: Person) -> None:
    await app.store.welcome(person, MONDAY_NINE)
    session = await app.store.session(person.chat, person.id)
    records = [Record("reminder", {"hour": 9}), Record("skill", {"card": "buck-passing", "objective": 0, "right": True})]
    await app.store.keep(Incoming(f"x{person.id}", person.chat, person.id, MONDAY_NINE - timedelta(days=60)), session, Reply(()), records)


async def posted(app: App) -> list[str]:
    return [plain(reply_from_json(row["reply"])) for row in await app.store.rows("SELECT reply FROM outbox WHERE incoming LIKE 'remind:%'")]


async def test_a_reminder_comes_at_the_hour_and_only_once(due: App) -> None:
    for minute in (0, 1, 30, 61, 200):
        await reminders.send_due(at(due, MONDAY_NINE + timedelta(minutes=minute)))
    assert len(await posted(due)) == 1
    assert "1 points are about to be forgotten" in (await posted(due))[0]


async def test_two_replicas_send_it_once(due: App) -> None:
    await asyncio.gather(*(reminders.send_due(at(due, MONDAY_NINE)) for _ in range(6)))
    assert len(await posted(due)) == 1


async def test_replicas_on_postgresql_send_each_reminder_once(postgres: str, playbook: App, tmp_path: Path) -> None:
    """Three replicas with connections of their own look at forty people at once, again and again; one of them dies in between."""
    engines = [await open_engine(postgres, tmp_path) for _ in range(3)]
    replicas = [replace(playbook, store=SqlStore(engine), data_dir=tmp_path, extras={}) for engine in engines]
    for number in range(40):
        await wants_a_reminder(replicas[0], replace(AMY, id=f"p{number}", chat=f"t:p{number}"))
    looks = [asyncio.create_task(reminders.send_due(at(replica, MONDAY_NINE))) for replica in replicas]
    await asyncio.sleep(0.05)
    looks[0].cancel()
    await asyncio.gather(*looks, return_exceptions=True)
    for minutes in (1, 20):
        await asyncio.gather(*(reminders.send_due(at(replica, MONDAY_NINE + timedelta(minutes=minutes))) for replica in replicas))
    rows = await replicas[0].store.rows("SELECT chat FROM outbox WHERE incoming LIKE 'remind:%' ORDER BY chat")
    assert [row["chat"] for row in rows] == sorted(f"t:p{number}" for number in range(40))
    for engine in engines:
        await engine.dispose()


async def test_it_comes_again_the_next_working_day(due: App) -> None:
    for day in range(7):
        await reminders.send_due(at(due, MONDAY_NINE + timedelta(days=day)))
    assert len(await posted(due)) == 5


@pytest.mark.parametrize(
    ("hours", "why"), [(-2, "before the hour"), (6, "long after it"), (13, "in the quiet hours"), (5 * 24, "at the weekend")]
)
async def test_nothing_comes(due: App, hours: int, why: str) -> None:
    await reminders.send_due(at(due, MONDAY_NINE + timedelta(hours=hours)))
    assert await posted(due) == [], why


async def test_a_clock_that_goes_back_sends_nothing_again(due: App) -> None:
    await reminders.send_due(at(due, MONDAY_NINE + timedelta(days=1)))
    await reminders.send_due(at(due, MONDAY_NINE))
    await reminders.send_due(at(due, MONDAY_NINE + timedelta(days=1)))
    assert len(await posted(due)) == 1


async def test_a_journey_around_the_world_brings_no_second_one(due: App) -> None:
    await reminders.send_due(at(due, MONDAY_NINE))
    for zone in ("America/Los_Angeles", "Pacific/Kiritimati", "Europe/Berlin", "No/Where"):
        await due.store.welcome(replace(AMY, zone=zone), MONDAY_NINE)
        for hour in range(13):
            await reminders.send_due(at(due, MONDAY_NINE + timedelta(hours=hour)))
    assert len(await posted(due)) == 1


async def test_days_on_which_the_clocks_change_have_one_reminder_each(due: App) -> None:
    await due.store.welcome(replace(AMY, zone="Europe/Berlin"), MONDAY_NINE)
    spring = datetime(2026, 3, 27, 0, tzinfo=UTC)  # the Friday before; the clocks change on Sunday
    for half_hour in range(48 * 5):
        await reminders.send_due(at(due, spring + timedelta(minutes=30 * half_hour)))
    days = [row["incoming"].split(":")[-1] for row in await due.store.rows("SELECT incoming FROM outbox WHERE incoming LIKE 'remind:%' ORDER BY id")]
    assert days == ["2026-03-27", "2026-03-30", "2026-03-31"]


async def test_a_crash_between_claim_and_post_loses_nothing(due: App, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> str:
        raise OSError("the power went")

    with monkeypatch.context() as patch:
        patch.setattr(reminders, "reply_to_json", broken)
        with pytest.raises(OSError):
            await reminders.send_due(at(due, MONDAY_NINE))
    await reminders.send_due(at(due, MONDAY_NINE + timedelta(minutes=1)))
    assert len(await posted(due)) == 1


async def test_nothing_due_is_no_reason_to_write(app: App) -> None:
    await app.store.welcome(AMY, MONDAY_NINE)
    session = await app.store.session("t:amy", "amy")
    await app.store.keep(Incoming("x", "t:amy", "amy", MONDAY_NINE), session, Reply(()), [Record("reminder", {"hour": 9})])
    await reminders.send_due(at(app, MONDAY_NINE))
    assert await posted(app) == []


async def says(app: App, text: str = "", number: int = 1, **what: Any) -> str:
    reply = await serve(app, AMY, Incoming(f"r{number}", "t:amy", "amy", MONDAY_NINE - timedelta(hours=1), text, **what))
    assert reply is not None
    return plain(reply)


async def test_snooze_and_stop_are_heeded(due: App) -> None:
    await says(due, choice="remind:snooze", number=1)
    await reminders.send_due(at(due, MONDAY_NINE))
    assert await posted(due) == []
    await says(due, choice="remind:off", number=2)
    await reminders.send_due(at(due, MONDAY_NINE + timedelta(days=1)))
    assert await posted(due) == []


@pytest.mark.parametrize(
    ("text", "told"),
    [("9", "around 9:00"), ("18 Europe/Berlin", "Europe/Berlin"), ("3", "disturb"), ("soon", "full hour"), ("99", "full hour"),
     ("9 Mars/Base", "don't know the time zone"), ("off", "no more reminders"), ("", "around 9:00")],
)  # fmt: skip
async def test_what_a_person_may_set(due: App, text: str, told: str) -> None:
    assert told in await says(due, text, command="remind")


async def test_the_person_chooses_weekends(due: App) -> None:
    await says(due, choice="remind:weekends:1")
    for day in (5, 6):
        await reminders.send_due(at(due, MONDAY_NINE + timedelta(days=day)))
    assert len(await posted(due)) == 2
