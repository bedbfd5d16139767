"""`coach card ID`: a whole card, as a person reads it."""

from __future__ import annotations

import argparse
import json

from bot.commands import settings_of
from bot.errors import SetupProblem
from knowledge.cards import sections


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", help="card id (coach topics lists them)")
    parser.add_argument("--lang", choices=("zh", "en"), default="zh", help="language (default zh)")
    parser.add_argument("--json", action="store_true", help="print all fields as JSON")


async def run(options: argparse.Namespace) -> int:
    from bot.app import open_app

    async with open_app(settings_of(options), retrieval=False, model=False, purpose="coach card") as app:
        cards = await app.shelf.cards()
    if options.id not in cards:
        import difflib

        near = difflib.get_close_matches(options.id, cards, 3, 0.4)
        raise SetupProblem(f"There is no card {options.id!r}. " + (f"Did you mean {', '.join(near)}? " if near else "") + "coach topics lists all.")
    card = cards[options.id]
    if options.json:
        print(json.dumps(card.model_dump(mode="json"), ensure_ascii=False, indent=2))
        return 0
    from rich.console import Console
    from rich.text import Text

    from bot.frontends.terminal_chat import point

    console = Console(highlight=False)
    console.print(Text(card.title.text(options.lang), "bold cyan"))
    for section in sections(card, options.lang):
        console.print(Text(f"\n{section.heading}", "bold"))
        for line in section.lines:
            console.print(point(line))
    return 0
