"""Opening the one database: engine, SQLite pragmas, migrations, and clear errors when it cannot be used."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from bot.errors import SetupProblem
from bot.store.one_trip import connecting

MIGRATIONS = Path(__file__).parents[1] / "migrations"
POSTGRES = {  # a server that is away or hangs is noticed within seconds; the outbox and inbox wait meanwhile
    "connect_timeout": 5, "keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3, "tcp_user_timeout": 20_000,
    "options": "-c statement_timeout=60000 -c idle_in_transaction_session_timeout=60000",
}  # fmt: skip


def database_url(url: str | None, data_dir: Path) -> sa.URL:
    """The async URL of the configured database; default: SQLite in the data directory."""
    made = sa.make_url(url) if url else sa.URL.create("sqlite", database=str(data_dir / "coach.db"))
    driver = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+psycopg"}[made.drivername.split("+")[0]]
    return made.set(drivername=driver)


async def open_engine(url: str | None, data_dir: Path) -> AsyncEngine:
    """An engine whose database is at our schema: created, migrated, or refused with the reason and the cure."""
    target = database_url(url, data_dir)
    if target.drivername.startswith("sqlite"):
        engine = create_async_engine(target, async_creator=connecting(target.database or ":memory:", 30))
        sa.event.listen(engine.sync_engine, "connect", _prepare_sqlite)
        sa.event.listen(engine.sync_engine, "begin", _begin_immediate)
    else:
        engine = create_async_engine(target, pool_size=10, max_overflow=10, pool_pre_ping=True, pool_timeout=10, connect_args=POSTGRES)
    try:
        await _at_our_schema(engine, target)
    except (sa.exc.OperationalError, sa.exc.DatabaseError) as error:
        await engine.dispose()
        shown = target.render_as_string(hide_password=True)
        raise SetupProblem(f"The database {shown} cannot be used: {error.orig}. {_cure(str(error.orig))}") from error
    except SetupProblem:
        await engine.dispose()
        raise
    return engine


SET_UP = 0x636F616368  # "coach": the advisory lock of migrations and of stocking the shelf
_turnstiles: WeakKeyDictionary[Any, asyncio.Lock] = WeakKeyDictionary()


@contextlib.asynccontextmanager
async def writing(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """A transaction that writes. SQLite takes one writer at a time: ours queue up here instead of polling its lock."""
    if engine.dialect.name != "sqlite":
        async with engine.begin() as connection:
            yield connection
        return
    turnstile = _turnstiles.setdefault(engine.sync_engine, asyncio.Lock())
    async with turnstile, engine.begin() as connection:
        yield connection


def away(error: BaseException) -> bool:
    """Is this the database being away or starting, rather than something wrong with what it was asked?"""
    if isinstance(error, sa.exc.DBAPIError) and error.connection_invalidated:
        return True
    return isinstance(error, sa.exc.TimeoutError | sa.exc.OperationalError | sa.exc.InterfaceError)


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    """WAL, full durability, deleted words overwritten, and no implicit transactions (we say BEGIN ourselves)."""
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=30000", "foreign_keys=ON", "secure_delete=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_immediate(connection: sa.Connection) -> None:
    """Take the write lock at once: a transaction that reads then writes can't fail half-way on a lock.

    Work that only reads says so: `execution_options(reads="latest")` takes no transaction, each query sees the latest
    state; `reads="snapshot"` sees one state from its first query on.
    """
    reads = connection.get_execution_options().get("reads")
    if reads != "latest":
        connection.exec_driver_sql("BEGIN" if reads == "snapshot" else "BEGIN IMMEDIATE")


def head_revision() -> str:
    """The newest migration, from the file names (so that a normal start needn't import Alembic)."""
    return max(path.name.split("_")[0] for path in (MIGRATIONS / "versions").glob("[0-9]*.py"))


async def _at_our_schema(engine: AsyncEngine, target: sa.URL) -> None:
    head = head_revision()
    async with engine.connect() as connection:
        stamped = await connection.run_sync(_stamp)
    if stamped == head:
        return
    if stamped is not None and stamped > head:
        raise SetupProblem(
            f"The database {target.render_as_string(hide_password=True)} was written by a newer version "
            f"(schema {stamped}, this program knows {head}). Update the program, or restore a backup made with this one."
        )
    async with alone(engine), engine.begin() as connection:
        if await connection.run_sync(_stamp) != head:  # another replica may have been first
            if engine.dialect.name != "sqlite":
                await connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
            await connection.run_sync(_migrate)


@contextlib.asynccontextmanager
async def alone(engine: AsyncEngine) -> AsyncIterator[None]:
    """Work that replicas which start side by side must do one after the other (SQLite has one owner anyway)."""
    if engine.dialect.name == "sqlite":
        yield
        return
    async with engine.connect() as connection:
        await connection.exec_driver_sql("SET statement_timeout = 0")
        await connection.execute(sa.select(sa.func.pg_advisory_lock(SET_UP)))
        await connection.commit()  # held by the connection; no transaction stays open meanwhile
        try:
            yield
        finally:
            await connection.execute(sa.select(sa.func.pg_advisory_unlock(SET_UP)))
            await connection.exec_driver_sql("RESET statement_timeout")
            await connection.commit()


def _stamp(connection: sa.Connection) -> str | None:
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()


def _migrate(connection: sa.Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _cure(reason: str) -> str:
    reason = reason.lower()
    if "readonly" in reason or "unable to open" in reason:
        return "Check that the data directory exists and may be written to (COACH_DATA_DIR, --data)."
    if "full" in reason:
        return "The disk is full: free some space and start again; nothing was lost."
    if "malformed" in reason or "not a database" in reason:
        return "The file is damaged: restore a backup (coach restore), or move it away to start afresh."
    if "locked" in reason:
        return "Another program holds it: stop that one first."
    return "Check COACH_DATABASE_URL and that the server is running."
