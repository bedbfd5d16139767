"""`coach verify [FILE]`: is a backup complete, is the database sound, do the views agree with the shelf."""

from __future__ import annotations

import argparse
from pathlib import Path

import sqlalchemy as sa

from bot.backups import read_manifest
from bot.commands import settings_of
from bot.commands.people import open_store
from bot.errors import SetupProblem
from knowledge.shelf import Shelf


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, nargs="?", help="a backup (default: check the data directory)")


async def run(options: argparse.Namespace) -> int:
    if options.file:
        manifest = read_manifest(options.file)
        print(f"{options.file}: complete, {manifest.rows} rows, made {manifest.made}")
        return 0
    async with open_store(settings_of(options)) as store:
        if store.engine.dialect.name == "sqlite":
            async with store.engine.execution_options(reads="snapshot").connect() as connection:
                told = (await connection.execute(sa.text("PRAGMA integrity_check"))).scalars().all()
                broken = (await connection.execute(sa.text("PRAGMA foreign_key_check"))).all()
            if told != ["ok"] or broken:
                raise SetupProblem(f"The database is damaged ({'; '.join(told[:3])}, {len(broken)} broken references). Restore a backup: coach restore FILE")
        shelf = Shelf(store.engine)
        passages = await shelf.passages()
        doubled = len(passages) - len({item.id for item in passages})
    if doubled:
        raise SetupProblem(f"{doubled} passages of the published version share an id. Roll back: coach rollback, and tell us.")
    print(f"database sound; {len(passages)} passages published")
    return 0
