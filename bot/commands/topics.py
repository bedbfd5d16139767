"""`coach topics`: every published card; with `--map` the whole playbook as a tree, and as a picture."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path

from bot.commands import settings_of
from bot.turns import LANGUAGES
from knowledge.cards import Card


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--lang", choices=LANGUAGES, default=None, help="titles in this language only")
    parser.add_argument("--map", nargs="?", type=Path, const=Path("-"), metavar="PNG", help="groups, relations, confusions and holes as a tree; with a file, as a picture too")
    parser.add_argument("--theme", choices=("light", "dark"), default="light", help="of the picture")


async def run(options: argparse.Namespace) -> int:
    from bot.app import open_app

    async with open_app(settings_of(options), retrieval=False, model=False, purpose="coach topics") as app:
        cards = await app.shelf.cards()
    if options.map:
        return _map(cards, options)
    if options.json:
        rows = [
            {"id": card.id, "title": {"zh": card.title.zh, "en": card.title.en}, "kind": card.kind, "languages": list(card.languages)}
            for card in cards.values()
        ]
        print(json.dumps(rows, ensure_ascii=False, indent=2))
        return 0
    from rich.console import Console
    from rich.table import Table

    languages = [options.lang] if options.lang else list(LANGUAGES)
    table = Table("id", *({"zh": "中文", "en": "English"}[language] for language in languages), "kind", box=None)
    for card in cards.values():
        table.add_row(card.id, *(card.title.text(language) for language in languages), card.kind)
    Console(highlight=False).print(table)
    return 0


def _map(cards: Mapping[str, Card], options: argparse.Namespace) -> int:
    from rich.console import Console

    from bot.atlas import both_say, draw, tree
    from knowledge.atlas import survey
    from knowledge.path import load_path

    languages = [options.lang] if options.lang else list(LANGUAGES)
    atlas = survey(cards, load_path())
    console = Console(highlight=False)
    console.print(tree(atlas, languages))
    if options.map != Path("-"):
        console.print(both_say(languages, "map.saved", path=draw(options.map, atlas, languages, options.theme)))
    return 0
