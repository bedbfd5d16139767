"""What a language model was used for: tokens and cost per person and day, for budgets and the cost report."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.store.tables import metadata
from bot.turns import Incoming

usage = sa.Table(
    "usage",
    metadata,
    sa.Column("person", sa.String(100), primary_key=True),
    sa.Column("day", sa.String(10), primary_key=True),  # UTC, YYYY-MM-DD
    sa.Column("model", sa.String(200), primary_key=True),
    sa.Column("calls", sa.Integer, nullable=False),
    sa.Column("failures", sa.Integer, nullable=False, server_default="0"),
    sa.Column("input_tokens", sa.BigInteger, nullable=False),
    sa.Column("output_tokens", sa.BigInteger, nullable=False),
    sa.Column("cost", sa.Float, nullable=False, server_default="0"),  # in the currency of COACH_LLM_PRICE_*
)
SPENT = "SELECT COALESCE(SUM(input_tokens + output_tokens), 0) AS tokens FROM usage WHERE person = :person AND day = :day"


def day_of(moment: datetime) -> str:
    return moment.date().isoformat()


async def write_usage(connection: AsyncConnection, incoming: Incoming, data: Mapping[str, Any]) -> None:
    """Add calls, failures, tokens and cost to the person's day."""
    key = {"person": incoming.person, "day": data["day"], "model": data["model"]}
    here = sa.and_(*(usage.c[name] == value for name, value in key.items()))
    sums = {name: data[name] for name in ("calls", "failures", "input_tokens", "output_tokens", "cost")}
    done = await connection.execute(usage.update().where(here).values({name: usage.c[name] + value for name, value in sums.items()}))
    if not done.rowcount:
        await connection.execute(usage.insert().values(**key, **sums))
