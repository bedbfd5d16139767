"""What a passage says for and against each option of a question: words, meaning, numbers and polarity, clause by clause."""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np

from knowledge import claims
from knowledge.passages import Language

Similarity = Callable[[Sequence[str], Sequence[str]], Any]  # cosine similarities, shape (len(left), len(right))
FITTED = Path(__file__).parent / "content" / "quizzes" / "checker.json"


@dataclass(frozen=True, slots=True)
class Item:
    """A question as it is checked. `key` is 0-based; `passage` the only ground truth."""

    stem: str
    options: tuple[str, ...]
    key: int
    passage: str
    language: Language = "zh"

    @property
    def answer(self) -> str:
        return self.options[self.key]


@cache
def fitted() -> Mapping[str, Any]:
    """Weights learned from our own development items by `.ci/quiz_fit.py`."""
    return json.loads(FITTED.read_text("utf-8"))  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Evidence:
    """How far the passage supports each option as the answer to the stem."""

    item: Item
    similarity: Similarity

    @cached_property
    def clauses(self) -> tuple[claims.Clause, ...]:
        return claims.clauses(self.item.passage)

    @cached_property
    def windows(self) -> list[str]:
        """Clauses, whole sentences, and pairs of neighbouring sentences."""
        whole = claims.sentences(self.item.passage)
        return [*(piece.text for piece in self.clauses), *whole, *(f"{a} {b}" for a, b in itertools.pairwise(whole))]

    @cached_property
    def _grams(self) -> list[frozenset[str]]:
        return [claims.grams(text) for text in self.windows]

    @cached_property
    def rarity(self) -> dict[str, float]:
        """How telling a word is: rare among the clauses tells more."""
        pieces = self._grams[: len(self.clauses)]
        every = frozenset[str]().union(*pieces)
        return {word: math.log(1 + (len(pieces) + 1) / (1 + sum(word in piece for piece in pieces))) for word in every}

    def coverage(self, wanted: Set[str], where: Set[str]) -> float:
        """Share of the wanted words, weighed by how telling they are, that stand there."""
        if not wanted:
            return 0.0
        top = max(self.rarity.values(), default=1.0)
        weights = {word: self.rarity.get(word, top) for word in wanted}
        return sum(weight for word, weight in weights.items() if word in where) / sum(weights.values())

    @cached_property
    def relevance(self) -> Any:
        """How much each window speaks of what the stem asks, 0–1, shape (windows,)."""
        asked = claims.grams(self.item.stem)
        known = {word for word in asked if word in self.rarity} or asked
        near = np.array([self.coverage(known, found) for found in self._grams], np.float32)
        near = 0.5 * near + 0.5 * np.clip(self.meaning["stem"][0], 0, 1)
        count = len(self.clauses)
        home = np.array([near[count + clause.sentence] for clause in self.clauses], np.float32)
        near[:count] = 0.65 * near[:count] + 0.35 * home  # a clause shares in what its sentence is about
        return near

    @cached_property
    def meaning(self) -> dict[str, Any]:
        """Similarity of stem, options, and both together to each window."""
        options = list(self.item.options)
        together = [f"{self.item.stem} {option}" for option in options]
        matrix = np.asarray(self.similarity([self.item.stem, *options, *together], self.windows))
        n = len(options)
        return {"stem": matrix[:1], "option": matrix[1 : n + 1], "both": matrix[n + 1 :]}

    @cached_property
    def lexical(self) -> Any:
        """Coverage of each option's own words by each window, shape (options, windows)."""
        return np.array([[self.coverage(self._own(option), found) for found in self._grams] for option in self.item.options], np.float32)

    def _own(self, option: str) -> frozenset[str]:
        """The words of an option that the stem doesn't give."""
        wanted = claims.grams(claims.affirmed(option)) or claims.grams(option)
        return wanted - claims.grams(self.item.stem) or wanted

    @cached_property
    def soft(self) -> Any:
        """Coverage of each option's telling words by each clause, words of like meaning counting in part."""
        asked = set(claims.terms(self.item.stem))
        wanted = [claims.terms(claims.affirmed(option)) for option in self.item.options]
        wanted = [tuple(word for word in words if word not in asked) or words for words in wanted]
        there = [claims.terms(clause.text) for clause in self.clauses]
        place = {word: i for i, word in enumerate(sorted({word for words in (*wanted, *there) for word in words}))}
        near = np.asarray(self.similarity(list(place), list(place))) if place else np.zeros((0, 0))
        shared = {word: sum(word in words for words in wanted) for words in wanted for word in words}
        table = np.zeros((len(wanted), len(there)), np.float32)
        for i, words in enumerate(wanted):
            weights = np.array([1 / shared[word] for word in words], np.float32)
            for j, others in enumerate(there):
                if words and others:
                    grid = near[np.ix_([place[word] for word in words], [place[word] for word in others])]
                    hits = np.clip((grid.max(axis=1) - 0.4) / 0.5, 0, 1)
                    table[i, j] = float((hits * weights).sum() / weights.sum())
        return table

    @cached_property
    def match(self) -> Any:
        """How well each clause says what each option says, 0–1, shape (options, clauses)."""
        count = len(self.clauses)
        return np.maximum(self.lexical[:, :count], np.clip(self.meaning["option"][:, :count] * 1.1, 0, 1))

    @cached_property
    def features(self) -> list[dict[str, float]]:
        """Per option, what speaks for it."""
        found = [self._features(i, option) for i, option in enumerate(self.item.options)]
        for name in ("clause", "sentence", "meant", "meant_near", "soft", "soft_near", "together"):
            for i, row in enumerate(found):
                row[f"{name}_lead"] = row[name] - max(other[name] for j, other in enumerate(found) if j != i)
        return found

    def _features(self, i: int, option: str) -> dict[str, float]:
        count, near, lexical = len(self.clauses), 0.3 + 0.7 * self.relevance, self.lexical[i]
        meaning, soft = self.meaning["option"][i], self.soft[i]
        return {
            "covered": self.coverage(self._own(option), claims.grams(self.item.passage)),
            "clause": float((lexical * near)[:count].max(initial=0)),
            "sentence": float((lexical * near)[count:].max(initial=0)),
            "number": self.number(option),
            "agrees": self.agreement(i),
            "contrary": float(self.contrary(i)),
            "meant": float(meaning.max(initial=0)),
            "meant_near": float((meaning * near).max(initial=0)),
            "soft": float(soft.max(initial=0)),
            "soft_near": float((soft * near[:count]).max(initial=0)),
            "together": float(self.meaning["both"][i].max(initial=0)),
        }

    def number(self, option: str) -> float:
        """1 = every number stands in the passage, −1 = one does not, 0 = no numbers."""
        here, there = claims.numbers(option), claims.numbers(self.item.passage)
        if not here:
            return 0.0
        if here <= there:
            return 1.0
        return -1.0 if not claims.numbers(option, articles=False) <= there else 0.0

    def best_clause(self, i: int) -> int | None:
        """The clause that says most of what the option says, of those near the stem."""
        if not self.clauses:
            return None
        return int((self.match[i] * (0.5 + 0.5 * self.relevance[: len(self.clauses)])).argmax())

    def agreement(self, i: int) -> float:
        """1 if the clause behind the option has the polarity that stem and option ask for, −1 if the contrary."""
        j = self.best_clause(i)
        if j is None or asks_why(self.item.stem) or self.match[i, j] < 0.3:
            return 0.0
        wanted = claims.is_positive(self.item.options[i]) == asks_positively(self.item.stem)
        return 1.0 if wanted == self.clauses[j].positive else -1.0

    def contrary(self, i: int) -> bool:
        """Does a clause near the stem say the opposite, with an opposite word?"""
        near = self.relevance[: len(self.clauses)]
        close = [j for j in range(len(self.clauses)) if near[j] >= 0.6 * max(near)]
        return any(self._speaks_of(i, j) and claims.contradicts(self.item.options[i], self.clauses[j].text) for j in close)

    def _speaks_of(self, i: int, j: int) -> bool:
        """Does a clause treat what stem and option together say?"""
        if self.match[i, j] >= 0.3:
            return True
        together = claims.grams(f"{self.item.stem} {self.item.options[i]}")
        return self.coverage(claims.grams(claims.affirmed(self.clauses[j].text)), together) >= 0.35

    @cached_property
    def support(self) -> list[float]:
        """Per option, the log odds that the passage makes it a right answer."""
        weights, bias = fitted()["support"]["weights"], fitted()["support"]["bias"]
        return [bias + sum(weights[name] * value for name, value in row.items()) for row in self.features]


