"""The playbook seen from above: topics in groups, how they lead to each other, which are confused, and what is missing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import yaml

from knowledge.cards import Both, Card
from knowledge.path import Module
from knowledge.wording import word_lists

PLANNED = Path(__file__).parent / "content" / "planned.yaml"
Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Hole:
    """Something missing: a planned topic without card, a card that none leads to, a pair that isn't told apart, no role-play."""

    kind: Literal["planned", "alone", "pair", "untrained"]
    ids: tuple[str, ...]
    title: Both | None = None  # of a planned topic


@dataclass(frozen=True)
class Atlas:
    """`related`: pairs that name each other; `contrasts`: told apart by at least one of the two; `confusable`: those that must be."""

    cards: Mapping[str, Card]
    groups: tuple[Module, ...]
    related: tuple[Pair, ...]
    contrasts: tuple[Pair, ...]
    confusable: tuple[Pair, ...]
    holes: tuple[Hole, ...]

    def neighbours(self, card_id: str, pairs: Sequence[Pair]) -> list[str]:
        return [b if a == card_id else a for a, b in pairs if card_id in (a, b)]

    def holes_of(self, kind: str) -> list[Hole]:
        return [hole for hole in self.holes if hole.kind == kind]


def survey(cards: Mapping[str, Card], path: Sequence[Module], planned: Path = PLANNED) -> Atlas:
    """The atlas of the cards in the groups of the learning path; cards outside it form a group of their own."""
    grouped = {card for module in path for card in module.cards}
    groups = [Module(item.id, item.title, tuple(card for card in item.cards if card in cards)) for item in path]
    others = tuple(card for card in cards if card not in grouped)
    groups.append(Module("other", Both(zh="其他", en="Others"), others))
    told = {card.id: {item.id for item in card.contrast} for card in cards.values()}
    must: list[Pair] = [(one, other) for one, other in word_lists()["confusable"] if one in cards and other in cards]
    return Atlas(
        cards=cards,
        groups=tuple(group for group in groups if group.cards),
        related=_pairs({card.id: set(card.related) for card in cards.values()}, mutual=True),
        contrasts=_pairs(told, mutual=False),
        confusable=tuple(must),
        holes=tuple(_holes(cards, told, must, planned)),
    )


def _pairs(named: Mapping[str, set[str]], *, mutual: bool) -> tuple[Pair, ...]:
    """Unordered pairs of cards of which one names the other, or both do."""
    found = {(min(a, b), max(a, b)) for a, others in named.items() for b in others if b in named and b != a}
    return tuple(sorted(pair for pair in found if not mutual or (pair[0] in named[pair[1]] and pair[1] in named[pair[0]])))


def _holes(cards: Mapping[str, Card], told: Mapping[str, set[str]], must: Sequence[Pair], planned: Path) -> Iterator[Hole]:
    for row in yaml.safe_load(planned.read_text("utf-8")) or []:
        if row["id"] not in cards:
            yield Hole("planned", (row["id"],), Both(**row["title"]))
    named = {other for card in cards.values() for other in (*card.related, *told[card.id])}
    for card in cards.values():
        if card.id not in named:
            yield Hole("alone", (card.id,))
        if not card.scenarios:
            yield Hole("untrained", (card.id,))
    for one, other in must:
        if other not in told[one] or one not in told[other]:
            yield Hole("pair", (one, other))
