"""`coach backup FILE.zip`: everything in one file, also while the bot is running."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from pathlib import Path

from bot.backups import write_backup
from bot.commands import settings_of
from bot.commands.people import open_store


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, help="the backup to write, e.g. coach-2026-11-23.zip")


async def run(options: argparse.Namespace) -> int:
    async with open_store(settings_of(options)) as store:
        manifest = await write_backup(store.engine, options.file, datetime.now(UTC))
    print(f"{options.file}: {manifest.rows} rows of {len(manifest.tables)} tables, {options.file.stat().st_size / 1e6:.1f} MB")
    return 0
