"""The smallest quotable pieces of the playbook, and what a search says about them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Language = Literal["zh", "en"]
Kind = Literal["card", "document"]
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")
FOLLOWS = 0.5  # probability from which a line counts as going on with the talk


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of text that can be quoted, with its place.

    `text` is what is quoted, verbatim. `heading` is the path that travels with the text when it is searched
    (title › section), so that a listed misconception is never read as advice. `original` is the text before an
    accepted correction. `document` is the card id or document id; `part` the card's section ("steps", "cause:fear").
    """

    id: str
    text: str
    place: str
    language: Language
    title: str
    document: str
    kind: Kind = "document"
    part: str = ""
    heading: str = ""
    polarity: Literal["advice", "myth", "warning", "definition"] = "advice"
    original: str | None = None

    @property
    def search_text(self) -> str:
        """Heading path, polarity mark and text: what is embedded and indexed."""
        mark = {"myth": {"zh": "【误区】", "en": "[misconception] "}, "warning": {"zh": "【警示】", "en": "[warning] "}}
        prefix = mark.get(self.polarity, {}).get(self.language, "")
        return f"{prefix}{self.heading}\n{self.text}" if self.heading else f"{prefix}{self.text}"

    @property
    def content_hash(self) -> str:
        """Of the searched text: embeddings are kept by it, so an unchanged passage is never embedded twice."""
        return hashlib.sha256(self.search_text.encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Hit:
    """A passage found. `score` 0–1, higher is better; `why` names the signals that carried it (for reports)."""

    passage: Passage
    score: float
    why: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Found:
    """A search result; `found` is False when nothing fits, though `hits` is filled all the same."""

    hits: tuple[Hit, ...]
    found: bool


@dataclass(frozen=True, slots=True)
class TopicBelief:
    """How strongly a message points to a card (calibrated probability), with the belief over its causes."""

    card: str
    score: float
    causes: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Reading:
    """What a message is about.

    `topics`: best first. `in_scope`: calibrated probability that the playbook treats it. `improper`: kind of
    improper ask ("bribe", "bid-rigging", "exclusive-spec", "rival-quote", "split-order", "evaluator-contact",
    "hospitality", "false-documents", "inside-information") or None. `chat`: a greeting or thanks. `follows`: how likely
    it goes on with the talk before it (0 without one).
    """

    topics: tuple[TopicBelief, ...]
    in_scope: float
    improper: str | None = None
    improper_score: float = 0.0
    chat: bool = False
    language: Language = "zh"
    follows: float = 0.0

    @property
    def goes_on(self) -> bool:
        return self.follows >= FOLLOWS


@dataclass(frozen=True, slots=True)
class Page:
    """What a reader yields: a page, slide, sheet or section with its place ("p. 4", "slide 2", "› Heading")."""

    place: str
    text: str
    heading: str = ""
    kind: Literal["body", "notes", "table"] = "body"
    number: int | None = None
    remarks: tuple[str, ...] = ()


def storable(text: str) -> bool:
    """No zeros and no halves of characters: what every database and every file takes."""
    return _UNSTORABLE.search(text) is None


def size(text: str) -> float:
    """Length as people feel it: a Chinese character counts one, anything else a third."""
    return sum(1.0 if "\u3400" <= char <= "\u9fff" else 0.34 for char in text)


def language_of(text: str) -> Language:
    """zh if the text has a noticeable share of Han characters (a rep may mix in English product names)."""
    han = sum(1 for char in text if "\u3400" <= char <= "\u9fff")
    latin_words = len([w for w in text.split() if any(c.isascii() and c.isalpha() for c in w)])
    return "zh" if han and han >= latin_words * 0.6 else "en"
