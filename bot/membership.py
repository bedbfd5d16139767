"""ADMIN: who is in and as what – invitations, roles, leaving – and how the bot is doing."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from bot.errors import CannotHelp
from bot.people import Person, Role
from bot.phrases import say
from bot.ports import App, Outcome
from bot.sessions import Session
from bot.store.people import sha256
from bot.turns import Block, Choice, Incoming, Language, Offer, Record, Reply, Say, choices

INVITATION_DAYS, CLAIM_DAYS = 7, 2


def listed(column: Any) -> list[str]:
    """A JSON column, as SQLite (text) or PostgreSQL (list) gives it back."""
    return list(json.loads(column) if isinstance(column, str) else column)



def invitation(roles: Sequence[str], at: datetime, *, team: str = "", days: int = INVITATION_DAYS, uses: int = 1, by: str | None = None) -> tuple[str, Record]:
    """A fresh code and the record that makes it valid. Only its digest is kept; guessing 96 bits is hopeless."""
    code = secrets.token_urlsafe(12)  # not app.chance: a key must not be predictable
    data = {"code_sha256": sha256(code), "roles": sorted(roles), "team": team, "until": (at + timedelta(days=days)).isoformat(), "uses": uses}
    return code, Record("invitation", data | ({"by": by} if by is not None else {}))


def link(app: App, code: str) -> str:
    """What the invited person opens; without a known bot name, the command to type."""
    username = app.extras.get("username")
    return f"https://t.me/{username}?start={code}" if username else f"/start {code}"


async def invite(app: App, person: Person, session: Session, incoming: Incoming, language: Language) -> Outcome:
    """`/invite [roles] [team] [7d] [3x]`, or a role to tap. Gives a link that can be forwarded, and a way to revoke it."""
    words = ((incoming.choice or "").partition(":")[2] or incoming.text).split()
    roles = [word.lower() for word in words if word.lower() in set(Role)]
    if not roles:
        offer = [(say(language, f"people.role_{role}"), f"invite:{role}") for role in Role]
        return _said(session, language, Say(say(language, "people.invite_how")), Offer(choices(offer), say(language, "people.invite_whom"), 2))
    days, uses, team = INVITATION_DAYS, 1, []
    for word in words:
        if found := re.fullmatch(r"(\d{1,3})([dx天次])", word.lower()):
            days, uses = (int(found[1]), uses) if found[2] in "d天" else (days, int(found[1]))
        elif word.lower() not in set(Role):
            team.append(word)
    if not 1 <= days <= 365 or not 1 <= uses <= 500:
        raise CannotHelp("people.invite_limits")
    code, record = invitation(roles, incoming.at, team=" ".join(team)[:60], days=days, uses=uses)
    names = ("、" if language == "zh" else ", ").join(say(language, f"people.role_{role}") for role in roles)
    text = say(language, "people.invited", roles=names, days=days, uses=uses)
    outcome = _said(session, language, Say(text), Say(link(app, code)), Say(say(language, "people.invite_manage"), "note"))
    return replace(outcome, records=(record,))


async def people(app: App, person: Person, session: Session, incoming: Incoming, language: Language) -> Outcome:
    """Everybody, and the invitations that are open. A name opens what can be changed."""
    wanted = re.sub(r"([\\%_])", r"\\\1", incoming.text.strip().lower())
    rows = await app.store.rows(
        "SELECT id, name, roles, team, active, blocked FROM persons "
        "WHERE lower(name || ' ' || id || ' ' || coalesce(team, '')) LIKE :wanted ESCAPE '\\' ORDER BY active DESC, name LIMIT 60",
        wanted=f"%{wanted}%",
    )
    lines = [_described(row, language) for row in rows]
    offer = [Choice(row["name"] or row["id"], f"person:{row['id']}") for row in rows[:20]]
    blocks: list[Block] = [Say(say(language, "people.list", count=len(rows)), "heading"), Say("\n".join(lines) or "–"), Offer(tuple(offer), "", 2)]
    open_rows = await app.store.rows(
        "SELECT id, roles, team, until, uses_left FROM invitations WHERE NOT revoked AND uses_left > 0 ORDER BY id DESC LIMIT 20"
    )
    open_rows = [row for row in open_rows if _moment(row["until"]) > incoming.at]
    if open_rows:
        revoke = [Choice(_invitation_line(row, language), f"uninvite:{row['id']}") for row in open_rows]
        blocks.append(Offer(tuple(revoke), say(language, "people.open_invitations")))
    return _said(session, language, *blocks)


def _described(row: Any, language: Language) -> str:
    roles = ("、" if language == "zh" else ", ").join(say(language, f"people.role_{role}") for role in listed(row["roles"]))
    state = "" if row["active"] else f" · {say(language, 'people.left')}"
    state += f" · {say(language, 'people.blocked')}" if row["blocked"] else ""
    return f"{row['name'] or row['id']}: {roles}{' · ' + row['team'] if row['team'] else ''}{state}"


def _invitation_line(row: Any, language: Language) -> str:
    roles = ("、" if language == "zh" else ", ").join(say(language, f"people.role_{role}") for role in listed(row["roles"]))
    return say(language, "people.invitation_line", roles=roles, uses=row["uses_left"], until=f"{_moment(row['until']):%m-%d}")


def _moment(value: Any) -> datetime:
    moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


async def choose(app: App, person: Person, session: Session, incoming: Incoming, language: Language) -> Outcome:
    """Taps on the admin's screens: `invite:<role>`, `uninvite:<id>`, `person:<id>`, `role:<role>:<id>`, `out:<id>`, `in:<id>`."""
    if not person.may("people"):
        raise CannotHelp("core.not_allowed", command="people")
    kind, _, rest = (incoming.choice or "").partition(":")
    match kind:
        case "invite":
            return await invite(app, person, session, incoming, language)
        case "uninvite" if rest.isdigit():
            outcome = _said(session, language, Say(say(language, "people.revoked")))
            return replace(outcome, records=(Record("uninvite", {"id": int(rest)}),))
        case "person":
            return _said(session, language, *_person_screen(await _member(app, rest), language))
        case "role":
            role, _, who = rest.partition(":")
            return await _toggle(app, session, who, role, language)
        case "out" | "in":
            return await _active(app, session, rest, kind == "in", language)
    raise CannotHelp("core.old_button")


