"""What is kept of a person and why, handed over or deleted at their word, and how long it is kept at all."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from bot.errors import CannotHelp
from bot.people import Person
from bot.phrases import say
from bot.ports import App, Outcome
from bot.sessions import Session
from bot.store.people import personal_tables, sha256
from bot.turns import Block, File, Incoming, Language, Offer, Record, Reply, Say, choices

ZONES = ("Asia/Shanghai", "Asia/Singapore", "Europe/Berlin", "America/New_York")
COUNTS = "SELECT " + ", ".join(f"(SELECT COUNT(*) FROM {name} WHERE person = :person) AS {name}" for name in ("turns", "gaps", "feedback"))
LETTERS_KEPT = timedelta(days=7)  # ids of answered letters, against repeats; parked ones with their text


async def privacy(app: App, person: Person, session: Session, incoming: Incoming, language: Language) -> Outcome:
    """What is kept, why, what leaves the house; export and delete."""
    (counts,) = await app.store.rows(COUNTS, person=person.id)
    kept = say(language, "privacy.kept", **counts, days=app.settings.keep_history_days)
    leaves = say(language, "privacy.model", model=app.model.name) if app.model else say(language, "privacy.no_model")
    offer = [
        (say(language, "privacy.export"), "privacy:export"),
        (say(language, "privacy.forget"), "privacy:forget"),
    ]
    blocks: list[Block] = [Say(say(language, "privacy.title"), "heading"), Say(kept), Say(say(language, "privacy.who")), Say(leaves), Offer(choices(offer))]
    return _said(session, language, *blocks)


async def choose(app: App, person: Person, session: Session, incoming: Incoming, language: Language) -> Outcome:
    """`privacy:export`, `privacy:forget` and its confirmations."""
    if not incoming.private:
        raise CannotHelp("core.only_private", command="privacy")
    match incoming.choice:
        case "privacy:export":
            file = await export(app, person, incoming.at)
            return _said(session, language, Say(say(language, "privacy.exported")), file)
        case "privacy:forget":
            offer = [
                (say(language, "privacy.forget_data"), "privacy:forget:data"),
                (say(language, "privacy.forget_all"), "privacy:forget:all"),
                (say(language, "privacy.keep"), "privacy:keep"),
            ]
            return _said(session, language, Say(say(language, "privacy.sure")), Offer(choices(offer)))
        case "privacy:forget:data" | "privacy:forget:all":
            everything = incoming.choice.endswith(":all")
            text = say(language, "privacy.forgotten_all" if everything else "privacy.forgotten")
            outcome = _said(Session(session.chat, session.person, version=session.version), language, Say(text))
            return replace(outcome, records=(Record("forget", {"all": everything}),))
        case "privacy:keep":
            return _said(session, language, Say(say(language, "privacy.kept_as_is")))
    raise CannotHelp("core.old_button")


async def export(app: App, person: Person, at: datetime) -> File:
    """Everything that is stored about a person, as a JSON file."""
    found = {name: rows for name, rows in (await _rows(app, person.id)).items() if rows}
    data = {"person": person.id, "exported": at.isoformat(), **found}
    folder = app.data_dir / "exports"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{sha256(person.id)[:16]}.json"
    path.write_text(json.dumps(data, ensure_ascii=False, indent=1, default=str), encoding="utf-8")
    return File(str(path), "my-data.json")


async def _rows(app: App, person: str) -> Mapping[str, list[dict[str, Any]]]:
    """The rows of every table that name a person, by table."""
    found = {}
    for table, column in personal_tables().items():
        rows = await app.store.rows(f"SELECT * FROM {table} WHERE {column} = :person", person=person)
        found[table] = [dict(row) for row in rows]
    return found


async def settings(app: App, person: Person, session: Session, incoming: Incoming, language: Language) -> Outcome:
    """`/settings`: language and time zone. `/settings Europe/Berlin` sets the zone."""
    wanted = (incoming.choice or "").removeprefix("zone:") if incoming.choice else incoming.text.strip()
    if wanted:
        return _zone(session, language, wanted)
    text = say(language, "privacy.settings", language=language, zone=person.zone or app.settings.zone, team=person.team or "–")
    languages = Offer(choices([("中文", "lang:zh"), ("English", "lang:en"), (say(language, "core.language_auto"), "lang:auto")]), "", 2)
    zones = Offer(choices([(zone, f"zone:{zone}") for zone in ZONES]), say(language, "privacy.zone"), 2)
    return _said(session, language, Say(say(language, "privacy.settings_title"), "heading"), Say(text), languages, zones)


def _zone(session: Session, language: Language, name: str) -> Outcome:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise CannotHelp("privacy.unknown_zone", name=name[:40]) from None
    outcome = _said(session, language, Say(say(language, "privacy.zone_set", zone=name)))
    return replace(outcome, records=(Record("person", {"zone": name}),))


async def sweep(app: App) -> None:
    """What is older than the company keeps goes; exports and uploads go after a day."""
    now = app.clock()
    await app.store.prune(history=now - timedelta(days=app.settings.keep_history_days), letters=now - LETTERS_KEPT)
    for folder in ("exports", "uploads"):
        for path in (app.data_dir / folder).glob("*"):
            if now.timestamp() - path.stat().st_mtime > 86_400:
                Path(path).unlink(missing_ok=True)


def _said(session: Session, language: Language, *blocks: Block) -> Outcome:
    return Outcome(session, Reply(tuple(blocks), language, "chat"))
