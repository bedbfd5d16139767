"""`coach topics`: every published card."""

from __future__ import annotations

import argparse
import json

from bot.commands import settings_of


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--lang", choices=("zh", "en"), default=None, help="titles in this language only")


async def run(options: argparse.Namespace) -> int:
    from bot.app import open_app

    async with open_app(settings_of(options), retrieval=False, model=False, purpose="coach topics") as app:
        cards = await app.shelf.cards()
    if options.json:
        rows = [
            {"id": card.id, "title": {"zh": card.title.zh, "en": card.title.en}, "kind": card.kind, "languages": list(card.languages)}
            for card in cards.values()
        ]
        print(json.dumps(rows, ensure_ascii=False, indent=2))
        return 0
    from rich.console import Console
    from rich.table import Table

    table = Table("id", "中文", "English", "kind", box=None)
    for card in cards.values():
        table.add_row(card.id, card.title.zh, card.title.en, card.kind)
    Console(highlight=False).print(table)
    return 0
