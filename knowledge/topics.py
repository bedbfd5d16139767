"""Which card a message is about: a small model learned from the example messages of the playbook.

Two logistic regressions over the same examples (sentence vectors; words and character bigrams) are averaged. Two
gates are learned the same way: is it in scope, and does it ask for something improper. All of it is a view: trained
in seconds from authored data, stored as arrays, rebuilt when the playbook or the embedder changes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import yaml
from numpy.typing import NDArray

from knowledge.cards import Card
from knowledge.keywords import tokens
from knowledge.passages import Language

Floats = NDArray[np.float32]
CONTENT = Path(__file__).parent / "content"


@dataclass(frozen=True, slots=True)
class Example:
    """A message with what it is about."""

    text: str
    label: str
    language: Language


@dataclass(frozen=True)
class Examples:
    """All authored examples: of the cards, of what lies outside, of improper asks and their honest neighbours."""

    topics: tuple[Example, ...]
    outside: tuple[Example, ...]
    chat: tuple[Example, ...]
    improper: tuple[Example, ...]
    honest: tuple[Example, ...]

    @property
    def fingerprint(self) -> str:
        whole = [[item.text, item.label] for part in (self.topics, self.outside, self.chat, self.improper, self.honest) for item in part]
        return hashlib.sha256(json.dumps(whole).encode()).hexdigest()[:16]


def load_examples(cards: Mapping[str, Card], folder: Path = CONTENT) -> Examples:
    """The cards' titles, aliases and situations, with the files of `phrasings/` and `scope/`."""
    topics = [example for card in cards.values() for example in _of_card(card)]
    for path in sorted((folder / "phrasings").glob("*.yaml")):
        data = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
        for card_id, texts in data.items():
            if card_id in cards:
                topics += _labelled(texts, card_id)
    outside = _read(folder / "scope" / "outside.yaml")
    improper = _read(folder / "scope" / "improper.yaml")
    return Examples(
        topics=tuple(topics),
        outside=tuple(e for kind in ("near", "far") for e in _labelled(outside.get(kind, {}), kind)),
        chat=tuple(_labelled(outside.get("chat", {}), "chat")),
        improper=tuple(e for kind, texts in improper.get("improper", {}).items() for e in _labelled(texts, kind)),
        honest=tuple(_labelled(improper.get("honest", {}), "honest")),
    )


def _read(path: Path) -> dict[str, Any]:
    return yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader) if path.exists() else {}


def _labelled(texts: Mapping[str, Sequence[str]], label: str) -> list[Example]:
    return [Example(str(text), label, cast(Language, language)) for language, items in texts.items() for text in items]


def _of_card(card: Card) -> list[Example]:
    found = []
    for language in card.languages:
        texts = [card.title.text(language), *card.aliases.texts(language)]
        texts += [item.text for item in card.situations.texts(language)]
        found += [Example(text, card.id, language) for text in texts]
    return found


@dataclass(frozen=True)
class Linear:
    """A softmax classifier over sentence vectors and words: arrays only, so that it can be stored and compared."""

    labels: tuple[str, ...]
    dense: Floats  # (labels, dimension + 1)
    sparse: Floats  # (labels, words + 1)
    words: Mapping[str, int]
    idf: Floats
    temperature: float
    share: float  # weight of the dense logits; 1 - share for the words

    def probabilities(self, vector: Floats, text: str) -> Floats:
        """Calibrated probabilities, shape (labels,)."""
        dense = self.dense[:, :-1] @ vector + self.dense[:, -1]
        counts: dict[int, float] = {}
        for token in tokens(text):
            if (index := self.words.get(token)) is not None:
                counts[index] = counts.get(index, 0.0) + 1.0
        sparse = self.sparse[:, -1]
        if counts:
            columns = np.fromiter(counts, np.int64)
            values = (1 + np.log(np.fromiter(counts.values(), np.float32))) * self.idf[columns]
            sparse = sparse + self.sparse[:, columns] @ (values / np.linalg.norm(values))
        logits = (self.share * _centred(dense) + (1 - self.share) * _centred(sparse)) / self.temperature
        odds = np.exp(logits - logits.max())
        return cast(Floats, odds / odds.sum())


