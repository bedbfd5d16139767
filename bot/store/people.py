"""What turns do to people: joining by invitation, roles, leaving, and being forgotten."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.errors import CannotHelp
from bot.store import tables as t
from bot.turns import Incoming

WORDS = re.compile(r"[\w:@+-]+", re.ASCII)
KEEP_ROWS = frozenset({"audit", "invitations", "appeals"})  # the company's record of what was done: kept without the name


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def personal_tables() -> dict[str, str]:
    """Table → the column that names its person. Found from the tables themselves, so that a new room's are included."""
    found = {table.name: "person" for table in t.metadata.sorted_tables if "person" in table.c}
    return found | {"persons": "id"}


async def write_invitation(connection: AsyncConnection, incoming: Incoming, data: Mapping[str, Any]) -> None:
    await connection.execute(
        t.invitations.insert().values(
            code_sha256=data["code_sha256"], roles=data["roles"], team=data.get("team", ""), person=data.get("by", incoming.person),
            made=incoming.at, until=datetime.fromisoformat(data["until"]), uses_left=data.get("uses", 1),
        )
    )  # fmt: skip
    await _audit(connection, incoming, "invited", {"roles": data["roles"], "team": data.get("team", "")})


async def write_uninvite(connection: AsyncConnection, incoming: Incoming, data: Mapping[str, Any]) -> None:
    """Revoke an invitation; it stays in the list of the past."""
    await connection.execute(t.invitations.update().where(t.invitations.c.id == data["id"]).values(revoked=True))
    await _audit(connection, incoming, "uninvited", {"id": data["id"]})


async def write_join(connection: AsyncConnection, incoming: Incoming, data: Mapping[str, Any]) -> None:
    """Use an invitation up by one and take the person in (or add the roles to those they have)."""
    valid = sa.and_(
        t.invitations.c.id == data["id"], t.invitations.c.uses_left > 0, ~t.invitations.c.revoked, t.invitations.c.until > incoming.at
    )
    used = await connection.execute(t.invitations.update().where(valid).values(uses_left=t.invitations.c.uses_left - 1))
    if not used.rowcount:
        raise CannotHelp("people.invitation_over")
    row = (await connection.execute(sa.select(t.persons).where(t.persons.c.id == incoming.person))).first()
    roles = {*data["roles"], *(row.roles if row and row.active else [])}
    values = {"roles": sorted(roles), "active": True, "blocked": False, "name": incoming.display_name or ""}
    values |= {"team": data["team"]} if data.get("team") or row is None else {}
    values |= {"chat": incoming.chat} if incoming.private else {}
    if row:
        await connection.execute(t.persons.update().where(t.persons.c.id == incoming.person).values(**values))
    else:
        values = {"chat": "", **values}
        await connection.execute(t.persons.insert().values(id=incoming.person, options={}, joined=incoming.at, **values))
    await _audit(connection, incoming, "joined", {"person": incoming.person, "roles": sorted(roles)})


async def write_roles(connection: AsyncConnection, incoming: Incoming, data: Mapping[str, Any]) -> None:
    """Change somebody's roles, team, or whether they are in at all. Takes effect with their next turn."""
    changed = {key: data[key] for key in ("roles", "team", "active") if key in data}
    if _loses_admin(changed) and not await _another_admin(connection, data["person"]):
        raise CannotHelp("people.last_admin")
    await connection.execute(t.persons.update().where(t.persons.c.id == data["person"]).values(**changed))
    await _audit(connection, incoming, "changed", {"person": data["person"], **changed})


def _loses_admin(changed: Mapping[str, Any]) -> bool:
    return changed.get("active") is False or ("roles" in changed and "admin" not in changed["roles"])


async def _another_admin(connection: AsyncConnection, person: str) -> bool:
    rows = (await connection.execute(sa.select(t.persons.c.id, t.persons.c.roles).where(t.persons.c.active))).all()
    admins = {row.id for row in rows if "admin" in row.roles}
    return person not in admins or bool(admins - {person})


async def write_forget(connection: AsyncConnection, incoming: Incoming, data: Mapping[str, Any]) -> None:
    """The speaking person wants to be forgotten. `all`: their membership too."""
    await forget_person(connection, incoming.person, everything=bool(data.get("all")), at=incoming.at, but=incoming.id)


async def forget_person(
    connection: AsyncConnection, person: str, *, everything: bool, at: datetime, but: str = ""
) -> None:
    """Delete all that is kept about a person (`but`: the inbox row being answered just now).

    What remains is a digest of the id, so that a restored backup can forget them again.
    """
    await _forget_in_audit(connection, person)
    for name, column in personal_tables().items():
        table = t.metadata.tables[name]
        if name == "inbox" or (name == "persons" and not everything):
            continue
        mine = table.c[column] == person
        if name in KEEP_ROWS:
            await connection.execute(table.update().where(mine).values({column: ""}))
        else:
            await connection.execute(table.delete().where(mine))
    others = sa.and_(t.inbox.c.person == person, t.inbox.c.id != but)
    await connection.execute(t.inbox.update().where(others, t.inbox.c.state.in_(("done", "parked"))).values(raw="", chat="", person=""))
    if not everything:
        await connection.execute(t.persons.update().where(t.persons.c.id == person).values(options={}))
    digest = {"sha256": sha256(person), "all": everything}
    await connection.execute(t.audit.insert().values(at=at, person="", what="forgotten", details=digest))


async def _forget_in_audit(connection: AsyncConnection, person: str) -> None:
    """Their notes to the trainers go; what was done to or by them stays, without saying to or by whom."""
    await connection.execute(t.audit.delete().where(t.audit.c.person == person, t.audit.c.what == "feedback"))
    perhaps = sa.cast(t.audit.c.details, sa.Text).contains(json.dumps(person)[1:-1], autoescape=True)
    rows = (await connection.execute(sa.select(t.audit.c.id, t.audit.c.details).where(perhaps))).all()
    named = [row.id for row in rows if _names(row.details, person)]
    if named:
        await connection.execute(t.audit.update().where(t.audit.c.id.in_(named)).values(details={}))


def _names(details: Any, person: str) -> bool:
    """Does a value, or one within it, name this very person? `tg:12` does not name `tg:1`."""
    if isinstance(details, str):
        return details == person or person in WORDS.findall(details)
    if isinstance(details, Mapping):
        return any(_names(value, person) for value in details.values())
    return isinstance(details, list) and any(_names(value, person) for value in details)


async def _audit(connection: AsyncConnection, incoming: Incoming, what: str, details: Mapping[str, Any]) -> None:
    await connection.execute(t.audit.insert().values(at=incoming.at, person=incoming.person, what=what, details=dict(details)))
