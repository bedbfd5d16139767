"""Write the first migration from the tables (only until the first release; afterwards migrations are appended)."""

import asyncio
import tempfile
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from sqlalchemy.ext.asyncio import create_async_engine

from bot.store.database import MIGRATIONS


def write(connection: sa.Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    command.revision(config, "first tables", autogenerate=True, rev_id="0001")


def portable() -> None:
    """SQLite renders a false default as 0, which PostgreSQL refuses for a boolean."""
    for path in (MIGRATIONS / "versions").glob("0001_*.py"):
        text = path.read_text("utf-8")
        for zero, word in (("0", "false"), ("1", "true")):
            text = text.replace(f"sa.Boolean(), server_default=sa.text('{zero}')", f"sa.Boolean(), server_default=sa.{word}()")
        path.write_text(text, "utf-8")


async def main() -> None:
    for old in (MIGRATIONS / "versions").glob("0001_*.py"):
        old.unlink()
    with tempfile.TemporaryDirectory() as folder:
        engine = create_async_engine(f"sqlite+aiosqlite:///{Path(folder) / 'empty.db'}")
        async with engine.connect() as connection:
            await connection.run_sync(write)
        await engine.dispose()


asyncio.run(main())
portable()
