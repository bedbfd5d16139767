"""Asking before advising, measured on vignettes with a hidden truth: `make eval-diagnosis`.

A simulated rep answers our questions, once in words (the written answers), once by tapping (only when the truth is among
the choices). Compared with answering at once, and with always asking the same first question.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
os.environ |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}

from bot.app import open_app
from bot.commands.ask import ASKER
from bot.conversation import respond
from bot.ports import App, Outcome
from bot.sessions import Advising, Session
from bot.settings import Settings
from bot.turns import Incoming, Offer, plain

ROOT = Path(__file__).parents[1]
Row = Mapping[str, Any]


async def turn(app: App, session: Session, **what: str) -> Outcome:
    incoming = Incoming("eval", "eval", ASKER.id, app.clock(), **what)  # type: ignore[arg-type]
    outcome = await respond(app, ASKER, session, incoming)
    said = what.get("text") or f"[{what['choice']}]"
    return replace(outcome, session=outcome.session.heard(said, outcome.reply, plain(outcome.reply)))


async def talked(app: App, row: Row, *, taps: bool) -> dict[str, Any]:
    """The conversation up to the first advice: how many questions, and what was recognised."""
    outcome = await turn(app, Session("eval", ASKER.id, language=row["lang"]), text=row["text"])
    questions = 0
    while outcome.reply.action == "clarify" and questions < 3:
        questions += 1
        outcome = await (tapped if taps else typed)(app, row, outcome)
    state = outcome.session.activity
    found = state if isinstance(state, Advising) else Advising()
    best = outcome.reply.topics[0][0] if outcome.reply.topics else None
    return {"id": row["id"], "questions": questions, "topic": found.topic or best, "cause": found.cause, "action": outcome.reply.action}


def _options(outcome: Outcome) -> list[str]:
    return [item.token.split(":")[-1] for offer in outcome.reply.of(Offer) for item in offer.choices if item.token != "tell"]


async def typed(app: App, row: Row, outcome: Outcome) -> Outcome:
    """The rep answers in words: the truth if it was named, else what they say about the first choice."""
    options, truth = _options(outcome), row["truth"]
    named = next((name for name in (truth["cause"], truth["topic"]) if name in options), None)
    named = named or next((name for name in options if name in row["answers"]), None)
    return await turn(app, outcome.session, text=row["answers"].get(named) or row["free"])


async def tapped(app: App, row: Row, outcome: Outcome) -> Outcome:
    """The rep taps the truth if it is there, else says more in words."""
    truth = {row["truth"]["topic"], row["truth"]["cause"]}
    token = next((item.token for offer in outcome.reply.of(Offer) for item in offer.choices if item.token.split(":")[-1] in truth), None)
    return await (turn(app, outcome.session, choice=token) if token else turn(app, outcome.session, text=row["free"]))


def right(found: Row, row: Row) -> tuple[bool, bool]:
    """Is the topic right; are topic and cause?"""
    topic = found["topic"] == row["truth"]["topic"]
    return topic, topic and row["truth"]["cause"] in (None, found["cause"])


def at_once(app: App, row: Row, more: str = "") -> dict[str, Any]:
    best = app.retriever.read(f"{row['text']}\n{more}".strip()).topics[0]
    return {"topic": best.card, "cause": best.causes[0][0] if best.causes else None}


def line(name: str, found: Sequence[Row], rows: Sequence[Row]) -> str:
    marks = [right(item, row) for item, row in zip(found, rows, strict=True)]
    topic, both = (sum(mark[i] for mark in marks) / len(rows) for i in (0, 1))
    asked = sum(item.get("questions", 0) for item in found) / len(rows)
    return f"| {name} | {topic:.1%} | {both:.1%} | {asked:.2f} |"


async def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("vignettes", nargs="?", type=Path, default=ROOT / "tests/labels/vignettes.jsonl")
    parser.add_argument("--data", type=Path, default=ROOT / "build/model/data")
    parser.add_argument("--report", type=Path, default=ROOT / "docs/reports/diagnosis.md")
    options = parser.parse_args()
    rows = [json.loads(item) for item in options.vignettes.open(encoding="utf-8")]
    vague, clear = [row for row in rows if not row.get("clear")], [row for row in rows if row.get("clear")]
    async with open_app(Settings(data_dir=options.data, database_url=None), model=False, seed=7) as app:
        words = [await talked(app, row, taps=False) for row in vague]
        taps = [await talked(app, row, taps=True) for row in vague]
        needless = [await talked(app, row, taps=True) for row in clear]
        single, fixed = [at_once(app, row) for row in vague], [at_once(app, row, row["free"]) | {"questions": 1} for row in vague]
    asked = sum(item["questions"] > 0 for item in needless)
    report = "\n".join([
        "# Asking before advising", "",
        f"{len(vague)} vague first messages with a hidden truth and {len(clear)} clear ones ({options.vignettes.name}), written without knowledge of the code.",
        "Without a language model. Written by `make eval-diagnosis`.", "",
        "| way | topic right | topic and cause right | questions |", "|---|---|---|---|",
        line("answer at once", single, vague), line("always ask “what exactly happened?”", fixed, vague),
        line("our questions, answered in words", words, vague), line("our questions, answered by tapping", taps, vague), "",
        f"Asked nothing although vague: {sum(item['questions'] == 0 for item in words)} of {len(vague)}. "
        f"Needless questions on clear messages: {asked} of {len(clear)}; right at once there: {sum(right(f, r)[0] for f, r in zip(needless, clear, strict=True))}.", "",
    ])  # fmt: skip
    options.report.parent.mkdir(parents=True, exist_ok=True)
    options.report.write_text(report, encoding="utf-8")
    print(report)
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
