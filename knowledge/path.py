"""The learning path: modules of cards, in the order in which a new hire meets them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

from knowledge.cards import Both
from knowledge.problems import ContentProblem, ContentProblems

FILE = Path(__file__).parent / "content" / "path.yaml"


@dataclass(frozen=True, slots=True)
class Module:
    """A few cards that are learned together."""

    id: str
    title: Both
    cards: tuple[str, ...]


@cache
def load_path(file: Path = FILE) -> tuple[Module, ...]:
    """The modules in order. Raises ContentProblems for a missing field or a card that stands in two modules."""
    try:
        modules = tuple(Module(row["id"], Both(**row["title"]), tuple(row["cards"])) for row in yaml.safe_load(file.read_text("utf-8")))
    except (KeyError, TypeError, yaml.YAMLError) as error:
        raise ContentProblems([ContentProblem(str(file), 0, f"not a list of modules ({error})", "give each an id, a title {zh, en} and cards")]) from None
    cards = [card for module in modules for card in module.cards]
    if twice := sorted({card for card in cards if cards.count(card) > 1}):
        raise ContentProblems([ContentProblem(str(file), 0, f"in two modules: {', '.join(twice)}", "keep each card in one module")])
    return modules
