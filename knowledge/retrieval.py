"""Finding what the playbook says: passages by words and meaning, cards by a learned belief over topics.

A `Library` is one published version in memory: everything in it belongs together, so a reader sees all of one
version or all of another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from knowledge.cards import Card
from knowledge.embedders import Embedder, Vectors
from knowledge.keywords import Keywords, normalise
from knowledge.passages import Found, Hit, Language, Passage, Reading, TopicBelief, language_of
from knowledge.topics import Linear

Floats = NDArray[np.float32]

SCOPE_FLOOR = 0.5
IMPROPER_FLOOR = 0.5
CHAT_FLOOR = 0.6
MEANING = 0.6  # share of the vectors in the fused passage score; the rest is BM25
TOPIC_BONUS = 0.5  # how much the belief in a card lifts its passages
DOCUMENT_FLOOR = 0.35  # cosine below which a document passage is not called found


@dataclass
class Library:
    """One version of the playbook, searchable."""

    version: int
    passages: Sequence[Passage]
    vectors: Vectors  # (len(passages), dimension), L2-normalised
    playbook: Mapping[str, Card]
    embedder: Embedder
    models: Mapping[str, Linear] = field(default_factory=dict)

    @cached_property
    def _by_language(self) -> dict[Language, tuple[NDArray[np.int64], Keywords]]:
        groups: dict[Language, tuple[NDArray[np.int64], Keywords]] = {}
        languages: tuple[Language, ...] = ("zh", "en")
        for language in languages:
            rows = np.array([i for i, item in enumerate(self.passages) if item.language == language], np.int64)
            groups[language] = rows, Keywords([self.passages[i].search_text for i in rows])
        return groups

    @cached_property
    def _by_id(self) -> dict[str, Passage]:
        return {item.id: item for item in self.passages}

    def warm(self) -> None:
        """Build what is built lazily, so that the first question doesn't pay for it."""
        _ = self._by_language, self._by_id
        self.read("预热 warm up")

    def cards(self) -> Mapping[str, Card]:
        return self.playbook

    def passage(self, passage_id: str, *, version: int | None = None) -> Passage | None:
        return self._by_id.get(passage_id)

    def passages_of(self, card_id: str, language: Language) -> Sequence[Passage]:
        return [item for item in self.passages if item.document == card_id and item.language == language]

    def similarity(self, left: Sequence[str], right: Sequence[str]) -> Floats:
        both = self.embedder.documents([normalise(text) for text in (*left, *right)])
        return both[: len(left)] @ both[len(left) :].T

    def search(self, text: str, *, limit: int = 10, language: Language | None = None) -> Found:
        query = normalise(text)
        vector = self.embedder.query(query)
        belief = self._topics(vector, query)
        scores = np.zeros(len(self.passages), np.float32)
        for rows, keywords in self._by_language.values():
            if len(rows):
                meaning = self.vectors[rows] @ vector
                scores[rows] = MEANING * _spread(meaning) + (1 - MEANING) * _spread(keywords.scores(query))
        lift = dict(belief)
        prefer = language or language_of(text)
        for i, item in enumerate(self.passages):
            if item.kind == "card":
                scores[i] += TOPIC_BONUS * lift.get(item.document, 0.0) + (0.05 if item.language == prefer else 0.0)
        best = np.argsort(-scores)[:limit]
        top = float(scores[best[0]]) if len(best) else 0.0
        hits = tuple(Hit(self.passages[i], float(scores[i] / max(top, 1e-6) if top > 1 else scores[i])) for i in best)
        return Found(hits, self._found(vector, query, best))

    def _found(self, vector: Floats, query: str, best: NDArray[np.int64]) -> bool:
        if not len(best):
            return False
        documents = [i for i in best if self.passages[i].kind == "document"]
        if documents and float((self.vectors[documents] @ vector).max()) >= DOCUMENT_FLOOR:
            return True
        return bool(self.playbook) and self._in_scope(vector, query) >= SCOPE_FLOOR

    def read(self, text: str, *, context: Sequence[str] = ()) -> Reading:
        query = normalise(text)
        if context and len(query) < 40:
            query = normalise(" ".join([*context[-2:], text]))
        vector = self.embedder.query(query)
        alone = vector if query == normalise(text) else self.embedder.query(normalise(text))
        topics = tuple(
            TopicBelief(card, score, self._causes(card, vector)) for card, score in self._topics(vector, query)[:5]
        )
        improper, score = self._improper(alone, normalise(text))
        return Reading(
            topics=topics,
            in_scope=self._in_scope(vector, query),
            improper=improper if score >= IMPROPER_FLOOR else None,
            improper_score=score,
            chat=self._gate("scope", alone, normalise(text), "chat") >= CHAT_FLOOR,
            language=language_of(text),
        )

    def _topics(self, vector: Floats, query: str) -> list[tuple[str, float]]:
        if (model := self.models.get("topics")) is None:
            return []
        scores = model.probabilities(vector, query)
        return [(model.labels[i], float(scores[i])) for i in np.argsort(-scores)]

    def _gate(self, name: str, vector: Floats, query: str, label: str) -> float:
        if (model := self.models.get(name)) is None:
            return 0.0
        return float(model.probabilities(vector, query)[model.labels.index(label)])

    def _in_scope(self, vector: Floats, query: str) -> float:
        return self._gate("scope", vector, query, "inside") if "scope" in self.models else 1.0

    def _improper(self, vector: Floats, query: str) -> tuple[str | None, float]:
        if (model := self.models.get("improper")) is None:
            return None, 0.0
        scores = model.probabilities(vector, query)
        honest = float(scores[model.labels.index("honest")])
        kinds = [(float(scores[i]), label) for i, label in enumerate(model.labels) if label != "honest"]
        return max(kinds)[1], 1 - honest

    @cached_property
    def _cause_vectors(self) -> dict[str, tuple[tuple[str, ...], Vectors]]:
        """Per card: the cause of each vector, and the vectors of the causes' sentences, signals and situations."""
        found = {}
        for card in self.playbook.values():
            pairs = [(cause.id, text) for cause in card.causes for text in _cause_texts(card, cause.id)]
            if pairs:
                found[card.id] = tuple(c for c, _ in pairs), self.embedder.documents([normalise(t) for _, t in pairs])
        return found

    def _causes(self, card_id: str, vector: Floats) -> tuple[tuple[str, float], ...]:
        if card_id not in self._cause_vectors:
            return ()
        names, vectors = self._cause_vectors[card_id]
        similar = vectors @ vector
        best = {name: max(float(similar[i]) for i, other in enumerate(names) if other == name) for name in dict.fromkeys(names)}
        weights = np.exp((np.array(list(best.values())) - max(best.values())) / 0.08)
        return tuple(sorted(zip(best, map(float, weights / weights.sum()), strict=True), key=lambda pair: -pair[1]))


def _cause_texts(card: Card, cause_id: str) -> list[str]:
    cause = card.cause(cause_id)
    assert cause is not None
    texts = []
    for language in card.languages:
        texts += [cause.text(language), *(signal.text(language) for signal in cause.signals)]
        texts += [item.text for item in card.situations.texts(language) if item.cause == cause_id]
    return texts


def _spread(scores: Floats) -> Floats:
    """Min-max to 0–1; all zero if nothing differs."""
    low, high = float(scores.min()), float(scores.max())
    return (scores - low) / (high - low) if high > low else np.zeros_like(scores)
