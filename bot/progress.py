"""NEW HIRE and TRAINER: how far learning has come: my skills, the path, the team (only what may be shown), as pictures."""

from __future__ import annotations

import asyncio
import csv
import hashlib
import io
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from bot import charts, memory
from bot.curriculum import (
    LOOKED_AT,
    Standing,
    modules_of,
    skills_of,
    skills_of_team,
    standings,
    standings_of_all,
)
from bot.errors import CannotHelp
from bot.people import Person
from bot.phrases import say
from bot.ports import App, Outcome
from bot.sessions import Session
from bot.spreadsheets import cell
from bot.store.learning import moment
from bot.turns import Block, File, Incoming, Language, Offer, Picture, Record, Reply, Say, choices

DAYS = 30  # of the forecast
ENOUGH = 5  # people from which a team's mean may be shown


async def progress(app: App, person: Person, session: Session, incoming: Incoming, language: Language) -> Outcome:
    """`/progress`: my mastery by module, streak, what is due, and how long it will last. Only in a private chat."""
    if not incoming.private:
        raise CannotHelp("progress.private")
    skills = await skills_of(app, person.id)
    if not skills:
        offer = Offer(choices([(say(language, "progress.diagnose"), "quiz:diagnose"), (say(language, "quiz.more"), "quiz:more")]))
        return Outcome(session, Reply((Say(say(language, "progress.nothing_yet")), offer), language, "chat"))
    now = incoming.at
    found = standings(app, skills, now)
    due = sum(skill.due <= now for skill in skills.values())
    days = await _days(app, person, now)
    blocks: list[Block] = [
        Say(say(language, "progress.mine"), "heading"),
        Say(say(language, "progress.line", started=len(skills), mastered=sum(memory.is_mastered(s, now) for s in skills.values()), due=due, streak=streak(*days))),
        await _skill_picture(app, person, found, language),
        await _forecast_picture(app, person, list(skills.values()), now, language),
        Offer(choices([(say(language, "progress.review", count=min(due, 5) or 5), "quiz:more"), (say(language, "progress.path"), "progress:path"), (say(language, "progress.dark"), "progress:dark")])),
    ]  # fmt: skip
    return Outcome(session, Reply(tuple(blocks), language, "chat"))


async def choose(app: App, person: Person, session: Session, incoming: Incoming, language: Language) -> Outcome:
    """Buttons: `progress:me`, `progress:path`, `progress:dark`, `progress:light`, `progress:share:0|1`."""
    match (incoming.choice or "").split(":"):
        case ["progress", "me"]:
            return await progress(app, person, session, incoming, language)
        case ["progress", "path"]:
            return await path(app, person, session, incoming, language)
        case ["progress", "share", flag]:
            options = {**await _options(app, person.id), "share_progress": flag == "1"}
            text = say(language, "progress.shared" if flag == "1" else "progress.unshared")
            return Outcome(session, Reply((Say(text),), language, "chat"), (Record("person", {"options": options}),))
        case ["progress", ("dark" | "light") as theme]:
            options = {**await _options(app, person.id), "theme": theme}
            text = say(language, f"progress.theme_{theme}")
            return Outcome(session, Reply((Say(text),), language, "chat"), (Record("person", {"options": options}),))
    raise CannotHelp("core.old_button")


async def path(app: App, person: Person, session: Session, incoming: Incoming, language: Language) -> Outcome:
    """`/path`: the modules with their gates; the first one that isn't passed is offered."""
    found = standings(app, await skills_of(app, person.id), incoming.at)
    tasks = await app.store.rows("SELECT module, due FROM assignments WHERE person = :p AND done IS NULL ORDER BY due", p=person.id)
    dates = {row["module"]: row["due"] for row in reversed(tasks)}
    lines = [_path_line(item, dates.get(item.module.id), language) for item in found]
    open_ones = sorted((item for item in found if not item.passed), key=lambda item: dates.get(item.module.id, "9999"))[:3]
    pairs = [(say(language, "progress.learn", title=item.module.title.text(language)), f"quiz:module:{item.module.id}") for item in open_ones]
    pairs += [(say(language, "progress.cards", title=item.module.title.text(language)), f"card:{item.module.cards[0]}") for item in open_ones[:1]]
    blocks: list[Block] = [Say(say(language, "progress.path_title"), "heading"), Say("\n".join(lines)), Say(say(language, "progress.gate"), "note")]
    if pairs:
        blocks.append(Offer(choices(pairs)))
    done = [Record("assignment_done", {"module": item.module.id}) for item in found if item.passed and item.module.id in dates]
    return Outcome(session, Reply(tuple(blocks), language, "chat"), tuple(done))


