"""`coach restore FILE.zip`: fill an empty data directory or database; forgotten people stay forgotten."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from pathlib import Path

from bot.app import own
from bot.backups import forgotten_in_backup, read_manifest, restore_backup
from bot.commands import settings_of
from bot.store.database import open_engine


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, help="a backup made with `coach backup`")
    parser.add_argument(
        "--deletions", type=Path, metavar="NEWER", help="a newer backup: whoever was forgotten there is forgotten here, too"
    )


async def run(options: argparse.Namespace) -> int:
    settings = settings_of(options)
    read_manifest(options.file)  # before anything is created
    forgotten = forgotten_in_backup(options.deletions) if options.deletions else []
    url = settings.database_url.get_secret_value() if settings.database_url else None
    with own(settings, "coach restore"):
        engine = await open_engine(url, settings.data_dir)
        try:
            manifest = await restore_backup(engine, options.file, forgotten, datetime.now(UTC))
        finally:
            await engine.dispose()
    print(f"{manifest.rows} rows restored (backup of {manifest.made}). Search views are built at the next start, or now with: coach reindex")
    return 0
