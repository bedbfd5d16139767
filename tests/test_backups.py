"""Backup and restore: nothing is lost, damage is noticed, and the forgotten stay forgotten."""

import json
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bot.__main__ import main
from bot.app import open_app
from bot.conversation import serve
from bot.errors import SetupProblem
from bot.people import Person, Role
from bot.ports import App
from bot.settings import Settings
from bot.turns import Incoming

NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)
ANNA = Person("t:anna", frozenset({Role.REP}), "Anna", chat="a")
EVE = Person("t:eve", frozenset({Role.REP}), "Eve", chat="e")
SECRET = "三个部门互相推，没人牵头，暗号是蓝鲸"


async def talk(app: App, person: Person, number: int, text: str = "", choice: str | None = None) -> None:
    await app.store.welcome(person, NOW)
    await serve(app, person, Incoming(f"{person.id}-{number}", person.chat, person.id, NOW, text, choice=choice))


async def filled(settings: Settings) -> None:
    async with open_app(settings) as app:
        await talk(app, ANNA, 1, SECRET)
        await talk(app, EVE, 1, "The price is too high, they say")


async def test_a_restored_backup_holds_everything_and_answers_alike(settings: Settings, tmp_path: Path) -> None:
    await filled(settings)
    backup, fresh = tmp_path / "b.zip", tmp_path / "fresh"
    assert await run("backup", str(backup), "--data", str(settings.data_dir)) == 0
    assert await run("verify", str(backup)) == 0
    assert await run("restore", str(backup), "--data", str(fresh)) == 0
    assert await run("verify", "--data", str(fresh)) == 0
    async with open_app(settings) as old, open_app(Settings(data_dir=fresh, _env_file=None), retrieval=False) as new:  # type: ignore[call-arg]
        assert await new.shelf.passages() == await old.shelf.passages()
        assert await new.store.session("a", ANNA.id) == await old.store.session("a", ANNA.id)
        assert await new.store.rows("SELECT * FROM turns ORDER BY id") == await old.store.rows("SELECT * FROM turns ORDER BY id")


async def test_whoever_was_forgotten_after_the_backup_is_forgotten_again(settings: Settings, tmp_path: Path) -> None:
    await filled(settings)
    old, newer, fresh = tmp_path / "old.zip", tmp_path / "newer.zip", tmp_path / "fresh"
    await run("backup", str(old), "--data", str(settings.data_dir))
    async with open_app(settings) as app:
        await talk(app, ANNA, 2, choice="privacy:forget:all")
    await run("backup", str(newer), "--data", str(settings.data_dir))
    assert await run("restore", str(old), "--deletions", str(newer), "--data", str(fresh)) == 0
    async with open_app(Settings(data_dir=fresh, _env_file=None), retrieval=False) as app:  # type: ignore[call-arg]
        assert await app.store.person(ANNA.id) is None and await app.store.person(EVE.id) is not None
    again = tmp_path / "again.zip"
    await run("backup", str(again), "--data", str(fresh))
    with zipfile.ZipFile(again) as archive:
        everything = "".join(archive.read(name).decode() for name in archive.namelist())
    assert "t:anna" not in everything and "蓝鲸" not in everything and "t:eve" in everything


