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


async def plan(engine: AsyncEngine, query: str) -> str:
    async with engine.begin() as connection:
        return " | ".join(str(row[-1]) for row in await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {query}"))


@pytest.mark.parametrize("table", sorted(personal_tables()))
async def test_what_is_kept_of_a_person_is_found_without_reading_everybodys(engine: AsyncEngine, table: str) -> None:
    found = await plan(engine, f"SELECT * FROM {table} WHERE {personal_tables()[table]} = 'tg:1'")
    assert found.startswith(f"SEARCH {table} USING"), found


async def test_the_latest_replies_of_a_chat_are_found_in_order(engine: AsyncEngine) -> None:
    found = await plan(engine, "SELECT reply FROM outbox WHERE chat = 'tg:1' ORDER BY id DESC LIMIT 40")
    assert "USING INDEX outbox_of_chat" in found and "TEMP B-TREE" not in found


async def test_whoever_writes_again_is_found_by_their_chat(engine: AsyncEngine) -> None:
    assert "USING INDEX ix_persons_chat" in await plan(engine, "UPDATE persons SET blocked = 0 WHERE chat = 'tg:1' AND blocked")


@pytest.mark.parametrize("query", [
    "SELECT question, COUNT(*), SUM(correct) FROM quiz_asked WHERE answered IS NOT NULL GROUP BY question",
    "SELECT scenario, COUNT(*), SUM(passed) FROM rehearsals GROUP BY scenario",
])  # fmt: skip
async def test_a_trainers_counts_open_nobodys_talks_or_questions(engine: AsyncEngine, query: str) -> None:
    assert "COVERING INDEX" in await plan(engine, query)
