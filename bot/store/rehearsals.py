"""What role-plays leave behind: runs with their scorecards, contested checks with their rulings, trainers' scenarios."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.store.tables import Id, When, metadata
from bot.turns import Incoming

rehearsals = sa.Table(
    "rehearsals",
    metadata,
    sa.Column("run", sa.String(40), primary_key=True),
    sa.Column("person", sa.String(100), nullable=False, index=True),
    sa.Column("scenario", sa.String(10), nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("variant", sa.String(2), nullable=False),
    sa.Column("level", sa.Integer, nullable=False),
    sa.Column("language", sa.String(2), nullable=False),
    sa.Column("at", When, nullable=False),
    sa.Column("ended", sa.String(10), nullable=False),  # won | lost | left | open (given up)
    sa.Column("talk", sa.JSON, nullable=False),  # every turn with its state
    sa.Column("card", sa.JSON, nullable=False),  # the scorecard, with the version of its ruleset
    sa.Column("ruleset", sa.String(20), nullable=False),
    sa.Column("total", sa.Float),  # None = not scored
    sa.Column("passed", sa.Boolean, nullable=False),
    sa.Column("practice", sa.Boolean, nullable=False),
    sa.Index("rehearsals_latest", "scenario", "at", "passed"),
)
appeals = sa.Table(
    "appeals",
    metadata,
    sa.Column("id", Id, primary_key=True, autoincrement=True),
    sa.Column("run", sa.String(40), nullable=False),
    sa.Column("person", sa.String(100), nullable=False, index=True),
    sa.Column("at", When, nullable=False),
    sa.Column("about", sa.String(40), nullable=False),
    sa.Column("observed", sa.Boolean, nullable=False),  # what the scoring had said
    sa.Column("quote", sa.Text, nullable=False),
    sa.Column("excerpt", sa.Text, nullable=False),  # the rep's lines, for the trainer
    sa.Column("language", sa.String(2), nullable=False),
    sa.Column("ruling", sa.Boolean),  # None = open; what the trainer says about the check
    sa.Column("ruled_by", sa.String(100), nullable=False, server_default=""),
    sa.Column("ruled_at", When),
    sa.UniqueConstraint("run", "about", name="appeals_once"),
)
scenario_drafts = sa.Table(
    "scenario_drafts",
    metadata,
    sa.Column("id", sa.String(10), primary_key=True),
    sa.Column("source", sa.Text, nullable=False),  # the file, as the trainer wrote it
    sa.Column("author", sa.String(100), nullable=False),
    sa.Column("at", When, nullable=False),
    sa.Column("published", sa.Boolean, nullable=False),
)


async def write_rehearsal(connection: AsyncConnection, incoming: Incoming, data: Mapping[str, Any]) -> None:
    """A finished run; scored again after a ruling, it replaces its row."""
    await connection.execute(rehearsals.delete().where(rehearsals.c.run == data["run"]))
    owner = data.get("person", incoming.person)
    values = {key: value for key, value in data.items() if key != "person"}
    await connection.execute(rehearsals.insert().values(person=owner, at=incoming.at, **values))


async def write_appeal(connection: AsyncConnection, incoming: Incoming, data: Mapping[str, Any]) -> None:
    known = sa.select(appeals.c.id).where(appeals.c.run == data["run"], appeals.c.about == data["about"])
    if (await connection.execute(known)).first() is None:
        await connection.execute(appeals.insert().values(person=incoming.person, at=incoming.at, **data))


async def write_ruling(connection: AsyncConnection, incoming: Incoming, data: Mapping[str, Any]) -> None:
    """Only an open appeal can be ruled; who was second changes nothing."""
    await connection.execute(
        appeals.update()
        .where(appeals.c.id == data["id"], appeals.c.ruling.is_(None))
        .values(ruling=data["ruling"], ruled_by=incoming.person, ruled_at=incoming.at)
    )


async def write_scenario(connection: AsyncConnection, incoming: Incoming, data: Mapping[str, Any]) -> None:
    await connection.execute(scenario_drafts.delete().where(scenario_drafts.c.id == data["id"]))
    await connection.execute(
        scenario_drafts.insert().values(
            id=data["id"], source=data["source"], published=data["published"], author=incoming.person, at=incoming.at
        )
    )


REHEARSAL_WRITERS: dict[str, Callable[[AsyncConnection, Incoming, Mapping[str, Any]], Awaitable[None]]] = {
    "rehearsal": write_rehearsal,
    "appeal": write_appeal,
    "ruling": write_ruling,
    "scenario": write_scenario,
}