_ASKS_AGAINST = re.compile(
    r"\b(?:not|n't|never|avoid\w*|except|forbidden|prohibited|wrong|incorrect|mistakes?|unacceptable|false|left out|excluded|least|inappropriate|contradicts?)\b|n't\b|"
    r"不应|不该|不能|不得|不允许|不可|不宜|不要|不准|禁止|避免|错误|不正确|不符合|不属于|不包括|不是|除了|除外|例外|不合适|不建议|不适合|不对|有误|不需要|不用|切忌"
)


def asks_positively(stem: str) -> bool:
    """Does the question itself (its last clause) ask for what holds, not for what doesn't?"""
    last = [piece for piece in re.split(r"[，,。.;；:：]", stem.lower().rstrip(" ?？.。:：,，")) if piece.strip()]
    return not (last and _ASKS_AGAINST.search(last[-1]))


def asks_why(stem: str) -> bool:
    """Does the stem ask for a reason or consequence (so that its own negation says nothing about the options)?"""
    return bool(re.search(r"\bwhy\b|\breason\b|what happens|consequence|为什么|为何|原因|后果|结果会|会怎样", stem.lower()))


def asks_order(stem: str) -> Literal["first", "last"] | None:
    """Does the stem ask what comes first or last?"""
    text = stem.lower()
    if re.search(r"第一步|首先|最先|先做|第一件|优先做|先要?做|\b(?:first|to begin with|start with)\b(?! (?:quarter|week|day|month|meeting|visit|stage|year|time|\d))", text) and not re.search(r"第一次", text):
        return "first"
    return "last" if re.search(r"最后一步|最后做|最后要|\b(?:last step|final step|finally)\b", text) else None
