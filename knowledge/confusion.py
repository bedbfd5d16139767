"""Would a rep's words find the right card? Duplicates, messages that point to another card, cards that hide.

The judge is the learned topic model of `topics.py`, trained anew without the words that it judges (three folds), so
that no message speaks for itself.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from knowledge.cards import Card
from knowledge.embedders import Embedder
from knowledge.keywords import normalise
from knowledge.passages import Language
from knowledge.topics import Example, Linear, Recipe, calibrate, cues, load_examples, train

Floats = NDArray[np.float32]
At = tuple[str | int, ...]

NEAR = 0.75  # cosine from which two messages in one language say the same
SURE = 0.85  # belief in another card from which a message is called a stray; doubt is let pass
TOP = 3  # a card is found when it is among the first three
FOLDS = 3
JUDGE = Recipe(sparse=10.0, balanced=True, rounds=20)
PLAIN: dict[Language, tuple[float, float]] = {"zh": (1.0, 1.0), "en": (1.0, 1.0)}


@dataclass(frozen=True, slots=True)
class Words:
    """A title, alias or situation with its place in its card."""

    card: str
    at: At  # ("situations", "zh", 4)
    text: str
    language: Language

    @property
    def part(self) -> str:
        return str(self.at[0])


@dataclass(frozen=True, slots=True)
class Verdict:
    """Where words lead when they are not among the examples: `rank` of their own card (0 = first)."""

    words: Words
    rank: int
    first: str  # the card believed most
    belief: float  # in `first`


def words_of_cards(cards: Mapping[str, Card]) -> list[Words]:
    """Every title, alias and situation, in the cards' order."""
    return [item for card in cards.values() for language in card.languages for item in _words(card, language)]


def _words(card: Card, language: Language) -> Iterator[Words]:
    yield Words(card.id, ("title", language), card.title.text(language), language)
    for i, alias in enumerate(card.aliases.texts(language)):
        yield Words(card.id, ("aliases", language, i), alias, language)
    for i, situation in enumerate(card.situations.texts(language)):
        yield Words(card.id, ("situations", language, i), situation.text, language)


def duplicates(words: Sequence[Words], vectors: Floats) -> Iterator[tuple[Words, Words, float]]:
    """Pairs of situations in one language that say nearly the same; the later one first."""
    for language in ("zh", "en"):
        rows = [i for i, item in enumerate(words) if item.language == language and item.part == "situations"]
        near = np.triu(vectors[rows] @ vectors[rows].T, 1)
        for left, right in np.argwhere(near >= NEAR):
            yield words[rows[right]], words[rows[left]], float(near[left, right])


def judge(cards: Mapping[str, Card], words: Sequence[Words], embedder: Embedder) -> list[Verdict]:
    """A verdict on each of `words` from a model that never saw it, calibrated on the words that it judges."""
    own = {normalise(item.text) for item in words}
    voices = [item for item in load_examples(cards).topics if normalise(item.text) not in own]
    examples = [*(Example(item.text, item.card, item.language) for item in words), *voices]
    rows = embedder.features([normalise(item.text) for item in examples])
    verdicts: list[Verdict] = []
    for fold in range(FOLDS):
        held = [i for i, item in enumerate(words) if _fold(item.text) == fold]
        kept = [i for i, item in enumerate(examples) if i >= len(words) or _fold(item.text) != fold]
        model = train([examples[i] for i in kept], rows[kept], JUDGE, scales=PLAIN)
        known = [i for i in held if words[i].card in model.labels]
        scales = calibrate(model, [(rows[i], cues(words[i].text), model.labels.index(words[i].card), examples[i]) for i in known], JUDGE.share)
        model = replace(model, scales=scales)
        verdicts += [_verdict(model, words[i], rows[i]) for i in known]
    return verdicts


def _fold(text: str) -> int:
    """By the text alone, so that a new message doesn't move the others to other judges."""
    return zlib.crc32(normalise(text).encode()) % FOLDS


def _verdict(model: Linear, words: Words, row: Floats) -> Verdict:
    belief = model.probabilities(row, cues(words.text), words.language)
    order = [model.labels[i] for i in np.argsort(-belief)]
    return Verdict(words, order.index(words.card), order[0], float(belief.max()))


def strays(verdicts: Sequence[Verdict]) -> list[Verdict]:
    """Situations that surely lead to another card, with their own not among the first three."""
    return [item for item in verdicts if item.words.part == "situations" and item.rank >= TOP and item.belief >= SURE]


def hidden(verdicts: Sequence[Verdict]) -> Iterator[tuple[Words, list[Verdict]]]:
    """Cards that most of their own names (title and aliases) of a language do not find: the first one, and what missed."""
    names: dict[tuple[str, Language], list[Verdict]] = {}
    for item in verdicts:
        if item.words.part in ("title", "aliases"):
            names.setdefault((item.words.card, item.words.language), []).append(item)
    for group in names.values():
        missed = [item for item in group if item.rank >= TOP]
        if 2 * len(missed) > len(group):
            yield missed[0].words, missed
