"""`coach migrate`: bring the database to this program's schema (a normal start does it, too)."""

from __future__ import annotations

import argparse

from bot.commands import settings_of
from bot.store.database import head_revision, open_engine


def configure(parser: argparse.ArgumentParser) -> None:
    parser.epilog = "Make a backup first: coach backup FILE.zip"


async def run(options: argparse.Namespace) -> int:
    settings = settings_of(options)
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    url = settings.database_url.get_secret_value() if settings.database_url else None
    engine = await open_engine(url, settings.data_dir)
    await engine.dispose()
    print(f"the database is at schema {head_revision()}")
    return 0
