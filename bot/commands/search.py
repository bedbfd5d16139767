"""`coach search`: passages for one question, or for a batch of them."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from typing import Any

from bot.commands import ProgressLine, settings_of
from bot.commands.batch import BadRow, add_batch_options, run_batch, text_of
from bot.ports import App


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("question", nargs="*", help="what to look for")
    parser.add_argument("--limit", type=int, default=10, help="how many passages (default 10)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_batch_options(parser)


async def run(options: argparse.Namespace) -> int:
    from bot.app import open_app

    if not options.batch and not options.question:
        raise BadRow("no question: write it behind `coach search`, or give --batch FILE")
    async with open_app(settings_of(options), progress=ProgressLine(), model=False, purpose="coach search") as app:
        if options.batch:
            return await run_batch(options.batch, options.out, lambda row: search_row(app, row))
        return _search_one(app, " ".join(options.question), options)


def _search_one(app: App, question: str, options: argparse.Namespace) -> int:
    found = app.retriever.search(question, limit=options.limit)
    if options.json:
        rows = [{"id": hit.passage.id, "score": round(hit.score, 4), "place": hit.passage.place, "text": hit.passage.text} for hit in found.hits]
        print(json.dumps({"found": found.found, "hits": rows}, ensure_ascii=False, indent=2))
        return 0
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    if not found.found:
        console.print("– nothing fits; nearest passages:", style="yellow")
    for hit in found.hits:
        console.print(Text(f"{hit.score:.2f}  {hit.passage.place}  ", "bold"), Text(f"[{hit.passage.id}]", "dim"))
        console.print(Text("      " + hit.passage.text.replace("\n", " ")[:160]))
    return 0


async def search_row(app: App, row: Mapping[str, Any]) -> dict[str, Any]:
    limit = row.get("limit", 10)
    if not isinstance(limit, int) or isinstance(limit, bool) or not 1 <= limit <= 1000:
        raise BadRow(f"'limit' is {limit!r}; use a whole number from 1 to 1000")
    found = app.retriever.search(text_of(row), limit=limit)
    return {
        "ranked": [hit.passage.id for hit in found.hits],
        "score": [round(min(1.0, max(0.0, hit.score)), 4) for hit in found.hits],
        "found": found.found,
    }