def _path_line(item: Standing, due: str | None, language: Language) -> str:
    mark = "✓" if item.passed else "●" if item.started else "○"
    text = say(language, "progress.module", mark=mark, title=item.module.title.text(language), mastered=item.mastered, of=item.cards)
    return f"{text} {say(language, 'progress.until', date=due)}" if due and not item.passed else text


# -- the team ----------------------------------------------------------------------------------------------------------


async def team(app: App, person: Person, session: Session, incoming: Incoming, language: Language) -> Outcome:
    """`/team`: who shares or was assigned by name; everybody else only in means of five and more; with a CSV."""
    members = await _members(app, person)
    named = [row for row in members if row["named"]]
    known = await skills_of_team(app, person)
    marks = await asyncio.to_thread(standings_of_all, app, {row["id"]: known.get(row["id"], {}) for row in members}, incoming.at)
    modules = modules_of(app)
    blocks: list[Block] = [Say(say(language, "progress.team_title", count=len(members)), "heading")]
    if len(members) >= ENOUGH:
        means = [sum(marks[row["id"]][j].mastery for row in members) / len(members) for j in range(len(modules))]
        blocks.append(Say("\n".join(say(language, "progress.mean", title=m.title.text(language), value=f"{v:.0%}") for m, v in zip(modules, means, strict=True))))
    else:
        blocks.append(Say(say(language, "progress.too_few", count=ENOUGH), "note"))
    if named:
        blocks.append(await _heat_picture(app, person, named, marks, incoming.at, language))
        blocks.append(_table(app, named, marks, incoming.at, language))
    blocks.append(Say(await weekly(app, person, incoming.at, language)))
    return Outcome(session, Reply(tuple(blocks), language, "chat"))


async def _members(app: App, trainer: Person) -> list[dict[str, Any]]:
    """People of the trainer's team (all, if the trainer has none); `named` = may be shown by name."""
    rows = await app.store.rows(
        "SELECT p.id, p.name, p.options, EXISTS (SELECT 1 FROM assignments a WHERE a.person = p.id) AS assigned "
        f"FROM persons p WHERE {LOOKED_AT} ORDER BY p.name",
        me=trainer.id, team=trainer.team,
    )  # fmt: skip
    return [{**row, "named": bool(row["assigned"] or _json(row["options"]).get("share_progress"))} for row in rows]


def _json(value: Any) -> dict[str, Any]:
    import json

    return (json.loads(value) if isinstance(value, str) else value) or {}


async def weekly(app: App, trainer: Person, now: datetime, language: Language) -> str:
    """The last seven days in one line: reviews, people, share right."""
    (week,) = await app.store.rows(
        "SELECT COUNT(*) AS reviews, COUNT(DISTINCT r.person) AS people, SUM(CASE WHEN r.correct THEN 1 ELSE 0 END) AS good "
        f"FROM reviews r JOIN persons p ON p.id = r.person WHERE {LOOKED_AT} AND r.at >= :since",
        me=trainer.id, team=trainer.team, since=now - timedelta(days=7),
    )  # fmt: skip
    if week["people"] < ENOUGH:
        return say(language, "progress.week_few")
    return say(language, "progress.week", reviews=week["reviews"], people=week["people"], right=f"{week['good'] / week['reviews']:.0%}")


def _table(app: App, named: Sequence[Mapping[str, Any]], marks: Mapping[str, Sequence[Standing]], at: datetime, language: Language) -> File:
    """Mastery by person and module as CSV (UTF-8 with a mark, so that spreadsheets show Chinese)."""
    text = io.StringIO()
    writer = csv.writer(text)
    modules = modules_of(app)
    writer.writerow([say(language, "progress.csv_name"), *(module.title.text(language) for module in modules)])
    for row in named:
        writer.writerow([cell(row["name"] or row["id"]), *(f"{item.mastery:.2f}" for item in marks[row["id"]])])
    target = _folder(app) / f"team-{at.date().isoformat()}-{hashlib.sha256(text.getvalue().encode()).hexdigest()[:8]}.csv"
    target.write_text(text.getvalue(), encoding="utf-8-sig")
    return File(str(target), f"team-{at.date().isoformat()}.csv", say(language, "progress.csv"))


# -- pictures ----------------------------------------------------------------------------------------------------------


