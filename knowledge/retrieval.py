"""Finding what the playbook says: passages by words and meaning, cards by a learned belief over topics.

A `Library` is one published version in memory: everything in it belongs together, so a reader sees all of one
version or all of another.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import cache, cached_property, lru_cache
from typing import Protocol, cast

import numpy as np
from numpy.typing import NDArray

from knowledge.cards import Card
from knowledge.compass import LANGUAGES, Aim, Compass, straight
from knowledge.embedders import REMEMBERED, Embedder, Vectors
from knowledge.followups import Line, likely
from knowledge.glossary import load_glossary
from knowledge.keywords import Keywords, normalise
from knowledge.passages import FOLLOWS, Found, Hit, Kind, Language, Passage, Reading, TopicBelief, language_of
from knowledge.topics import RECIPES, Linear, cues, runs_of

Floats = NDArray[np.float32]

# Chosen on the tuning part of the golden set (docs/reports/retrieval.md).
IMPROPER_FLOOR = 0.45
CLEAR_TOPIC = 0.40  # how much a clear topic other than red lines raises that floor: such plans rarely look like a plain question
RED_LINES = "x-ethics"
CHAT_FLOOR = 0.07
SURE_OF_TOPIC = 1.0  # how much a clear topic speaks for a message being ours
OUTSIDE_PRIOR = 3.0
SCOPE_FLOOR = 0.5
WORDS = (
    0.35  # share of BM25 in the fused score of a passage in the question's language; the rest is the vectors'
)
FOREIGN_WORDS = 0.15  # … in the other language, where only names, numbers and the glossary's terms can agree
TOPIC_BONUS = 0.5  # how much the belief in a card lifts its passages
OWN_LANGUAGE = 0.05  # a card's passage in the language of the question
DOCUMENT_WORDS = 0.05  # what a firm agreement in words gains in a search over documents …
FIRM = 1.5  # … in weights of the library's rarest word: a few words of the trade, or one rare name or number
FOREIGN_DOCUMENT_WORDS = 0.025  # … in the other language
NAMED = (
    0.10  # what a part number or the like of the question gains in a passage of either language that has it
)
DOCUMENT_FLOOR = 0.35  # cosine below which a document passage is not called found
CANDIDATES = 100  # by meaning and by words, in each language; small libraries are ranked whole
SMALL = 3000
FIRST_LOOK = 5  # times so many rows are compared in full after a look at their shortened forms, when no index proposes some
SHORT = 128  # numbers of a shortened row: of 100,000 passages the first look keeps 0.998 of the ten nearest of all
SAMPLE = 3000  # rows that tell how to shorten
EXACT = 50_000  # document passages up to which comparing with all is as quick as an index, and smaller (docs/reports/retrieval-bench.md)
FEW = 64  # lines that are compared one by one


_NUMBERED = re.compile(r"[a-z]+-?\d[a-z\d-]+|\d[\d-]*[a-z][a-z\d-]*|\d{4,}")  # GX-4123, 3m-750, 61850


Answer = Callable[
    [], Mapping[Language, NDArray[np.int64]] | None
]  # rows by language; None when the index cannot say


class Nearest(Protocol):
    """An index of the library's vectors: which rows may be the nearest? It looks while the caller does other work."""

    def asked(self, vectors: Mapping[Language, Floats], count: int) -> AbstractContextManager[Answer]: ...


@dataclass(frozen=True, eq=False)
class Question:
    """A message, or several lines of a talk, as the library reads it: search vector, what the classifiers see, language."""

    text: str
    vector: Floats
    features: Floats
    cues: Sequence[str]
    language: Language


