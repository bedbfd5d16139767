"""`coach check-quiz`: is a question fair? One question a line, against the passage it rests on."""

from __future__ import annotations

import argparse
import string
from collections.abc import Mapping
from typing import Any

from bot.commands import settings_of
from bot.commands.batch import BadRow, add_batch_options, run_batch, text_of
from bot.errors import SetupProblem
from knowledge.passages import language_of
from knowledge.quiz_checks import Flaw, check
from knowledge.quiz_evidence import Item, Similarity


def configure(parser: argparse.ArgumentParser) -> None:
    add_batch_options(parser)


async def run(options: argparse.Namespace) -> int:
    from knowledge.embedders import open_embedder
    from knowledge.keywords import normalise

    if not options.batch:
        raise SetupProblem("no questions: give --batch FILE with one question a line (docs/quiz.md)")
    settings = settings_of(options)
    embedder = open_embedder(settings.embedding_model)

    def similarity(left: Any, right: Any) -> Any:
        both = embedder.documents([normalise(text) for text in (*left, *right)])
        return both[: len(left)] @ both[len(left) :].T

    return await run_batch(options.batch, options.out, lambda row: check_row(row, similarity))


async def check_row(row: Mapping[str, Any], similarity: Similarity) -> dict[str, Any]:
    """A row of `check-quiz` in, a row out (evaluation.md)."""
    flaws = check(item_of(row), similarity)
    return {"ok": not flaws, "flaws": [_flaw(flaw) for flaw in flaws], "model": None}


def _flaw(flaw: Flaw) -> dict[str, str]:
    return {"kind": flaw.kind, "why": flaw.why}


def item_of(row: Mapping[str, Any]) -> Item:
    """The question of a row; a missing or impossible part is a BadRow that says how to mend it."""
    options = row.get("options")
    if not isinstance(options, list) or not all(isinstance(option, str) and option.strip() for option in options):
        raise BadRow("'options' must be a list of non-empty texts")
    if not 2 <= len(options) <= 12:
        raise BadRow(f"'options' has {len(options)} entries; give two to six (at most twelve)")
    stem = text_of(row, "stem")
    language = row.get("lang") or language_of(stem)
    if language not in ("zh", "en"):
        raise BadRow(f"'lang' is {language!r}; use \"zh\", \"en\" or leave it out")
    return Item(stem, tuple(options), _key(row.get("answer"), options), text_of(row, "passage"), language)


def _key(answer: Any, options: list[str]) -> int:
    """The key's index from a letter, a 0-based index (number or digits), or the text of an option."""
    if isinstance(answer, bool) or answer is None:
        raise BadRow("'answer' is missing; give a letter (\"A\") or a 0-based index")
    if isinstance(answer, str):
        text = answer.strip().rstrip(".．、)）").strip()
        if len(text) == 1 and text.upper() in string.ascii_uppercase:
            answer = string.ascii_uppercase.index(text.upper())
        elif text.isdecimal():
            answer = int(text)
        elif answer in options:
            answer = options.index(answer)
    if not isinstance(answer, int) or not 0 <= answer < len(options):
        raise BadRow(f"'answer' is {answer!r}; give a letter A–{string.ascii_uppercase[len(options) - 1]} or an index 0–{len(options) - 1}")
    return answer
