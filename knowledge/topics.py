"""Which card a message is about, whether it is ours to answer, whether it is proper: learned from the cards' examples.

Each question is a softmax over two views of a message, its vector and its words. It trains in seconds, so it is a
view of the playbook: a card that a trainer adds is recognised as soon as it is published.
"""

from __future__ import annotations

import hashlib
import json
import re
import warnings
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, cast

import numpy as np
import yaml
from numpy.typing import NDArray

from knowledge.cards import Card, sections
from knowledge.keywords import normalise, terms
from knowledge.passages import Language

Floats = NDArray[np.float32]
CONTENT = Path(__file__).parent / "content"
RECIPE = 6  # part of the fingerprint: models trained another way are trained anew

# Chosen on the tuning part of the golden set and on folds of the examples (docs/reports/retrieval.md).
HONEST_WEIGHT = 0.5  # an honest neighbour as an example of its card
LINE_WEIGHT = 0.1  # a line of a card's overview or causes as an example of it
OUTSIDE_WEIGHT = 4.0
ROUNDS = 40


@dataclass(frozen=True, slots=True)
class Example:
    """A message with what it is about, and how much it counts."""

    text: str
    label: str
    language: Language
    weight: float = 1.0


@dataclass(frozen=True)
class Examples:
    """All authored examples: of the cards, of what lies outside, of improper asks and their honest neighbours."""

    topics: tuple[Example, ...]
    outside: tuple[Example, ...]
    chat: tuple[Example, ...]
    improper: tuple[Example, ...]
    honest: tuple[Example, ...]
    lines: tuple[Example, ...] = ()

    def __iter__(self) -> Iterator[Example]:
        for part in (self.topics, self.outside, self.chat, self.improper, self.honest, self.lines):
            yield from part

    @property
    def fingerprint(self) -> str:
        whole = [[item.text, item.label, item.weight] for item in self]
        return hashlib.sha256(json.dumps([RECIPE, whole]).encode()).hexdigest()[:16]


def load_examples(cards: Mapping[str, Card], folder: Path = CONTENT) -> Examples:
    """The cards' titles, aliases, situations and lines, with the files of `phrasings/` and `scope/`."""
    topics = [example for card in cards.values() for example in _of_card(card)]
    for path in sorted((folder / "phrasings").glob("*.yaml")):
        for card_id, texts in _read(path).items():
            if card_id in cards:
                topics += _labelled(texts, card_id)
    outside = _voices(folder / "scope", "outside")
    improper = _voices(folder / "scope", "improper")
    honest = [example for voice in improper for card_id, texts in voice["honest"].items() for example in _labelled(texts, card_id)]
    topics += [Example(item.text, item.label, item.language, HONEST_WEIGHT) for item in honest if item.label in cards]
    return Examples(
        topics=tuple(topics),
        outside=tuple(e for voice in outside for kind in ("near", "far") for e in _labelled(voice.get(kind, {}), kind)),
        chat=tuple(e for voice in outside for e in _labelled(voice.get("chat", {}), "chat")),
        improper=tuple(e for voice in improper for kind, texts in voice["improper"].items() for e in _labelled(texts, kind)),
        honest=tuple(Example(item.text, "honest", item.language) for item in honest),
        lines=tuple(example for card in cards.values() for example in _lines(card)),
    )


def _read(path: Path) -> dict[str, Any]:
    return yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader) if path.exists() else {}


def _voices(folder: Path, name: str) -> list[dict[str, Any]]:
    """The files of several writers: `<name>.yaml`, `<name>-a.yaml`, …"""
    return [_read(path) for path in sorted(folder.glob(f"{name}*.yaml"))]


def _labelled(texts: Mapping[str, Sequence[str]], label: str) -> list[Example]:
    return [Example(str(text), label, cast(Language, language)) for language, items in texts.items() for text in items]


