"""`coach roleplay`: play a rep's lines against a scenario (`--scenario ID --lang L --batch IN --out OUT`)."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Mapping
from typing import Any

from bot import persona, rehearsal, talks
from bot.commands import ProgressLine, settings_of
from bot.commands.batch import BadRow, add_batch_options, run_batch
from bot.commands.score import card_row
from bot.moves import ear_of
from bot.ports import App
from bot.scoring import playbook_pieces
from bot.talks import Talk
from bot.turns import LANGUAGES, Language
from knowledge.scenarios import Scenario


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--scenario", required=True, metavar="ID", help="the scenario, e.g. S01 (coach chat, /roleplay: to practise yourself)")
    parser.add_argument("--lang", choices=LANGUAGES, default="zh", help="language of the talk (default: zh)")
    add_batch_options(parser)


async def run(options: argparse.Namespace) -> int:
    from bot.app import open_app

    if not options.batch:
        raise BadRow("no lines: give --batch FILE with one talk a row, or practise in `coach chat` with /roleplay")
    async with open_app(settings_of(options), progress=ProgressLine(), purpose="coach roleplay") as app:
        every = await rehearsal.scenarios(app, drafts=True)
        if options.scenario.upper() not in every:
            raise BadRow(f"there is no scenario {options.scenario!r}; there are: {', '.join(sorted(every))}")
        scenario = every[options.scenario.upper()]
        await asyncio.to_thread(ear_of, app)
        return await run_batch(options.batch, options.out, lambda row: play_row(app, scenario, options.lang, row))


async def play_row(app: App, scenario: Scenario, language: Language, row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of `roleplay` in, a row out (evaluation.md). Nothing is stored. The same seed gives the same talk."""
    talk, model = await play(app, scenario, begun(scenario, language, row), lines_of_row(row))
    card = await rehearsal.scored(app, scenario, talk)
    ended = "left" if talk.stand.ended == "left" else talk.stand.ended
    return {"turns": [_turn(turn) for turn in talk.turns], "ended": ended, "scorecard": card_row(card), "model": model}


def lines_of_row(row: Mapping[str, Any]) -> list[str]:
    lines = row.get("lines")
    if not isinstance(lines, list) or not all(isinstance(line, str) for line in lines):
        raise BadRow("'lines' must be a list of texts: what the rep says, in order")
    return lines


def begun(scenario: Scenario, language: Language, row: Mapping[str, Any]) -> Talk:
    seed, level = row.get("seed", 0), row.get("difficulty", 1)
    if level not in talks.LEVELS:
        raise BadRow(f"'difficulty' is {level!r}; use 1, 2 or 3")
    if not isinstance(seed, int):
        raise BadRow(f"'seed' is {seed!r}; use a whole number")
    names = [item.id for item in scenario.variants]
    variant = row.get("variant") or names[seed % len(names)]
    if variant not in names:
        raise BadRow(f"'variant' is {variant!r}; {scenario.id} has: {', '.join(names)}")
    return talks.begin(scenario, variant, level, language, seed)


async def play(app: App, scenario: Scenario, talk: Talk, lines: list[str]) -> tuple[Talk, str | None]:
    """Say the lines until the talk ends. Lines that can't be placed are taken as they are."""
    model = None
    for line in lines:
        if talk.stand.ended != "open":
            break
        moves, _ = await asyncio.to_thread(rehearsal.hear_line, ear_of(app), line, talk.language, playbook_pieces(app))
        talk = talks.take(scenario, talk, line, moves)
        talk, used = await persona.worded(app, scenario, talk)
        model = used or model
    return talk, model


def _turn(turn: talks.Turn) -> dict[str, Any]:
    found: dict[str, Any] = {"role": turn.role, "text": turn.text}
    if turn.role == "rep":
        return found | {"move": list(turn.moves)}
    state = turn.stand
    assert state is not None
    return found | {
        "state": {"trust": state.trust, "patience": state.patience, "clarity": state.clarity, "facts": list(state.facts), "ended": state.ended},
        "released": turn.released or None,
    }
