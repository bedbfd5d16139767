"""Where a text lies among the topics of selling: it lets a rep's plain words find a document's words of the trade.

Two texts that share no word and no phrase can still be about the same few topics of the playbook. The learned topics
(`topics.py`) are asked about the question and about each passage, and what the cards say of the likely topics is
looked for beside the question itself. Cards never appear in the results by this: it only reads them.
"""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from knowledge.cards import Card, card_passages
from knowledge.keywords import normalise, terms
from knowledge.passages import Language, Passage
from knowledge.topics import Linear, load

Floats = NDArray[np.float32]
LANGUAGES: tuple[Language, ...] = ("zh", "en")

# Shares of a document passage's score, each a product of unit vectors. Every one weighs about as much as its spread over
# passages allows: one standard deviation each. Chosen on the tuning questions (docs/reports/retrieval.md).
MEANING = 0.37  # the question beside the passage
CARDS = 0.24  # what the cards say of the question's topics, beside the passage
TOPICS = 0.27  # how likely the question's topics are the passage's
PROFILE = 0.12  # all topics, also the unlikely ones: question beside passage


@dataclass(frozen=True)
class Aim:
    """What passages are compared with: a direction among features for each language, and one among topics."""

    features: Mapping[Language, Floats]
    topics: Floats  # (labels,); empty without a compass


@dataclass(frozen=True)
class Compass:
    """Learned topics, and per language what the cards say of each: features of shape (labels, width), unit length."""

    topics: Linear
    centres: Mapping[Language, Floats]

    @cached_property
    def fingerprint(self) -> str:
        """Of the learned topics: places of another model are not compared with these."""
        whole = [self.topics.dense.tobytes(), np.asarray(self.topics.idf, np.float32).tobytes(), "\n".join(self.topics.labels).encode()]
        return hashlib.sha256(b"".join(whole)).hexdigest()[:16]

    def aim(self, features: Floats, cues: Sequence[str], language: Language) -> Aim:
        """The direction of a question, of shape (width,) per language and (labels,)."""
        scale, logits = self.topics.scales[language], self.topics.logits(features, cues)
        mixed = scale[0] * logits[0] + scale[1] * logits[1]
        odds = np.exp(mixed - mixed.max())
        belief = odds / odds.sum()
        towards = {to: MEANING * features + CARDS * (belief @ self.centres[to]) for to in LANGUAGES}
        return Aim(towards, cast(Floats, TOPICS * belief + PROFILE * _unit(mixed)))

    def place(self, features: Floats, text: str, language: Language) -> Floats:
        """Where a passage lies: unit length, shape (labels,)."""
        dense, sparse = self.topics.logits(features, terms(normalise(text)))
        scale = self.topics.scales[language]
        return _unit(scale[0] * dense + scale[1] * sparse)

    def places(self, passages: Sequence[Passage], features: Floats) -> Floats:
        """Where passages lie, shape (len(passages), labels)."""
        rows = [self.place(row, item.search_text, item.language) for item, row in zip(passages, features, strict=True)]
        return np.stack(rows) if rows else np.zeros((0, len(self.topics.labels)), np.float32)


def straight(features: Floats) -> Aim:
    """The aim of a question when no topics were learned: the question alone."""
    return Aim(dict.fromkeys(LANGUAGES, features), np.zeros(0, np.float32))


def _unit(row: Floats) -> Floats:
    return cast(Floats, (row / max(float(np.linalg.norm(row)), 1e-9)).astype(np.float32))


def card_texts(cards: Mapping[str, Card]) -> list[tuple[str, Language, str]]:
    """(card, language, text) of all that the cards say."""
    return [(card.id, item.language, item.text) for card in cards.values() for item in card_passages(card)]


def centres_of(labels: Sequence[str], texts: Sequence[tuple[str, Language, str]], features: Floats) -> dict[Language, Floats]:
    """Per language the direction of what each card says: mean of its texts' features, zero for a card without any."""
    numbers = {label: i for i, label in enumerate(labels)}
    found = {language: np.zeros((len(labels), features.shape[1]), np.float32) for language in LANGUAGES}
    for (card, language, _), row in zip(texts, features, strict=True):
        if card in numbers:
            found[language][numbers[card]] += row
    return {language: np.stack([*map(_unit, rows)]) for language, rows in found.items()}


def texts_mark(fingerprint: str, texts: Sequence[tuple[str, Language, str]]) -> str:
    """What centres depend on: the embedding model and the cards' texts."""
    return fingerprint + "/" + hashlib.sha256("\n".join(text for _, _, text in texts).encode()).hexdigest()[:16]


def save_centres(path: Path, mark: str, labels: Sequence[str], centres: Mapping[Language, Floats]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp.npz")
    np.savez(temporary, mark=np.array(mark), labels=np.array(labels), zh=centres["zh"], en=centres["en"])
    temporary.replace(path)


def load_centres(path: Path, mark: str, labels: Sequence[str]) -> dict[Language, Floats] | None:
    """Stored centres of these labels; None when they are missing, damaged or of another `mark` (a prefix is enough)."""
    found = _arrays(path, "mark", "labels", *LANGUAGES)
    if found is None or not str(found["mark"]).startswith(mark) or found["labels"].tolist() != list(labels):
        return None
    return {language: found[language] for language in LANGUAGES}


def shipped(folder: Path, fingerprint: str) -> Compass | None:
    """The compass of the bundled cards that the set-up left, for a library without cards; None if it left none."""
    trained = _arrays(folder / "topics.npz", "fingerprint")
    if trained is None or not (mark := str(trained["fingerprint"])).startswith(fingerprint + "/"):
        return None
    models = load(folder / "topics.npz", mark)
    if not models or "topics" not in models:
        return None
    centres = load_centres(folder / "centres.npz", fingerprint + "/", models["topics"].labels)
    return Compass(models["topics"], centres) if centres else None


def kept_places(path: Path, mark: str) -> dict[str, Floats]:
    """Places by content hash, as `keep_places` left them; empty when there are none of this `mark`."""
    found = _arrays(path, "mark", "keys", "rows")
    if found is None or str(found["mark"]) != mark:
        return {}
    return dict(zip(found["keys"].tolist(), found["rows"], strict=True))


def _arrays(path: Path, *names: str) -> dict[str, Any] | None:
    """Arrays of a stored file; None when it is missing, half-written or not an archive."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in names}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
        return None


def keep_places(path: Path, mark: str, places: Mapping[str, Floats]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp.npz")
    rows = np.stack(list(places.values())) if places else np.zeros((0, 0), np.float32)
    np.savez(temporary, mark=np.array(mark), keys=np.array(list(places)), rows=rows)
    temporary.replace(path)
