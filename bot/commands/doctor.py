"""`coach doctor`: is everything in order, and if not, what to do."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, dataclass

from bot.commands import ProgressLine, settings_of
from bot.errors import CoachError
from bot.settings import Settings


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at: is it fine, what was seen, what to do."""

    what: str
    fine: bool
    seen: str
    cure: str = ""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON")


async def run(options: argparse.Namespace) -> int:
    findings = await examine(options)
    if options.json:
        print(json.dumps([asdict(item) for item in findings], ensure_ascii=False, indent=2))
    else:
        for item in findings:
            print(f"{'✓' if item.fine else '✗'} {item.what}: {item.seen}" + (f"\n    → {item.cure}" if item.cure else ""))
    return 0 if all(item.fine for item in findings) else 1


async def examine(options: argparse.Namespace) -> list[Finding]:
    found = [Finding("Python", sys.version_info >= (3, 11), sys.version.split()[0], "" if sys.version_info >= (3, 11) else "install Python 3.11 or newer")]
    try:
        settings = settings_of(options)
    except CoachError as error:
        return [*found, Finding("settings", False, str(error), "correct the environment or .env")]
    found.append(Finding("settings", True, f"data in {settings.data_dir}"))
    found += await _data(settings)
    found.append(_model(settings))
    found.append(_telegram(settings))
    return found


async def _data(settings: Settings) -> list[Finding]:
    from bot.app import open_app

    try:
        async with open_app(settings, progress=ProgressLine(), model=False, purpose="coach doctor") as app:
            passages = len(await app.shelf.passages())
            return [
                Finding("database", True, f"{app.shelf.engine.dialect.name}, playbook version {app.retriever.version}"),
                Finding("playbook", passages > 0, f"{len(app.retriever.cards())} cards, {passages} passages", "" if passages else "coach ingest FILE adds content"),
                Finding(*app.retriever.health()),
            ]
    except CoachError as error:
        return [Finding("data", False, str(error), "see above; nothing was changed")]


def _model(settings: Settings) -> Finding:
    if not settings.llm:
        return Finding("language model", True, "none: advice comes from the cards (set COACH_LLM to use one)")
    try:
        from bot.chat_models import open_model

        model = open_model(settings)
        return Finding("language model", True, model.name if model else "none")
    except CoachError as error:
        return Finding("language model", False, str(error), "correct COACH_LLM, or unset it to work without a model")


def _telegram(settings: Settings) -> Finding:
    seen = "token set" if settings.telegram_token else "no token: the terminal works without one"
    return Finding("Telegram", True, seen)
