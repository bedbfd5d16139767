"""Scoring with what the app has: its ear and its playbook always, a language model as a second opinion when there is one.

A model judges single yes/no checks in three runs; a vote counts only with a quote that stands in that rep turn. Where
it fails or contradicts itself, that is said: a failing judge never turns into a number.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from bot.grading import RULES, Line, Ruleset, Scorecard, grade, shingles
from bot.moves import ear_of
from bot.ports import App
from bot.turns import LANGUAGES, Language


def playbook_pieces(app: App) -> frozenset[str]:
    """Overlapping pieces of every card in both languages, to recognise pasted text. Computed once."""
    key = f"pieces/{app.retriever.version}"
    if key not in app.extras:
        passages = [p for card in app.retriever.cards() for language in LANGUAGES for p in app.retriever.passages_of(card, language)]
        app.extras[key] = frozenset(piece for passage in passages for line in passage.text.split("\n") for piece in shingles(line))
    pieces: frozenset[str] = app.extras[key]
    return pieces


async def score_talk(
    app: App, lines: Sequence[Line], *, context: str = "", language: Language = "zh", rules: Ruleset = RULES, practice: bool = False,
    rulings: Mapping[str, bool] | None = None,
) -> Scorecard:  # fmt: skip
    """A talk in, a scorecard out; the work is done in a thread."""

    def work() -> Scorecard:
        return grade(lines, ear_of(app), context=context, language=language, playbook=playbook_pieces(app), rules=rules, practice=practice, rulings=rulings)

    return await asyncio.to_thread(work)
