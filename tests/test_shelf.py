"""The shelf: versions are whole, rollback is exact, drafts are invisible, old citations stay readable."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bot.errors import SetupProblem
from bot.store.database import open_engine
from knowledge.passages import Passage
from knowledge.shelf import Edition, Shelf

NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)


def edition(name: str, *texts: str) -> Edition:
    passages = tuple(Passage(f"{name}#{i}", text, f"p. {i}", "en", name, name) for i, text in enumerate(texts))
    return Edition(name, "document", name, "\n".join(texts), f"sha-{'-'.join(texts)}", passages)


@pytest.fixture
async def shelf(tmp_path: Path):
    engine = await open_engine(None, tmp_path)
    yield Shelf(engine)
    await engine.dispose()


async def texts(shelf: Shelf, version: int | None = None) -> list[str]:
    return [item.text for item in await shelf.passages(version)]


async def test_a_new_revision_replaces_the_old_one(shelf: Shelf) -> None:
    assert await shelf.publish([edition("a", "one", "two")], at=NOW, author="t") == 1
    assert await shelf.publish([edition("a", "three")], at=NOW, author="t") == 2
    assert await texts(shelf) == ["three"]
    assert await texts(shelf, 1) == ["one", "two"]


async def test_rollback_brings_back_exactly_what_was_there(shelf: Shelf) -> None:
    await shelf.publish([edition("a", "one"), edition("b", "x")], at=NOW, author="t")
    await shelf.publish([edition("a", "two")], retire=["b"], at=NOW, author="t")
    await shelf.publish([edition("c", "new")], at=NOW, author="t")
    assert await shelf.rollback(1, at=NOW, author="t") == 4
    assert await texts(shelf) == await texts(shelf, 1) == ["one", "x"]
    assert await shelf.rollback(3, at=NOW, author="t") == 5
    assert await texts(shelf) == ["two", "new"]


async def test_drafts_are_invisible_until_published_and_publish_once(shelf: Shelf) -> None:
    draft = await shelf.draft(edition("a", "secret"), at=NOW, author="t")
    assert await texts(shelf) == []
    assert await shelf.passage("a#0") is None
    await shelf.publish_draft(draft, at=NOW, author="t")
    assert await texts(shelf) == ["secret"]
    with pytest.raises(LookupError):
        await shelf.publish_draft(draft, at=NOW, author="t")


async def test_an_old_citation_still_shows_the_text_that_was_cited(shelf: Shelf) -> None:
    await shelf.publish([edition("a", "old words")], at=NOW, author="t")
    await shelf.publish([edition("a", "new words")], at=NOW, author="t")
    await shelf.publish([], retire=["a"], at=NOW, author="t")
    cited = await shelf.passage("a#0", 1)
    assert cited is not None and cited.text == "old words"


async def test_readers_do_not_wait_for_a_writer(shelf: Shelf) -> None:
    await shelf.publish([edition("a", "one")], at=NOW, author="t")
    reads = (shelf.version, shelf.documents, shelf.passages, shelf.cards, shelf.drafts, shelf.history, shelf.seen, shelf.taken_off)
    async with shelf.engine.begin():  # somebody writes, and takes long
        async with asyncio.timeout(5):
            found = [await read() for read in (*reads, lambda: shelf.passage("a#0"), lambda: shelf.revision(1), lambda: shelf.known_vectors("m", ["h"]))]
    assert found[0] == 1
    assert [item.text for item in found[2]] == ["one"]


async def test_a_failed_publish_leaves_nothing_behind(shelf: Shelf) -> None:
    await shelf.publish([edition("a", "one")], at=NOW, author="t")
    twice = edition("b", "x")
    broken = Edition("c", "document", "c", "", "s", (twice.passages[0],), details={"a": float("nan")})
    object.__setattr__(broken, "title", None)  # a title is NOT NULL: the last statement fails
    with pytest.raises(Exception, match="NOT NULL|null value"):
        await shelf.publish([twice, broken], at=NOW, author="t")
    assert await shelf.version() == 1 and await texts(shelf) == ["one"]


async def test_vectors_are_kept_by_model_and_content(shelf: Shelf) -> None:
    await shelf.keep_vectors("m1", {"h": b"1234"})
    await shelf.keep_vectors("m1", {"h": b"9999", "i": b"5678"})
    assert await shelf.known_vectors("m1", ["h", "i", "j"]) == {"h": b"1234", "i": b"5678"}
    assert await shelf.known_vectors("m2", ["h"]) == {}


async def test_a_database_from_a_newer_version_is_refused_with_the_cure(tmp_path: Path) -> None:
    import sqlalchemy as sa

    engine = await open_engine(None, tmp_path)
    async with engine.begin() as connection:
        await connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    await engine.dispose()
    with pytest.raises(SetupProblem, match="newer version.*Update the program"):
        await open_engine(None, tmp_path)


async def test_a_damaged_database_file_is_named_with_the_cure(tmp_path: Path) -> None:
    (tmp_path / "coach.db").write_bytes(b"this is not a database" * 100)
    with pytest.raises(SetupProblem, match="restore a backup"):
        await open_engine(None, tmp_path)


async def test_the_first_migration_makes_exactly_our_tables(tmp_path: Path) -> None:
    import sqlalchemy as sa

    import bot.store  # noqa: F401 (registers every room's tables)
    from bot.store.tables import metadata as ours
    from knowledge.shelf import metadata as theirs

    engine = await open_engine(None, tmp_path)
    async with engine.connect() as connection:
        made = await connection.run_sync(lambda c: {n: {x["name"] for x in sa.inspect(c).get_columns(n)} for n in sa.inspect(c).get_table_names()})
    await engine.dispose()
    wanted = {table.name: {column.name for column in table.columns} for m in (ours, theirs) for table in m.tables.values()}
    assert {name: made[name] for name in wanted} == wanted
