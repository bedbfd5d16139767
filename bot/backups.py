"""A backup is one zip file: every table as JSON Lines, and a manifest with counts and checksums.

The same file restores into SQLite or PostgreSQL. Vectors are left out: they are computed anew from the passages.
People who were forgotten after the backup was made are forgotten again when it is restored.
"""

from __future__ import annotations

import base64
import hashlib
import json
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

import bot.store  # noqa: F401 (registers every room's tables)
from bot.errors import SetupProblem
from bot.store import tables as ours
from bot.store.database import head_revision, writing
from bot.store.people import forget_person, personal_tables, sha256
from knowledge import shelf
from knowledge.readers.office import BROKEN_ZIP

FORMAT = 1
LEFT_OUT = frozenset({"shelf_vectors", "leases"})  # derived, or meaningless on another machine
BATCH = 500


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup holds: schema revision, when it was made, rows and SHA-256 by table."""

    format: int
    schema: str
    made: str
    tables: Mapping[str, Mapping[str, Any]]

    @property
    def rows(self) -> int:
        return sum(int(item["rows"]) for item in self.tables.values())


def backed_up_tables() -> list[sa.Table]:
    """All tables that a backup holds, parents before children."""
    every = [*shelf.metadata.sorted_tables, *ours.metadata.sorted_tables]
    return [table for table in every if table.name not in LEFT_OUT]


async def write_backup(engine: AsyncEngine, path: Path, at: datetime) -> Manifest:
    """Write a consistent backup (one transaction's view) to `path`; a half-written file never bears that name."""
    partial = path.with_name(f"{path.name}.partial")
    found: dict[str, dict[str, Any]] = {}
    with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as archive:
        async with _snapshot(engine) as connection:
            for table in backed_up_tables():
                found[table.name] = await _write_table(connection, table, archive)
        manifest = Manifest(FORMAT, head_revision(), at.isoformat(), found)
        archive.writestr("manifest.json", json.dumps({"format": FORMAT, "schema": manifest.schema, "made": manifest.made, "tables": found}, indent=1))
    partial.replace(path)
    return manifest


def _snapshot(engine: AsyncEngine) -> Any:
    """A connection whose reads all see one moment."""
    if engine.dialect.name == "postgresql":
        return engine.execution_options(isolation_level="REPEATABLE READ").connect()
    return engine.execution_options(reads="snapshot").connect()


async def _write_table(connection: AsyncConnection, table: sa.Table, archive: zipfile.ZipFile) -> dict[str, Any]:
    digest, count = hashlib.sha256(), 0
    with archive.open(f"tables/{table.name}.jsonl", "w", force_zip64=True) as out:
        result = await connection.stream(sa.select(table).order_by(*table.primary_key.columns))
        async for row in result:
            line = json.dumps({key: _plain(value) for key, value in row._mapping.items()}, ensure_ascii=False).encode() + b"\n"
            out.write(line)
            digest.update(line)
            count += 1
    return {"rows": count, "sha256": digest.hexdigest()}


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return _in_utc(value).isoformat() if isinstance(value, datetime) else value


def _in_utc(at: datetime) -> datetime:
    """SQLite gives times without a zone (they are UTC), PostgreSQL in the zone of its server."""
    return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)


def read_manifest(path: Path) -> Manifest:
    """The manifest of a backup whose every table was checked against it. SetupProblem names what is wrong."""
    try:
        with zipfile.ZipFile(path) as archive:
            manifest = Manifest(**json.loads(archive.read("manifest.json")))
            for name, wanted in manifest.tables.items():
                _check_table(archive, path, name, wanted)
    except FileNotFoundError:
        raise SetupProblem(f"{path}: there is no such file. Check the path.") from None
    except (*BROKEN_ZIP, KeyError, TypeError, AttributeError) as error:
        raise SetupProblem(f"{path} is not a complete backup of this program ({error}). Take another one.") from None
    if manifest.format != FORMAT or manifest.schema != head_revision():
        raise SetupProblem(
            f"{path} was made with schema {manifest.schema}, this program has {head_revision()}. "
            "Restore it with the version that made it, then update the program."
        )
    if missing := {table.name for table in backed_up_tables()} - manifest.tables.keys():
        raise SetupProblem(f"{path} is not a complete backup of this program (no table {min(missing)}). Take another one.")
    return manifest


