"""Due work, once a day, at the hour that a person chose: a table is looked at, a reminder is claimed, the outbox delivers.

A reminder is claimed and posted in one transaction: two replicas, a crash or a clock that goes back can't send it twice.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.errors import CannotHelp
from bot.people import Person
from bot.phrases import say
from bot.ports import App, Outcome
from bot.sessions import Session
from bot.store import tables as t
from bot.store.database import writing
from bot.store.learning import assignments, moment, reminders, skills
from bot.turns import Incoming, Language, Offer, Record, Reply, Say, choices, reply_to_json

log = logging.getLogger(__name__)
EVERY = 30.0  # seconds between two looks
QUIET = (21, 7)  # local hours between which nothing is sent
AT_LEAST = timedelta(hours=14)  # between two reminders, whatever the zone became
LATE = 4  # hours after the chosen one in which a reminder still makes sense


async def run(app: App, *, every: float = EVERY) -> None:
    """Send what is due until cancelled. The mailbox finds the posts in the outbox."""
    while True:
        try:
            await send_due(app)
        except Exception:  # the boundary of a background task: it must live on
            log.exception("reminders could not be sent; trying again in %.0f s", every)
        await asyncio.sleep(every)


async def send_due(app: App) -> list[str]:
    """Post every reminder that is due now; the chats that got one."""
    now = app.clock()
    chats = []
    for row in await _candidates(app, now):
        local = now.astimezone(zone_of(app, row["zone"]))
        if is_time(row, now, local) and await _post(app, row, now, local):
            chats.append(row["chat"])
    return chats


async def _candidates(app: App, now: datetime) -> list[Mapping[str, Any]]:
    """Whose hour it may be, who was not told today and has something to do: read zone by zone, without a lock.

    Most looks find nobody, so a look must not hold up those who write.
    """
    found: list[Mapping[str, Any]] = []
    for row in await app.store.rows(_ZONES):
        local = now.astimezone(zone_of(app, row["zone"]))
        if QUIET[1] <= local.hour < QUIET[0]:
            found += await app.store.rows(_in_zone(row["zone"], now, local))
    return found


_ZONES = sa.select(t.persons.c.zone).join_from(reminders, t.persons, t.persons.c.id == reminders.c.person).where(reminders.c.active).distinct()


def _in_zone(zone: str | None, now: datetime, local: datetime) -> sa.Select[Any]:
    """People of a zone where it is `local`, with what `is_time` and `_post` want to know of them."""
    persons = t.persons.c
    due = sa.exists().where(skills.c.person == reminders.c.person, skills.c.due <= now)
    tasks = sa.exists().where(assignments.c.person == reminders.c.person, assignments.c.done.is_(None))
    untold = sa.or_(reminders.c.sent_day.is_(None), reminders.c.sent_day < local.date().isoformat())
    here = persons.zone.is_(None) if zone is None else persons.zone == zone
    return (
        sa.select(reminders, persons.chat, persons.zone, persons.language)
        .join_from(reminders, t.persons, persons.id == reminders.c.person)
        .where(reminders.c.active, persons.active, ~persons.blocked, persons.chat != "", here)
        .where(reminders.c.hour.between(local.hour - LATE + 1, local.hour), untold, sa.or_(due, tasks))
    )


def zone_of(app: App, name: str | None) -> ZoneInfo:
    """The person's zone, else the company's; a name that no longer exists counts as the company's."""
    for candidate in (name, app.settings.zone, "UTC"):
        if candidate and candidate in _zones():
            return ZoneInfo(candidate)
    return ZoneInfo("UTC")


@cache
def _zones() -> frozenset[str]:
    """All names of zones; looking them up reads some six hundred files, and every person is asked about."""
    return frozenset(available_timezones())


def is_time(row: Mapping[str, Any], now: datetime, local: datetime) -> bool:
    """Is this the hour, on a day that counts, outside quiet hours, not snoozed, and not sent today already?"""
    snoozed, sent = row["snoozed"], row["sent"]
    return (
        0 <= local.hour - row["hour"] < LATE
        and QUIET[1] <= local.hour < QUIET[0]
        and (bool(row["weekends"]) or local.weekday() < 5)
        and not (snoozed and moment(snoozed) > now)
        and not (row["sent_day"] and row["sent_day"] >= local.date().isoformat())
        and not (sent and now - moment(sent) < AT_LEAST)
    )


async def _post(app: App, row: Mapping[str, Any], now: datetime, local: datetime) -> bool:
    """Claim and post in one transaction; False if somebody else did, or nothing is due."""
    day = local.date().isoformat()
    engine = app.store.engine  # type: ignore[attr-defined]
    async with writing(engine) as connection:
        due, tasks = await _due(connection, row["person"], now)
        if not due and not tasks:
            return False
        free = sa.or_(reminders.c.sent_day.is_(None), reminders.c.sent_day < day)
        mine = sa.and_(reminders.c.person == row["person"], reminders.c.active, free)
        claimed = await connection.execute(reminders.update().where(mine).values(sent_day=day, sent=now))
        if not claimed.rowcount:
            return False
        reply = reminder(row["language"] or app.settings.language or "zh", due, tasks)
        await connection.execute(
            t.outbox.insert().values(
                incoming=f"remind:{row['person']}:{day}", part=0, chat=row["chat"], person=row["person"],
                reply=reply_to_json(reply), at=now, state="waiting",
            )
        )  # fmt: skip
    return True