def _centred(logits: Floats) -> Floats:
    return cast(Floats, logits - logits.mean())


def train(
    examples: Sequence[Example], vectors: Floats, *, strength: float = 20.0, share: float = 0.5, temperature: float | None = None,
    rarest: int = 1,
) -> Linear:  # fmt: skip
    """A `Linear` over the labels of the examples. `vectors` has shape (len(examples), dimension).

    The temperature is fitted on held-out folds, so that a probability of 0.7 is right about 7 times in 10. Words in
    fewer than `rarest` examples are left out: 2 trains in a third of the time.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    labels = tuple(dict.fromkeys(example.label for example in examples))
    target = np.array([labels.index(example.label) for example in examples])
    vectoriser = TfidfVectorizer(analyzer=tokens, sublinear_tf=True, min_df=rarest)
    words = vectoriser.fit_transform([example.text for example in examples])

    def fit(rows: Any, wanted: Any, c: float) -> Floats:
        model = LogisticRegression(C=c, max_iter=300)
        model.fit(rows, wanted)
        coef, intercept = model.coef_, model.intercept_
        if len(labels) == 2:  # one row for the second class
            coef, intercept = np.vstack([-coef / 2, coef / 2]), np.concatenate([-intercept / 2, intercept / 2])
        return np.hstack([coef, intercept[:, None]]).astype(np.float32)

    def build(chosen: Any, temperature: float) -> Linear:
        return Linear(
            labels, fit(vectors[chosen], target[chosen], strength), fit(words[chosen], target[chosen], strength),
            vectoriser.vocabulary_, vectoriser.idf_.astype(np.float32), temperature, share,
        )  # fmt: skip

    everything = np.arange(len(examples))
    if temperature is None:
        temperature = _fit_temperature(examples, vectors, target, lambda chosen: build(chosen, 1.0))
    return build(everything, temperature)


def _fit_temperature(examples: Sequence[Example], vectors: Floats, target: Any, build: Callable[[Any], Linear]) -> float:
    """The temperature with the best log-loss on a held-out fifth."""
    held = np.arange(len(examples)) % 5 == 4
    model = build(np.flatnonzero(~held))
    logs = np.stack([np.log(model.probabilities(vectors[i], examples[i].text) + 1e-12) for i in np.flatnonzero(held)])
    wanted = target[held]
    grid = [0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.2, 1.5, 2.0]

    def loss(temperature: float) -> float:
        scaled = logs / temperature
        scaled = scaled - np.log(np.exp(scaled - scaled.max(1, keepdims=True)).sum(1, keepdims=True)) - scaled.max(1, keepdims=True)
        return float(-scaled[np.arange(len(wanted)), wanted].mean())

    return min(grid, key=loss)


def save(path: Path, models: Mapping[str, Linear], fingerprint: str) -> None:
    arrays: dict[str, Any] = {"fingerprint": np.array(fingerprint)}
    for name, model in models.items():
        arrays |= {
            f"{name}.dense": model.dense, f"{name}.sparse": model.sparse.astype(np.float16), f"{name}.idf": model.idf,
            f"{name}.labels": np.array(model.labels), f"{name}.scale": np.array([model.temperature, model.share]),
            f"{name}.words": np.array(sorted(model.words, key=model.words.__getitem__)),
        }  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp.npz")
    np.savez(temporary, **arrays)
    temporary.replace(path)


def load(path: Path, fingerprint: str) -> dict[str, Linear] | None:
    """The stored models, or None when they are missing, damaged or belong to other data."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            if str(arrays["fingerprint"]) != fingerprint:
                return None
            names = {key.split(".")[0] for key in arrays.files if "." in key}
            return {
                name: Linear(
                    tuple(map(str, arrays[f"{name}.labels"])), arrays[f"{name}.dense"],
                    arrays[f"{name}.sparse"].astype(np.float32),
                    {str(word): i for i, word in enumerate(arrays[f"{name}.words"])},
                    arrays[f"{name}.idf"], *map(float, arrays[f"{name}.scale"]),
                )
                for name in names
            }  # fmt: skip
    except (OSError, ValueError, KeyError):  # not there, half-written, not an archive
        return None
