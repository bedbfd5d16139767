"""Progress, team, assignments, certificates: mine is mine, others only where they agreed, and nothing too early."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest

from bot.conversation import serve
from bot.curriculum import bank_of, modules_of
from bot.people import Person, Role
from bot.ports import App
from bot.progress import streak
from bot.spreadsheets import cell
from bot.store import SqlStore
from bot.store.database import open_engine
from bot.turns import File, Incoming, Picture, Record, Reply, plain

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
TRAINER = Person("tina", frozenset({Role.TRAINER}), "Tina", chat="t:tina", language="en")
AMY = Person("amy", frozenset({Role.NEWHIRE}), "Amy", chat="t:amy", language="en")


@pytest.fixture
async def app(playbook: App, tmp_path: Path) -> AsyncIterator[App]:
    """The shared playbook with a database of this test's own, a trainer and a new hire."""
    engine = await open_engine(None, tmp_path)
    app = replace(playbook, store=SqlStore(engine), chance=Random(7), data_dir=tmp_path, extras={})
    for person in (TRAINER, AMY):
        await app.store.welcome(person, NOW)
    yield app
    await engine.dispose()


class Turns:
    number = 0


async def says(app: App, person: Person, text: str = "", *, at: datetime = NOW, **what: Any) -> Reply:
    Turns.number += 1
    reply = await serve(app, person, Incoming(f"p{Turns.number}", person.chat, person.id, at, text, **what))
    assert reply is not None
    return reply


async def knows(app: App, person: Person, goals: list[str], days: int = 4) -> None:
    """Right answers on several days."""
    for day in range(days):
        Turns.number += 1
        session = await app.store.session(person.chat, person.id)
        at = NOW - timedelta(days=2 * (days - day))
        records = [Record("skill", {"card": goal.rpartition(":")[0], "objective": goal, "right": True}) for goal in goals]
        await app.store.keep(Incoming(f"k{Turns.number}", person.chat, person.id, at), session, Reply(()), records)


def goals_of(app: App, module: str) -> list[str]:
    cards = next(item.cards for item in modules_of(app) if item.id == module)
    return [goal for goal in bank_of(app).objectives() if goal.rpartition(":")[0] in cards]


async def test_before_anything_was_learned_a_check_up_is_offered(app: App) -> None:
    assert "check-up" in plain(await says(app, AMY, command="progress"))
    reply = await says(app, AMY, choice="quiz:diagnose")
    assert f"{len(modules_of(app))} questions" in plain(reply)


async def test_progress_shows_two_pictures_with_captions(app: App) -> None:
    await knows(app, AMY, goals_of(app, "buying"))
    pictures = (await says(app, AMY, command="progress")).of(Picture)
    assert len(pictures) == 2
    assert all(Path(picture.path).stat().st_size > 5000 and "%" in picture.caption for picture in pictures)


async def test_personal_progress_is_never_shown_in_a_group(app: App) -> None:
    await knows(app, AMY, goals_of(app, "buying"))
    assert not (await says(app, AMY, command="progress", private=False)).of(Picture)


async def test_a_module_is_passed_by_mastery_and_one_lucky_day_never_suffices(app: App) -> None:
    await knows(app, TRAINER, goals_of(app, "buying"), days=1)
    assert "✓" not in plain(await says(app, TRAINER, command="path"))
    await knows(app, AMY, goals_of(app, "buying"), days=4)
    assert "✓ Who buys, and how" in plain(await says(app, AMY, command="path"))


async def test_no_certificate_before_the_gate_and_one_code_for_ever(app: App) -> None:
    assert "hasn't passed yet" in plain(await says(app, TRAINER, "Amy buying", command="certify"))
    await knows(app, AMY, goals_of(app, "buying"))
    first = plain(await says(app, TRAINER, "Amy buying", command="certify"))
    again = plain(await says(app, TRAINER, "Amy buying", command="certify"))
    assert first == again
    code = (await app.store.rows("SELECT code FROM certificates"))[0]["code"]
    assert "Valid: Amy" in plain(await says(app, AMY, code.lower(), command="verify"))
    assert "no valid certificate" in plain(await says(app, AMY, "ABCD-0000-0000", command="verify"))
    assert len(await app.store.rows("SELECT id FROM outbox WHERE chat = 't:amy' AND incoming LIKE 'certificate:%'")) == 1


