"""What the trainer's desk leaves behind: gaps that were answered or withheld."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.store import tables as t
from bot.turns import Incoming


async def write_gap_answered(connection: AsyncConnection, incoming: Incoming, data: Mapping[str, Any]) -> None:
    """Gaps that a published document answers."""
    ids = [int(item) for item in data["ids"]]
    await connection.execute(t.gaps.update().where(t.gaps.c.id.in_(ids)).values(answered_by=data["document"]))


async def write_gap_withheld(connection: AsyncConnection, incoming: Incoming, data: Mapping[str, Any]) -> None:
    """A question of the person, by its words, is kept from the trainers, however often they asked it."""
    mine = sa.and_(t.gaps.c.person == incoming.person, t.gaps.c.text == data["text"])
    await connection.execute(t.gaps.update().where(mine).values(withheld=True))