@dataclass
class Library:
    """One version of the playbook, searchable."""

    version: int
    passages: Sequence[Passage]
    vectors: Vectors  # (len(passages), dimension), L2-normalised
    playbook: Mapping[str, Card]
    embedder: Embedder
    models: Mapping[str, Linear] = field(default_factory=dict)
    causes: Mapping[str, tuple[tuple[str, ...], Vectors]] = field(
        default_factory=dict
    )  # per card: whose text, vectors
    nearest: Nearest | None = None
    index_above: int = EXACT  # document passages above which `nearest` is asked
    features: Vectors | None = (
        None  # per document passage what the encoder knew below its head; zeros for cards
    )
    compass: Compass | None = None
    places: Floats | None = (
        None  # per document passage where it lies among the compass's topics; zeros for cards
    )

    @cached_property
    def _by_language(self) -> dict[Language, tuple[NDArray[np.int64], Keywords]]:
        groups = {}
        for language in LANGUAGES:
            rows = np.array(
                [i for i, item in enumerate(self.passages) if item.language == language], np.int64
            )
            groups[language] = rows, Keywords([self.passages[i].search_text for i in rows])
        return groups

    @cached_property
    def _by_id(self) -> dict[str, Passage]:
        return {item.id: item for item in self.passages}

    @cached_property
    def _card_of(self) -> NDArray[np.int64]:
        """Per passage the number of its card among the topics' labels; the last number for those without."""
        labels = self.models["topics"].labels if "topics" in self.models else ()
        numbers = {label: i for i, label in enumerate(labels)}
        return np.array(
            [
                numbers.get(item.document, len(labels)) if item.kind == "card" else len(labels)
                for item in self.passages
            ],
            np.int64,
        )

    @cached_property
    def _home(self) -> dict[Language, Floats]:
        """Per passage the small bonus of a card in the question's own language."""
        languages: tuple[Language, ...] = ("zh", "en")
        return {
            language: np.array(
                [
                    OWN_LANGUAGE * (item.kind == "card" and item.language == language)
                    for item in self.passages
                ],
                np.float32,
            )
            for language in languages
        }

    @property
    def _meaning(self) -> Vectors:
        """What a question is compared with in a search over documents."""
        return self.vectors if self.features is None else self.features

    @cached_property
    def _document_rows(self) -> dict[Language, NDArray[np.int64]]:
        return {language: rows[self._documents[rows]] for language, (rows, _) in self._by_language.items()}

    @cached_property
    def _card_rows(self) -> NDArray[np.int64]:
        return np.flatnonzero(~self._documents)

    @cached_property
    def _middle(self) -> dict[Language, tuple[Floats, Floats]]:
        """Per language the mean document passage: languages lie apart, and that must not rank them."""
        found = {}
        for language, rows in self._document_rows.items():
            share = np.zeros(len(self.passages), np.float32)
            share[rows] = 1 / max(len(rows), 1)
            found[language] = (
                share @ self._meaning,
                share @ self.places if self.places is not None else np.zeros(0, np.float32),
            )
        return found

    def groups(self) -> dict[Language, tuple[NDArray[np.int64], Vectors]]:
        """Row numbers and rows of the documents' passages per language: what an index is built from."""
        return {
            language: (rows, self._meaning[rows])
            for language, rows in self._document_rows.items()
            if len(rows)
        }

    def warm(self) -> None:
        """Build what is built lazily, so that the first question doesn't pay for it."""
        _ = self._by_language, self._by_id, self._card_of, self._home, self._middle, self._card_rows, self._short
        self.read("预热 warm up")

    def words(self, most: int) -> list[str]:
        """What questions are likely made of: the cards' texts and situations, and as many passages spread over the documents."""
        said = [item.text for card in self.playbook.values() for spoken in card.languages for item in card.situations.texts(spoken)]
        said += [self.passages[row].search_text for row in self._card_rows]
        documents = np.flatnonzero(self._documents)
        spread = documents[:: 1 + len(documents) // most]
        return [*map(normalise, (*said, *(self.passages[row].search_text for row in spread)))]

    def cards(self) -> Mapping[str, Card]:
        return self.playbook

    def passage(self, passage_id: str, *, version: int | None = None) -> Passage | None:
        return self._by_id.get(passage_id)

    @cached_property
    def _by_card(self) -> dict[tuple[str, Language], list[Passage]]:
        found: dict[tuple[str, Language], list[Passage]] = {}
        for item in self.passages:
            found.setdefault((item.document, item.language), []).append(item)
        return found

    def passages_of(self, card_id: str, language: Language) -> Sequence[Passage]:
        return self._by_card.get((card_id, language), [])

    def similarity(self, left: Sequence[str], right: Sequence[str]) -> Floats:
        """Cosines of shape (len(left), len(right)): a few lines from memory, many in one batch."""
        texts = [normalise(text) for text in (*left, *right)]
        both = (
            np.stack([*map(self.embedder.line, texts)])
            if 0 < len(texts) <= FEW
            else self.embedder.documents(texts)
        )
        return both[: len(left)] @ both[len(left) :].T

    def question(self, *lines: str) -> Question:
        """A message, or lines of a talk, as the library reads it; the latest are remembered, a turn reads the same text several times."""
        return self._questions(lines)

    @cached_property
    def _questions(self) -> Callable[[tuple[str, ...]], Question]:
        return lru_cache(REMEMBERED)(self._question)

    def _question(self, lines: tuple[str, ...]) -> Question:
        plain = [*map(normalise, lines)]
        read, text = self.embedder.talk(plain), " ".join(plain)
        return Question(text, read.vector, read.features, tuple(cues(text)), language_of(" ".join(lines)))

    def search(
        self, text: str, *, limit: int = 10, language: Language | None = None, kind: Kind | None = None
    ) -> Found:
        if kind and not self._of_kind(kind).any():
            return Found((), False)
        question = self.question(text)
        return self.ranked(question, limit=limit, language=language or question.language, kind=kind)

    def ranked(
        self, question: Question, *, limit: int, language: Language, kind: Kind | None = None
    ) -> Found:
        """Passages for a question, best first: cards and documents have their own ways, and meet in one list."""
        cards = self._card_rows if kind != "document" else np.zeros(0, np.int64)
        documents, scores = np.zeros(0, np.int64), np.zeros(0, np.float32)
        if kind == "card" or not self._documents.any():
            words = self._words(question)
        else:
            aim = self._aim(question)
            with self._nearest(aim) as near:  # the index looks while we count words
                words = self._words(question)
                documents, scores = self._documents_ranked(question, aim, words, near() or {})
        rows = np.concatenate([cards, documents])
        if not len(rows):
            return Found((), False)
        if len(cards):
            scores = self._beside_cards(question, rows, words, language)
            scores[len(cards) :] = -np.sort(
                -scores[len(cards) :]
            )  # documents share their places in the list, in their own order
        order = np.argsort(-scores, kind="stable")[:limit]
        best = rows[order]
        hits = tuple(
            Hit(self.passages[row], float(score)) for row, score in zip(best, scores[order], strict=True)
        )
        return Found(hits, self._found(question, best))

    def _of_kind(self, kind: Kind) -> NDArray[np.bool_]:
        return self._documents if kind == "document" else ~self._documents

    @cached_property
    def _documents(self) -> NDArray[np.bool_]:
        return np.array([item.kind == "document" for item in self.passages], np.bool_)

    def _words(self, question: Question) -> Floats:
        """BM25 of every passage, within its language; in the other one with the glossary's names for the question's terms."""
        found = np.zeros(len(self.passages), np.float32)
        for language, (rows, keywords) in self._by_language.items():
            own = language == question.language
            found[rows] = keywords.scores(
                question.text if own else in_both_languages(question.text, question.language)
            )
        return found

    def _beside_cards(
        self, question: Question, rows: NDArray[np.int64], words: Floats, language: Language
    ) -> Floats:
        """Scores of 0–1 by meaning and words, cards lifted by the belief in them."""
        scores = (1 - WORDS) * _spread(self.vectors[rows] @ question.vector)
        for spoken, mine in self._languages.items():
            if (chosen := mine[rows]).any():
                scores[chosen] += (WORDS if spoken == question.language else FOREIGN_WORDS) * _spread(
                    words[rows[chosen]]
                )
        if "topics" in self.models:
            belief = np.append(self._topics(question), np.float32(0))
            scores = scores + TOPIC_BONUS * belief[self._card_of[rows]] + self._home[language][rows]
        return np.asarray(scores / (1 + TOPIC_BONUS + OWN_LANGUAGE), np.float32)

    @cached_property
    def _languages(self) -> dict[Language, NDArray[np.bool_]]:
        return {
            language: np.array([item.language == language for item in self.passages], np.bool_)
            for language in LANGUAGES
        }

    def _aim(self, question: Question) -> Aim:
        if self.compass is not None:
            return self.compass.aim(question.features, question.cues, question.language)
        return straight(question.vector if self.features is None else question.features)

    def _documents_ranked(
        self, question: Question, aim: Aim, words: Floats, near: Mapping[Language, NDArray[np.int64]]
    ) -> tuple[NDArray[np.int64], Floats]:
        """The documents' best passages and their scores, best first; `near` are the index's proposals."""
        named = self._named(question)
        found, scores = [], []
        for language, rows in self._document_rows.items():
            if not len(rows):
                continue
            chosen, alike = self._candidates(aim.features[language], language, words, near.get(language))
            share = DOCUMENT_WORDS if language == question.language else FOREIGN_DOCUMENT_WORDS
            scores.append(
                alike
                + self._towards(aim, chosen, language)
                + share / (FIRM * math.log(1 + len(rows))) * words[chosen]
            )
            if named is not None:
                scores[-1] = scores[-1] + NAMED * named[chosen]
            found.append(chosen)
        both = np.concatenate(scores)
        order = _best(both, 2 * CANDIDATES)
        return np.concatenate(found)[order], np.clip(both[order], 0, 1)

    def _named(self, question: Question) -> Floats | None:
        """How far each passage has the numbers and part numbers of the question, 0–1; None if it names none."""
        if not (names := " ".join(_NUMBERED.findall(question.text))):
            return None
        found = np.zeros(len(self.passages), np.float32)
        for rows, keywords in self._by_language.values():
            found[rows] = _spread(keywords.scores(names))
        return found

    def _towards(self, aim: Aim, rows: NDArray[np.int64], language: Language) -> Floats | float:
        """What the topics add, less what the language's mean passage would get."""
        mean, place = self._middle[language]
        start = -float(mean @ aim.features[language])
        if self.places is None or not len(aim.topics):
            return start
        return np.asarray(self.places[rows] @ aim.topics + (start - float(place @ aim.topics)), np.float32)

    @property
    def _exact(self) -> bool:
        return self.nearest is None or sum(map(len, self._document_rows.values())) <= self.index_above

    def _nearest(self, aim: Aim) -> AbstractContextManager[Answer]:
        """A question to the index about the languages with many passages, if there is one."""
        many = {
            language: aim.features[language]
            for language, rows in self._document_rows.items()
            if len(rows) > SMALL
        }
        return (
            nullcontext(lambda: None)
            if self.nearest is None or self._exact
            else self.nearest.asked(many, CANDIDATES)
        )

    def _candidates(
        self, aim: Floats, language: Language, words: Floats, near: NDArray[np.int64] | None
    ) -> tuple[NDArray[np.int64], Floats]:
        """Rows that may be the best, and how near they are: all of few, else the nearest and those with the best words."""
        rows = self._document_rows[language]
        if len(rows) <= SMALL:
            return rows, self._beside(language) @ aim
        near = rows[_top(self._short[language].compared(aim), FIRST_LOOK * CANDIDATES)] if near is None else near
        chosen = np.union1d(near, rows[_top(words[rows], CANDIDATES)])
        return chosen, self._meaning[chosen] @ aim

    def _beside(self, language: Language) -> Vectors:
        """The rows of a language with few passages, side by side in memory."""
        if language not in self._few:
            self._few[language] = np.ascontiguousarray(self._meaning[self._document_rows[language]])
        return self._few[language]

    @cached_property
    def _few(self) -> dict[Language, Vectors]:
        return {}

    @cached_property
    def _short(self) -> dict[Language, Short]:
        """A first look at the rows of each language with many passages."""
        return {language: shortened(self._meaning[rows]) for language, rows in self._document_rows.items() if len(rows) > SMALL}

    def _found(self, question: Question, best: NDArray[np.int64]) -> bool:
        documents = [row for row in best if self.passages[row].kind == "document"]
        if documents and float((self.vectors[documents] @ question.vector).max()) >= DOCUMENT_FLOOR:
            return True
        return bool(self.playbook) and len(best) > 0 and self._in_scope(question) >= SCOPE_FLOOR

    def read(self, text: str, *, context: Sequence[str] = ()) -> Reading:
        """What a message is about. With `context` its topics are those of the line alone and of the talk, mixed by how
        likely it is that the line goes on with it.
        """
        alone = self.question(text)
        own = beliefs = self._topics(alone)
        told, follows = alone, 0.0
        if context:
            told, before = self.question(*context[-2:], text), self.question(*context[-2:])
            follows, talk = self._follows(alone, before, told)
            beliefs = follows * talk + (1 - follows) * own
        labels = self.models["topics"].labels if "topics" in self.models else ()
        best = np.argsort(-beliefs)[:5]
        improper, score = self._improper(alone)
        if (
            follows >= FOLLOWS
        ):  # what sounds improper alone ("and if they won't give it?") may be honest in its talk
            score = min(score, self._improper(told)[1])
        return Reading(
            topics=tuple(
                TopicBelief(labels[i], float(beliefs[i]), self._causes(labels[i], told.vector)) for i in best
            ),
            in_scope=max(self._in_scope(told), self._in_scope(alone))
            if follows >= FOLLOWS
            else self._in_scope(alone),
            improper=improper
            if score >= IMPROPER_FLOOR + CLEAR_TOPIC * max(0.0, 2 * self._other_topic(own) - 1)
            else None,
            improper_score=score,
            chat=self._gate("scope", alone, "chat") >= CHAT_FLOOR,
            language=alone.language,
            follows=follows,
        )

    def _other_topic(self, beliefs: Floats) -> float:
        """The belief in the best topic, if it is not the one about red lines."""
        if not beliefs.size or self.models["topics"].labels[int(beliefs.argmax())] == RED_LINES:
            return 0.0
        return float(beliefs.max())

    def _follows(self, alone: Question, before: Question, together: Question) -> tuple[float, Floats]:
        """How likely a line goes on with the talk before it, and the belief over topics if it does."""
        own, earlier, joint = self._topics(alone), self._topics(before), self._topics(together)
        line = Line(
            alone.text,
            own,
            earlier,
            joint,
            self._in_scope(alone),
            self._gate("scope", alone, "chat"),
            float(alone.vector @ before.vector),
        )
        return likely(line), cast(Floats, (earlier + joint) / 2)

    def _topics(self, question: Question) -> Floats:
        """Belief in each of the topics' labels; empty without cards."""
        return self._judged("topics", question) if "topics" in self.models else np.zeros(0, np.float32)

    @cached_property
    def _judged(self) -> Callable[[str, Question], Floats]:
        """What a model says of a question; the latest verdicts are remembered."""
        return lru_cache(4 * REMEMBERED)(self._judge)

    def _judge(self, name: str, question: Question) -> Floats:
        found = (*question.cues, *runs_of(question.text)) if RECIPES[name].runs else question.cues
        return self.models[name].probabilities(question.features, found, question.language)

    def _gate(self, name: str, question: Question, label: str) -> float:
        if (model := self.models.get(name)) is None:
            return 0.0
        return float(self._judged(name, question)[model.labels.index(label)])

    def _in_scope(self, question: Question) -> float:
        """How likely the playbook treats this: what the gate says, and whether any topic is clear."""
        if "scope" not in self.models:
            return 1.0
        inside = _logit(self._gate("scope", question, "inside")) + SURE_OF_TOPIC * _logit(
            float(self._topics(question).max())
        )
        return 1 / (1 + math.exp(-(inside - OUTSIDE_PRIOR)))

    def _improper(self, question: Question) -> tuple[str | None, float]:
        """The likeliest kind of improper ask, and how likely it is that this is one at all."""
        if (kinds := self.models.get("kinds")) is None:
            return None, 0.0
        return kinds.labels[int(self._judged("kinds", question).argmax())], self._gate(
            "improper", question, "improper"
        )

    def _causes(self, card_id: str, vector: Floats) -> tuple[tuple[str, float], ...]:
        if card_id not in self.causes:
            return ()
        names, vectors = self.causes[card_id]
        similar = vectors @ vector
        best = {
            name: max(float(similar[i]) for i, other in enumerate(names) if other == name)
            for name in dict.fromkeys(names)
        }
        weights = np.exp((np.array(list(best.values())) - max(best.values())) / 0.08)
        return tuple(
            sorted(zip(best, map(float, weights / weights.sum()), strict=True), key=lambda pair: -pair[1])
        )


@dataclass(frozen=True)
class Short:
    """Rows along the few directions in which they differ most: a quarter of the memory to read for a first look."""

    directions: Floats  # (width, SHORT)
    rows: Floats  # (rows, SHORT)

    def compared(self, aim: Floats) -> Floats:
        """About how near every row is to the aim, shape (rows,)."""
        return cast(Floats, self.rows @ (aim @ self.directions))


def shortened(rows: Vectors) -> Short:
    """Rows of shape (n, width) for a first look; the directions are the main ones of a sample."""
    sample = rows[:: 1 + len(rows) // SAMPLE]
    directions = np.ascontiguousarray(np.linalg.eigh(sample.T @ sample)[1][:, -SHORT:], np.float32)
    return Short(directions, np.ascontiguousarray(rows @ directions))


@cache
def _terms(language: Language) -> list[tuple[str, str]]:
    """Names of the trade's terms in a language, each with the other language's names."""
    other: Language = "en" if language == "zh" else "zh"
    least = 2 if language == "zh" else 4
    pairs = [
        (normalise(name), " ".join(term.names(other)))
        for term in load_glossary().terms
        for name in term.names(language)
    ]
    return [pair for pair in pairs if len(pair[0]) >= least]


def in_both_languages(text: str, language: Language) -> str:
    """A normalised question with its terms of the trade in the other language behind it."""
    return " ".join([text, *dict.fromkeys(names for name, names in _terms(language) if name in text)])


def cause_texts(cards: Mapping[str, Card]) -> list[tuple[str, str, str]]:
    """(card, cause, text) for every sentence, signal and situation that shows a cause."""
    return [
        (card.id, cause.id, text)
        for card in cards.values()
        for cause in card.causes
        for text in _cause_texts(card, cause.id)
    ]


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


def _logit(belief: float) -> float:
    return math.log((belief + 1e-6) / (1 - belief + 1e-6))


def _top(values: Floats, count: int) -> NDArray[np.int64]:
    """Positions of the largest values above zero, in no order."""
    found = np.argpartition(-values, count)[:count] if len(values) > count else np.arange(len(values))
    chosen: NDArray[np.int64] = found[values[found] > 0]
    return chosen


def _best(values: Floats, count: int) -> NDArray[np.int64]:
    """Positions of the largest values, largest first."""
    found = np.argpartition(-values, count)[:count] if len(values) > count else np.arange(len(values))
    order: NDArray[np.int64] = found[np.argsort(-values[found], kind="stable")]
    return order