async def _due(connection: AsyncConnection, person: str, now: datetime) -> tuple[int, int]:
    """How many reviews are due, and how many assigned modules are open."""
    ripe = sa.select(sa.func.count()).where(skills.c.person == person, skills.c.due <= now)
    tasks = sa.select(sa.func.count()).where(assignments.c.person == person, assignments.c.done.is_(None))
    return int((await connection.execute(ripe)).scalar_one()), int((await connection.execute(tasks)).scalar_one())


def reminder(language: str, due: int, tasks: int) -> Reply:
    """What the person reads."""
    spoken: Language = "en" if language == "en" else "zh"
    lines = []
    if due:
        lines.append(Say(say(spoken, "reminders.due", count=min(due, 5), all=due)))
    if tasks:
        lines.append(Say(say(spoken, "reminders.tasks", count=tasks)))
    offer = Offer(
        choices([
            (say(spoken, "reminders.begin"), "quiz:more"),
            (say(spoken, "reminders.snooze"), "remind:snooze"),
            (say(spoken, "reminders.stop"), "remind:off"),
        ])
    )  # fmt: skip
    return Reply((*lines, offer), spoken, "chat")


# -- what a person sets ------------------------------------------------------------------------------------------------


async def remind(app: App, person: Person, session: Session, incoming: Incoming, language: Language) -> Outcome:
    """`/remind`, `/remind 9`, `/remind 9 Asia/Shanghai`, `/remind off`."""
    words = incoming.text.split()
    if not words:
        return await _shown(app, person, session, language)
    if words[0].lower() in ("off", "stop", "关", "停", "关闭"):
        return _changed(session, language, {"active": False}, say(language, "reminders.is_off"))
    if not words[0].removesuffix(":00").isdecimal() or not 0 <= int(words[0].removesuffix(":00")) <= 23:
        raise CannotHelp("reminders.which_hour")
    hour = int(words[0].removesuffix(":00"))
    if not QUIET[1] <= hour < QUIET[0]:
        raise CannotHelp("reminders.quiet", first=QUIET[1], last=QUIET[0] - 1)
    records = []
    if len(words) > 1:
        if words[1] not in _zones():
            raise CannotHelp("reminders.no_zone", zone=words[1][:40])
        records.append(Record("person", {"zone": words[1]}))
    zone = words[1] if len(words) > 1 else str(zone_of(app, person.zone))
    text = say(language, "reminders.is_on", hour=hour, zone=zone)
    return _changed(session, language, {"active": True, "hour": hour}, text, records)


async def choose(app: App, person: Person, session: Session, incoming: Incoming, language: Language) -> Outcome:
    """Buttons: `remind:snooze`, `remind:off`, `remind:weekends:1`, `remind:<hour>`."""
    match (incoming.choice or "").split(":"):
        case ["remind", "snooze"]:
            until = incoming.at.astimezone(UTC) + timedelta(hours=20)
            return _changed(session, language, {"snoozed": until.isoformat()}, say(language, "reminders.snoozed"))
        case ["remind", "off"]:
            return _changed(session, language, {"active": False}, say(language, "reminders.is_off"))
        case ["remind", "weekends", flag]:
            key = "reminders.weekends_on" if flag == "1" else "reminders.weekends_off"
            return _changed(session, language, {"weekends": flag == "1"}, say(language, key))
        case ["remind", hour] if hour.isdecimal() and QUIET[1] <= int(hour) < QUIET[0]:
            text = say(language, "reminders.is_on", hour=hour, zone=str(zone_of(app, person.zone)))
            return _changed(session, language, {"active": True, "hour": int(hour)}, text)
    raise CannotHelp("core.old_button")


async def _shown(app: App, person: Person, session: Session, language: Language) -> Outcome:
    rows = await app.store.rows("SELECT * FROM reminders WHERE person = :p", p=person.id)
    zone = str(zone_of(app, person.zone))
    on = bool(rows and rows[0]["active"])
    text = say(language, "reminders.is_on", hour=rows[0]["hour"], zone=zone) if on else say(language, "reminders.none")
    pairs = [(say(language, "reminders.at", hour=hour), f"remind:{hour}") for hour in (8, 9, 12, 18)]
    if on:
        weekends = bool(rows[0]["weekends"])
        pairs.append((say(language, "reminders.not_weekends" if weekends else "reminders.also_weekends"), f"remind:weekends:{0 if weekends else 1}"))
        pairs.append((say(language, "reminders.stop"), "remind:off"))
    return Outcome(session, Reply((Say(text), Offer(choices(pairs), columns=2)), language, "chat"))


def _changed(session: Session, language: Language, values: Mapping[str, Any], text: str, more: list[Record] | None = None) -> Outcome:
    return Outcome(session, Reply((Say(text),), language, "chat"), (Record("reminder", dict(values)), *(more or [])))