async def test_an_assignment_is_told_once_and_done_when_the_gate_opens(app: App) -> None:
    await says(app, TRAINER, "buying 2026-05-01 all", command="assign")
    assert len(await app.store.rows("SELECT id FROM outbox WHERE incoming LIKE 'assign:%'")) == 1
    assert "due 2026-05-01" in plain(await says(app, AMY, command="path"))
    await knows(app, AMY, goals_of(app, "buying"))
    await says(app, AMY, command="path")
    assert (await app.store.rows("SELECT done FROM assignments"))[0]["done"] is not None


@pytest.mark.parametrize(
    ("text", "told"),
    [("buying tomorrow all", "is no date"), ("buying 2020-01-01 all", "has passed"), ("nothing 2027-01-01 all", "no module"), ("buying 2027-01-01 Nobody", "no “Nobody”"), ("", "/assign")],
)  # fmt: skip
async def test_an_assignment_that_cannot_be_understood_says_why(app: App, text: str, told: str) -> None:
    assert told in plain(await says(app, TRAINER, text, command="assign"))


async def test_learners_may_neither_assign_nor_look_at_the_team(app: App) -> None:
    for command in ("assign", "certify", "team", "questions"):
        assert "role can't use" in plain(await says(app, AMY, "buying 2027-01-01 all", command=command))


async def test_the_team_sees_means_of_five_and_names_only_by_consent(app: App) -> None:
    await knows(app, AMY, goals_of(app, "buying"))
    few = await says(app, TRAINER, command="team")
    assert "5 people on" in plain(few) and "Amy" not in plain(few) and not few.of(Picture)
    for n in range(4):
        await app.store.welcome(replace(AMY, id=f"p{n}", name=f"=P{n}", chat=f"t:{n}"), NOW)
    assert "Who buys, and how: " in plain(await says(app, TRAINER, command="team"))
    await says(app, AMY, choice="progress:share:1")
    shared = await says(app, TRAINER, command="team")
    table = Path(shared.of(File)[0].path).read_text("utf-8-sig")
    assert "Amy" in table and "P1" not in table and len(shared.of(Picture)) == 1


async def test_a_question_that_nobody_gets_right_is_flagged_and_can_be_retired(app: App) -> None:
    name = next(iter(bank_of(app).by_id))
    for n in range(30):
        session = await app.store.session(f"t:{n}", f"q{n}")
        shot = {"question": name, "card": "buck-passing", "objective": "buck-passing:0"}
        asked = Record("asked", {"token": f"t{n}", "snapshot": shot})
        answer = Record("answer", {"token": f"t{n}", "picked": 0, "right": n < 3, "card": "buck-passing", "objective": "buck-passing:0"})
        await app.store.keep(Incoming(f"q{n}", f"t:{n}", f"q{n}", NOW), session, Reply(()), [asked, answer])
    assert "30 answers, 10% right" in plain(await says(app, TRAINER, command="questions"))
    assert "Retired" in plain(await says(app, TRAINER, choice=f"question:retired:{name}"))
    assert "No odd questions" in plain(await says(app, TRAINER, command="questions"))
    assert "no longer works" in plain(await says(app, AMY, choice=f"question:approved:{name}"))


def test_a_weekend_breaks_no_streak_but_a_missed_working_day_does() -> None:
    monday = date(2026, 3, 2)
    days = [monday, date(2026, 2, 27), date(2026, 2, 26)]
    assert streak(days, monday) == 3
    assert streak(days[1:], monday) == 2
    assert streak(days, date(2026, 3, 4)) == 0
    assert streak([monday, date(2026, 2, 26)], monday) == 1
    assert streak([], monday) == 0


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1+1", "\r=1+1", " =1+1", "＝1+1", "\u200b=1+1", "\ufeff@x"])
def test_no_cell_of_a_table_is_a_formula(text: str) -> None:
    assert cell(text) == f"'{text}" and cell(f"Ann {text}") == f"Ann {text}"