def _of_card(card: Card) -> list[Example]:
    found = []
    for language in card.languages:
        texts = [card.title.text(language), *card.aliases.texts(language)]
        texts += [item.text for item in card.situations.texts(language)]
        found += [Example(text, card.id, language) for text in texts]
    return found


def _lines(card: Card) -> list[Example]:
    """What the card says of its problem: weak examples in the playbook's own words."""
    return [
        Example(line, card.id, language, LINE_WEIGHT)
        for language in card.languages
        for section in sections(card, language)
        if section.part == "overview" or section.part.startswith("cause:")
        for line in section.lines
    ]


@cache
def _markers() -> dict[str, re.Pattern[str]]:
    """Ways of speaking that tell a plan from a question about a line (content/scope/markers.yaml)."""
    found = _read(CONTENT / "scope" / "markers.yaml")
    return {name: re.compile("|".join(f"(?:{pattern})" for pattern in patterns)) for name, patterns in found.items()}


@lru_cache(maxsize=50_000)  # the same example trains several models
def _known_cues(text: str, runs: bool) -> tuple[str, ...]:
    return (*cues(text), *runs_of(text)) if runs else tuple(cues(text))


def cues(text: str) -> list[str]:
    """What the classifiers read in a message besides its vector: its terms, its markers and pairs of markers."""
    plain = normalise(text)
    marks = [f"§{name}" for name, pattern in _markers().items() if pattern.search(plain)]
    return [*terms(plain), *marks, *(first + second for i, first in enumerate(marks) for second in marks[i + 1 :])]


_SIGN = re.compile(r"[\u3400-\u9fff]|[a-z]+(?:'[a-z]+)?|\d+|[?!,.]")
RUN_SIGNS = 300  # signs of a message whose runs are read


def runs_of(text: str) -> list[str]:
    """Runs of one to four characters or one to three words, small words included, and how the message begins and ends.

    What somebody intends shows in small words: "how do I turn it down", "怎么给" and "怎么退".
    """
    plain = normalise(text)
    signs = _SIGN.findall(plain)[:RUN_SIGNS]
    longest = 4 if sum("\u3400" <= sign <= "\u9fff" for sign in signs) > len(signs) / 3 else 3
    runs = ["≈" + " ".join(signs[i : i + size]) for size in range(1, longest + 1) for i in range(len(signs) - size + 1)]
    edges = ["^" + " ".join(signs[:size]) for size in (1, 2, 3)] + ["$" + " ".join(signs[-size:]) for size in (2, 3, 4)]
    return runs + edges


@dataclass(frozen=True)
class Linear:
    """A softmax over a message's vector and its cues: arrays only, so that it can be stored and compared.

    `scales`: per language the factors of the two logits (their calibration included).
    """

    labels: tuple[str, ...]
    dense: Floats  # (dimension + 1, labels)
    sparse: Floats  # (words + 1, labels)
    words: Mapping[str, int]
    idf: Floats  # (words,)
    scales: Mapping[Language, tuple[float, float]]

    def logits(self, vector: Floats, found: Sequence[str]) -> tuple[Floats, Floats]:
        """The two views' logits, each of shape (labels,) and mean 0."""
        dense = vector @ self.dense[:-1] + self.dense[-1]
        counts = Counter(index for token in found if (index := self.words.get(token)) is not None)
        sparse = self.sparse[-1]
        if counts:
            columns = np.fromiter(counts, np.int64)
            values = (1 + np.log(np.fromiter(counts.values(), np.float32))) * self.idf[columns]
            sparse = sparse + (values / np.linalg.norm(values)) @ self.sparse[columns]
        return cast(Floats, dense - dense.mean()), cast(Floats, sparse - sparse.mean())

    def probabilities(self, vector: Floats, found: Sequence[str], language: Language) -> Floats:
        """Calibrated probabilities of the labels, for a message's features and cues."""
        dense, sparse = self.logits(vector, found)
        first, second = self.scales[language]
        return _softmax(first * dense + second * sparse)


