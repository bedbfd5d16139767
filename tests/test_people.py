"""Ten thousand people: whoever is forgotten takes nobody along, and no turn looks through what everybody left."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from bot.store import tables as t
from bot.store.database import open_engine
from bot.store.people import forget_person, personal_tables

NOW = datetime(2026, 11, 24, 9, tzinfo=UTC)


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    opened = await open_engine(None, tmp_path)
    yield opened
    await opened.dispose()


async def audited(engine: AsyncEngine, **details: object) -> None:
    async with engine.begin() as connection:
        await connection.execute(t.audit.insert().values(at=NOW, person="tg:9", what="changed", details=details))


async def left_in_the_audit(engine: AsyncEngine) -> list[dict[str, object]]:
    async with engine.begin() as connection:
        return list((await connection.execute(sa.select(t.audit.c.details).where(t.audit.c.what == "changed"))).scalars())


async def test_forgetting_somebody_leaves_those_with_longer_ids_in_the_audit(engine: AsyncEngine) -> None:
    await audited(engine, person="tg:12", roles=["rep"])
    await audited(engine, reason="asked by tg:12, not by tg:123")
    async with engine.begin() as connection:
        await forget_person(connection, "tg:1", everything=True, at=NOW)
    assert await left_in_the_audit(engine) == [{"person": "tg:12", "roles": ["rep"]}, {"reason": "asked by tg:12, not by tg:123"}]


@pytest.mark.parametrize("person", ["tg:1", "terminal:王芳", "terminal:a_%b"])
async def test_forgetting_finds_a_person_wherever_the_audit_names_them(engine: AsyncEngine, person: str) -> None:
    for details in ({"person": person}, {"people": ["tg:7", person]}, {"deep": {"er": [person]}}):
        await audited(engine, **details)
    async with engine.begin() as connection:
        await forget_person(connection, person, everything=False, at=NOW)
    assert await left_in_the_audit(engine) == [{}, {}, {}]
