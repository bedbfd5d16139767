"""`coach score`: score talks from their transcripts (`--batch IN --out OUT`)."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from bot.commands import ProgressLine, settings_of
from bot.commands.batch import BadRow, add_batch_options, run_batch
from bot.grading import DIMENSIONS, Line, Scorecard
from bot.moves import ear_of
from bot.ports import App
from bot.scoring import score_talk
from bot.turns import LANGUAGES, Language


def configure(parser: argparse.ArgumentParser) -> None:
    add_batch_options(parser)


async def run(options: argparse.Namespace) -> int:
    from bot.app import open_app

    if not options.batch:
        raise BadRow('no transcripts: give --batch FILE, one talk a line: {"turns": [{"role": "customer" or "rep", "text": …}, …]}')
    async with open_app(settings_of(options), progress=ProgressLine(), purpose="coach score") as app:
        await asyncio.to_thread(ear_of, app)
        return await run_batch(options.batch, options.out, lambda row: score_row(app, row))


async def score_row(app: App, row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of `score` in, a row out (evaluation.md). Nothing is stored."""
    lines = lines_of_talk(row.get("turns"))
    card = await score_talk(app, lines, context=str(row.get("context") or ""), language=_language(row))
    return card_row(card)


def _language(row: Mapping[str, Any]) -> Language:
    language = row.get("lang", "zh")
    if language not in LANGUAGES:
        raise BadRow(f"'lang' is {language!r}; use \"zh\" or \"en\"")
    return language  # type: ignore[no-any-return]


def lines_of_talk(turns: Any) -> list[Line]:
    if not isinstance(turns, Sequence) or isinstance(turns, str) or not turns:
        raise BadRow("'turns' must be a list of {\"i\": …, \"role\": \"customer\" or \"rep\", \"text\": …}")
    return [_line(number, item) for number, item in enumerate(turns)]


def _line(number: int, item: Any) -> Line:
    if not isinstance(item, Mapping) or item.get("role") not in ("customer", "rep") or not isinstance(item.get("text"), str):
        raise BadRow(f"turn {number}: give it \"role\" (customer or rep) and \"text\"")
    index = item.get("i", number)
    return Line(index if isinstance(index, int) else number, item["role"], item["text"])


def card_row(card: Scorecard) -> dict[str, Any]:
    """A scorecard in the shape of evaluation.md."""
    row: dict[str, Any] = {
        "scored": card.scored,
        "total": card.total,
        "passed": card.passed,
        "dimensions": {name: card.dimensions.get(name) for name in DIMENSIONS},
        "observations": [{"check": o.check, "dimension": o.dimension, "turn": o.turn, "quote": o.quote} for o in card.observations],
        "flags": list(card.flags),
        "ruleset": card.ruleset,
        "model": card.model,
    }
    return row if card.scored else row | {"why": card.why}