def _softmax(logits: Floats) -> Floats:
    odds = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return cast(Floats, (odds / odds.sum(axis=-1, keepdims=True)).astype(np.float32))


@dataclass(frozen=True)
class Recipe:
    """How a model is trained: inverse regularisation of the two views, the vectors' share, whether labels count alike.

    `rounds`: after how many the fit stops; 20 halve the time and cost a point of accuracy (`coach lint` uses them).
    """

    dense: float = 2.0
    sparse: float = 30.0
    share: float = 0.55
    balanced: bool = False
    rounds: int = ROUNDS
    runs: bool = False  # read the runs of characters and words as well


RECIPES = {
    "topics": Recipe(balanced=True),
    "scope": Recipe(dense=2.0, sparse=10.0, share=0.6),
    "improper": Recipe(dense=5.0, sparse=10.0, share=0.35, runs=True),
    "kinds": Recipe(dense=5.0, sparse=10.0, share=0.45),
}


def train(
    examples: Sequence[Example], vectors: Floats, recipe: Recipe = RECIPES["topics"], *, scales: Mapping[Language, tuple[float, float]] | None = None
) -> Linear:
    """A `Linear` over the labels of the examples. `vectors` has shape (len(examples), dimension).

    Without `scales` they are fitted on a held-out fifth, per language, so that a belief of 0.7 is right about 7 times in 10.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    labels = tuple(dict.fromkeys(example.label for example in examples))
    numbers = {label: i for i, label in enumerate(labels)}
    target = np.array([numbers[example.label] for example in examples])
    weights = np.array([example.weight for example in examples])
    if recipe.balanced:
        totals = np.bincount(target, weights)
        weights = weights * (totals.mean() / totals)[target]
    found = [_known_cues(example.text, recipe.runs) for example in examples]
    least = 1 if len(examples) <= 500 else 3 if recipe.runs else 2
    vectoriser = TfidfVectorizer(analyzer=_as_they_are, sublinear_tf=True, min_df=least)
    words = vectoriser.fit_transform(found)

    def build(chosen: Any, scales: Mapping[Language, tuple[float, float]]) -> Linear:
        return Linear(
            labels,
            _fit(vectors[chosen], target[chosen], weights[chosen], recipe.dense, len(labels), recipe.rounds),
            _fit(words[chosen], target[chosen], weights[chosen], recipe.sparse, len(labels), recipe.rounds),
            vectoriser.vocabulary_, vectoriser.idf_.astype(np.float32), scales,
        )  # fmt: skip

    if scales is not None:
        return build(np.arange(len(examples)), scales)
    held: NDArray[np.bool_] = np.arange(len(examples)) % 5 == 4
    trial = build(np.flatnonzero(~held), {"zh": (1.0, 1.0), "en": (1.0, 1.0)})
    judged: list[int] = [i for i in np.flatnonzero(held).tolist() if examples[i].weight >= HONEST_WEIGHT or not recipe.balanced]
    scales = calibrate(trial, [(vectors[i], found[i], target[i], examples[i]) for i in judged], recipe.share)
    return build(np.arange(len(examples)), scales)


def _as_they_are(tokens: Sequence[str]) -> Sequence[str]:
    return tokens


def _fit(rows: Any, target: Any, weights: Any, strength: float, labels: int, rounds: int) -> Floats:
    """Weights and intercepts of a logistic regression, shape (columns + 1, labels)."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=strength, max_iter=rounds)
    with warnings.catch_warnings():  # stopped early on purpose: more rounds change nothing that can be measured
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(rows, target, sample_weight=weights)
    coefficients, intercepts = model.coef_, model.intercept_
    if labels == 2:  # scikit-learn keeps one row for the second class
        coefficients = np.vstack([-coefficients / 2, coefficients / 2])
        intercepts = np.concatenate([-intercepts / 2, intercepts / 2])
    return np.ascontiguousarray(np.vstack([coefficients.T, intercepts[None]]), np.float32)