async def test_a_damaged_backup_is_refused_and_nothing_is_created(settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    await filled(settings)
    good, bad, cut = tmp_path / "good.zip", tmp_path / "bad.zip", tmp_path / "cut.zip"
    await run("backup", str(good), "--data", str(settings.data_dir))
    with zipfile.ZipFile(good) as source, zipfile.ZipFile(bad, "w") as target:
        for name in source.namelist():
            data = source.read(name)
            target.writestr(name, data.replace(b"Eve", b"Bob") if name.endswith("persons.jsonl") else data)
    cut.write_bytes(good.read_bytes()[:2000])
    for broken in (bad, cut, tmp_path / "none.zip"):
        assert await run("restore", str(broken), "--data", str(tmp_path / "fresh")) == 2
        assert not (tmp_path / "fresh").exists()
        told = capsys.readouterr().err
        assert broken.name in told and ("damaged" in told or "not a complete backup" in told or "no such file" in told)


async def test_restore_never_overwrites(settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    await run("backup", str(tmp_path / "b.zip"), "--data", str(settings.data_dir))
    assert await run("restore", str(tmp_path / "b.zip"), "--data", str(settings.data_dir)) == 2
    assert "not empty" in capsys.readouterr().err


async def test_a_backup_of_another_schema_is_refused(settings: Settings, tmp_path: Path) -> None:
    from bot.backups import read_manifest, write_backup
    from bot.store.database import open_engine

    engine = await open_engine(None, settings.data_dir)
    await write_backup(engine, tmp_path / "b.zip", NOW)
    await engine.dispose()
    with zipfile.ZipFile(tmp_path / "b.zip") as source, zipfile.ZipFile(tmp_path / "c.zip", "w") as target:
        for name in source.namelist():
            data = source.read(name)
            target.writestr(name, json.dumps(json.loads(data) | {"schema": "0000"}) if name == "manifest.json" else data)
    with pytest.raises(SetupProblem, match="schema 0000"):
        read_manifest(tmp_path / "c.zip")


def rows_in(backup: Path) -> dict[str, list[str]]:
    """Every row of a backup by table; their order is the engine's own."""
    with zipfile.ZipFile(backup) as archive:
        return {name: sorted(archive.read(name).decode().splitlines()) for name in archive.namelist() if name.startswith("tables/")}


async def test_a_backup_moves_to_another_engine_and_back_with_deletions(
    settings: Settings, tmp_path: Path, postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite → PostgreSQL: the same rows, new ids begin after theirs. PostgreSQL → SQLite: whoever was forgotten there stays so."""
    import psycopg

    await filled(settings)
    first, there, newer, back = (tmp_path / f"{name}.zip" for name in ("first", "there", "newer", "back"))
    await run("backup", str(first), "--data", str(settings.data_dir))
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute("CREATE DATABASE moved")
        connection.execute("ALTER DATABASE moved SET timezone TO 'Asia/Shanghai'")
    url, other = postgres.replace("/postgres?", "/moved?"), tmp_path / "other"
    monkeypatch.setenv("COACH_DATABASE_URL", url)
    monkeypatch.setenv("COACH_DATA_DIR", str(other))  # --data would mean SQLite in that directory
    assert await run("restore", str(first)) == 0
    assert await run("backup", str(there)) == 0
    assert rows_in(there) == rows_in(first)
    async with open_app(Settings(data_dir=other, database_url=url, _env_file=None), retrieval=False) as app:  # type: ignore[call-arg]
        await serve(app, EVE, Incoming("e-2", EVE.chat, EVE.id, NOW, command="settings"))
        await talk(app, ANNA, 2, choice="privacy:forget:all")
    assert await run("backup", str(newer)) == 0
    assert not (other / "coach.db").exists()
    monkeypatch.delenv("COACH_DATABASE_URL")
    monkeypatch.delenv("COACH_DATA_DIR")
    for backup, folder in ((newer, tmp_path / "home"), (first, tmp_path / "old-again")):
        assert await run("restore", str(backup), "--deletions", str(newer), "--data", str(folder)) == 0
        assert await run("verify", "--data", str(folder)) == 0
        await run("backup", str(back), "--data", str(folder))
        left = [(name, line) for name, lines in rows_in(back).items() for line in lines]
        assert [row for row in left if '"t:anna"' in row[1] or "蓝鲸" in row[1]] == [] and any('"t:eve"' in line for _, line in left)
        for table in ("turns", "sessions", "persons", "shelf_passages") if backup == newer else ():
            assert rows_in(back)[f"tables/{table}.jsonl"] == rows_in(newer)[f"tables/{table}.jsonl"], table


async def run(*words: str) -> int:
    """A command in a thread of its own: it brings its own event loop."""
    import asyncio

    return await asyncio.to_thread(main, list(words))