def _check_table(archive: zipfile.ZipFile, path: Path, name: str, wanted: Mapping[str, Any]) -> None:
    digest, count = hashlib.sha256(), 0
    with archive.open(f"tables/{name}.jsonl") as source:
        for line in source:
            digest.update(line)
            count += 1
    if (count, digest.hexdigest()) != (wanted["rows"], wanted["sha256"]):
        raise SetupProblem(f"{path}: the table {name} is damaged (its checksum differs). Take another backup.")


async def restore_backup(engine: AsyncEngine, path: Path, forgotten: Iterable[tuple[str, bool]], at: datetime) -> Manifest:
    """Fill an EMPTY database from a backup, in one transaction, and forget again whoever was forgotten since.

    `forgotten`: (SHA-256 of a person's id, whether their membership goes too), from `forgotten_in` of newer data.
    """
    manifest = read_manifest(path)
    async with writing(engine) as connection:
        for table in backed_up_tables():
            if (await connection.execute(sa.select(sa.func.count()).select_from(table))).scalar_one():
                raise SetupProblem(f"The database is not empty (table {table.name} has rows). Restore into a new data directory or an empty database.")
        with zipfile.ZipFile(path) as archive:
            for table in backed_up_tables():
                try:
                    await _read_table(connection, table, archive)
                except (KeyError, AttributeError, TypeError, ValueError, sa.exc.StatementError) as error:
                    if isinstance(error, sa.exc.OperationalError):  # the database's trouble, not the backup's
                        raise
                    raise SetupProblem(f"{path}: the table {table.name} holds what is no row of this program ({type(error).__name__}). Take another backup.") from error
        await _set_sequences(connection)
        await _forget_again(connection, dict(forgotten), at)
    return manifest


async def _read_table(connection: AsyncConnection, table: sa.Table, archive: zipfile.ZipFile) -> None:
    with archive.open(f"tables/{table.name}.jsonl") as source:
        for rows in _batches(json.loads(line) for line in source):
            await connection.execute(table.insert(), [_typed(table, row) for row in rows])


def _batches(rows: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    batch: list[dict[str, Any]] = []
    for row in rows:
        batch.append(row)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _typed(table: sa.Table, row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of JSON as the table's columns want it."""
    found = {}
    for key, value in row.items():
        kind = table.c[key].type
        if value is not None and isinstance(kind, sa.DateTime):
            value = _in_utc(datetime.fromisoformat(value))
        elif value is not None and isinstance(kind, sa.LargeBinary):
            value = base64.b64decode(value)
        found[key] = value
    return found


async def _set_sequences(connection: AsyncConnection) -> None:
    """PostgreSQL hands out ids from sequences, which don't notice rows that bring their own."""
    if connection.dialect.name != "postgresql":
        return
    for table in backed_up_tables():
        column = table.autoincrement_column
        if column is not None and column.autoincrement is True:
            await connection.execute(
                sa.text(
                    f"SELECT setval(pg_get_serial_sequence('{table.name}', '{column.name}'), "
                    f"coalesce((SELECT max({column.name}) FROM {table.name}), 0) + 1, false)"
                )
            )


async def forgotten_in(engine: AsyncEngine) -> list[tuple[str, bool]]:
    """Who was forgotten, as digests, by a live database."""
    async with engine.execution_options(reads="snapshot").connect() as connection:
        rows = await connection.execute(sa.select(ours.audit.c.details).where(ours.audit.c.what == "forgotten"))
        return [(row.details["sha256"], bool(row.details["all"])) for row in rows]


def forgotten_in_backup(path: Path) -> list[tuple[str, bool]]:
    """Who was forgotten, as digests, by a (newer) backup."""
    read_manifest(path)
    with zipfile.ZipFile(path) as archive, archive.open("tables/audit.jsonl") as source:
        rows = [json.loads(line) for line in source]
    return [(row["details"]["sha256"], bool(row["details"]["all"])) for row in rows if row["what"] == "forgotten"]


async def _forget_again(connection: AsyncConnection, forgotten: Mapping[str, bool], at: datetime) -> None:
    for person in sorted(await _everybody(connection)):
        if (digest := sha256(person)) in forgotten:
            await forget_person(connection, person, everything=forgotten[digest], at=at)
            answered = {"raw": "", "chat": "", "person": "", "state": "done"}  # what they had written and nobody had answered
            await connection.execute(ours.inbox.update().where(ours.inbox.c.person == person).values(answered))


async def _everybody(connection: AsyncConnection) -> set[str]:
    """Whoever stands in any table, also with no more than a message on its way."""
    found: set[str] = set()
    for name, column in personal_tables().items():
        found |= set((await connection.execute(sa.select(ours.metadata.tables[name].c[column]).distinct())).scalars())
    return found - {"", None}