def calibrate(
    model: Linear, held: Sequence[tuple[Floats, Sequence[str], int, Example]], share: float
) -> dict[Language, tuple[float, float]]:
    """Per language the factors with the best log-loss on held-out examples, the two views in the given proportion."""
    scales: dict[Language, tuple[float, float]] = {}
    spread = np.array([[np.std(view) for view in model.logits(vector, found)] for vector, found, _, _ in held]).mean(0)
    languages: tuple[Language, ...] = ("zh", "en")
    for language in languages:
        mine = [item for item in held if item[3].language == language] or held
        pairs = [model.logits(vector, found) for vector, found, _, _ in mine]
        mixed = np.stack([share * dense / spread[0] + (1 - share) * sparse / spread[1] for dense, sparse in pairs])
        target, weight = np.array([item[2] for item in mine]), np.array([item[3].weight for item in mine])
        factor = min(np.geomspace(0.3, 12, 40), key=lambda factor: _log_loss(mixed * factor, target, weight))
        scales[language] = float(factor * share / spread[0]), float(factor * (1 - share) / spread[1])
    return scales


def _log_loss(logits: Floats, target: Any, weight: Any) -> float:
    own = _softmax(logits)[np.arange(len(target)), target]
    return float(-(weight * np.log(own + 1e-9)).sum() / weight.sum())


def train_all(examples: Examples, features: Callable[[Sequence[Example]], Floats], progress: Callable[[int, int], None]) -> dict[str, Linear]:
    """Topics; scope (inside · near · far · chat); improper (or honest); kinds (of improper asks)."""
    sets = {"topics": [*examples.topics, *examples.lines]}
    if examples.outside:
        inside = [Example(item.text, "inside", item.language) for item in (*examples.topics, *examples.honest, *examples.improper)]
        beyond = [Example(item.text, item.label, item.language, OUTSIDE_WEIGHT) for item in (*examples.outside, *examples.chat)]
        sets["scope"] = [*inside, *beyond]
    if examples.improper:
        ordinary = [*(item for item in examples.topics if item.weight == 1), *examples.outside, *examples.chat]
        plain = [Example(item.text, "honest", item.language) for item in ordinary]
        asks = [Example(item.text, "improper", item.language) for item in examples.improper]
        sets["improper"] = [*asks, *examples.honest, *plain]
        sets["kinds"] = list(examples.improper)
    models = {}
    for done, (name, chosen) in enumerate(sets.items(), 1):
        models[name] = train(chosen, features(chosen), RECIPES[name])
        progress(done, len(sets))
    return models


def save(path: Path, models: Mapping[str, Linear], fingerprint: str) -> None:
    arrays: dict[str, Any] = {"fingerprint": np.array(fingerprint)}
    for name, model in models.items():
        arrays |= {
            f"{name}.dense": model.dense, f"{name}.sparse": model.sparse.astype(np.float16), f"{name}.idf": model.idf,
            f"{name}.labels": np.array(model.labels), f"{name}.scales": np.array([model.scales["zh"], model.scales["en"]]),
            f"{name}.words": np.array("\n".join(sorted(model.words, key=model.words.__getitem__))),
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
            return {name: _stored(arrays, name) for name in names}
    except (OSError, ValueError, KeyError, zipfile.BadZipFile, zlib.error):  # not there, half-written, not an archive
        return None


def _stored(arrays: Mapping[str, Any], name: str) -> Linear:
    zh, en = arrays[f"{name}.scales"].tolist()
    return Linear(
        tuple(map(str, arrays[f"{name}.labels"])), arrays[f"{name}.dense"], arrays[f"{name}.sparse"].astype(np.float32),
        {word: i for i, word in enumerate(str(arrays[f"{name}.words"]).split("\n"))}, arrays[f"{name}.idf"],
        {"zh": tuple(zh), "en": tuple(en)},
    )  # fmt: skip