def _folder(app: App) -> Path:
    folder = app.data_dir / "pictures"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


async def _options(app: App, person: str) -> dict[str, Any]:
    rows = await app.store.rows("SELECT options FROM persons WHERE id = :p", p=person)
    return _json(rows[0]["options"]) if rows else {}


async def _theme(app: App, person: Person) -> charts.Theme:
    return "dark" if (await _options(app, person.id)).get("theme") == "dark" else "light"


async def _skill_picture(app: App, person: Person, found: Sequence[Standing], language: Language) -> Picture:
    rows = [(item.module.title.text(language), item.mastery, item.started / max(1, item.cards)) for item in found]
    theme = await _theme(app, person)
    target = _folder(app) / f"skills-{_digest(rows, theme, language)}.png"
    legend = say(language, "progress.legend_mastered"), say(language, "progress.legend_started")
    await asyncio.to_thread(charts.skill_bars, target, say(language, "progress.skills"), rows, theme, legend)
    best = max(found, key=lambda item: item.mastery)
    caption = say(language, "progress.skills_caption", title=best.module.title.text(language), value=f"{best.mastery:.0%}", passed=sum(item.passed for item in found), of=len(found))
    return Picture(str(target), caption)


async def _forecast_picture(app: App, person: Person, skills: Sequence[memory.Skill], now: datetime, language: Language) -> Picture:
    days = list(range(DAYS + 1))
    left = [sum(memory.recall(skill, now + timedelta(days=day)) for skill in skills) / len(skills) for day in days]
    kept = kept_with_reviews(skills, now)
    theme = await _theme(app, person)
    target = _folder(app) / f"forecast-{_digest(left, kept, theme, language)}.png"
    labels = say(language, "progress.with"), say(language, "progress.without"), say(language, "progress.days")
    await asyncio.to_thread(charts.forecast, target, say(language, "progress.forecast", days=DAYS), days, kept, left, labels, theme)
    return Picture(str(target), say(language, "progress.forecast_caption", days=DAYS, left=f"{left[-1]:.0%}", kept=f"{kept[-1]:.0%}"))


def kept_with_reviews(skills: Sequence[memory.Skill], now: datetime) -> list[float]:
    """Mean recall over the coming days if each review is done on the day it is due (and goes well)."""
    current, means = list(skills), []
    for day in range(DAYS + 1):
        moment_then = now + timedelta(days=day)
        current = [memory.reviewed(skill, True, moment_then) if day and skill.due <= moment_then else skill for skill in current]
        means.append(sum(memory.recall(skill, moment_then) for skill in current) / len(current))
    return means


async def _heat_picture(
    app: App, person: Person, named: Sequence[Mapping[str, Any]], marks: Mapping[str, Sequence[Standing]], at: datetime, language: Language
) -> Picture:
    modules, theme = modules_of(app), await _theme(app, person)
    shown = named[:30]
    names = [(row["name"] or row["id"])[:14] for row in shown]
    values: list[list[float | None]] = [[item.mastery if item.started else None for item in marks[row["id"]]] for row in shown]
    target = _folder(app) / f"team-{_digest(names, values, theme, language)}.png"
    columns = [module.title.text(language) for module in modules]
    await asyncio.to_thread(charts.heat_map, target, say(language, "progress.heat"), names, columns, values, theme)
    return Picture(str(target), say(language, "progress.heat_caption", shown=len(shown)))


def _digest(*parts: Any) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


async def _days(app: App, person: Person, now: datetime) -> tuple[list[date], date]:
    """The local days on which the person reviewed something, newest first; and today."""
    zone = ZoneInfo(person.zone or app.settings.zone)
    rows = await app.store.rows("SELECT at FROM reviews WHERE person = :p AND source = 'quiz'", p=person.id)
    days = {moment(row["at"]).astimezone(zone).date() for row in rows}
    today = now.astimezone(zone).date()
    return [day for day in sorted(days, reverse=True) if day <= today], today


def streak(days: Sequence[date], today: date) -> int:
    """Working days in a row with a review, the newest day first; a weekend breaks nothing, a missed working day does."""
    if not days or _workdays_between(days[0], today) > 1:
        return 0
    count = 0
    for n, day in enumerate(days):
        if n and _workdays_between(day, days[n - 1]) > 1:
            break
        count += 1
    return count


def _workdays_between(earlier: date, later: date) -> int:
    return sum((earlier + timedelta(days=n)).weekday() < 5 for n in range(1, (later - earlier).days + 1))