async def _member(app: App, person_id: str) -> Person:
    found = await app.store.person(person_id)
    if found is None:
        raise CannotHelp("core.old_button")
    return found


def _person_screen(who: Person, language: Language) -> list[Block]:
    roles = ("、" if language == "zh" else ", ").join(say(language, f"people.role_{role}") for role in sorted(who.roles)) or "–"
    offer = [
        Choice(say(language, "people.take" if role in who.roles else "people.give", role=say(language, f"people.role_{role}")), f"role:{role}:{who.id}")
        for role in Role
    ]
    offer.append(Choice(say(language, "people.dismiss" if who.active else "people.readmit"), f"{'out' if who.active else 'in'}:{who.id}"))
    return [Say(who.name or who.id, "heading"), Say(say(language, "people.person", id=who.id, roles=roles, team=who.team or "–")), Offer(tuple(offer), "", 2)]


async def _toggle(app: App, session: Session, person_id: str, role: str, language: Language) -> Outcome:
    who = await _member(app, person_id)
    if role not in set(Role):
        raise CannotHelp("core.old_button")
    changed = replace(who, roles=who.roles ^ {Role(role)})
    record = Record("roles", {"person": who.id, "roles": sorted(changed.roles)})
    return replace(_said(session, language, *_person_screen(changed, language)), records=(record,))


async def _active(app: App, session: Session, person_id: str, active: bool, language: Language) -> Outcome:
    who = await _member(app, person_id)
    text = say(language, "people.readmitted" if active else "people.dismissed", name=who.name or who.id)
    return replace(_said(session, language, Say(text)), records=(Record("roles", {"person": who.id, "active": active}),))


async def status(app: App, person: Person, session: Session, incoming: Incoming, language: Language) -> Outcome:
    """How the bot is doing, in numbers: nobody's words."""
    queries = {
        "people": "SELECT count(*) AS n FROM persons WHERE active",
        "turns": "SELECT count(*) AS n FROM turns",
        "waiting": "SELECT count(*) AS n FROM inbox WHERE state = 'new'",
        "unsent": "SELECT count(*) AS n FROM outbox WHERE state = 'waiting' AND chat LIKE 'tg:%'",
        "parked": "SELECT count(*) AS n FROM inbox WHERE state = 'parked'",
    }
    counts = {name: int((await app.store.rows(query))[0]["n"]) for name, query in queries.items()}
    model = app.model.name if app.model else "–"
    text = say(language, "people.status", version=app.retriever.version, model=model, cards=len(app.retriever.cards()), **counts)
    return _said(session, language, Say(text))


def _said(session: Session, language: Language, *blocks: Block) -> Outcome:
    return Outcome(session, Reply(tuple(blocks), language, "chat"))
