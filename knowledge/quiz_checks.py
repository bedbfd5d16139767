"""Is a quiz question fair? Finds what makes it ambiguous, guessable, wrong or unsupported by its passage.

Rules over claims (`knowledge/claims.py`) and, where given, the meaning of sentences (embeddings). The passage is the
only ground truth. A language model may add what it finds; it never takes a finding away.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np

from knowledge import claims
from knowledge.passages import Language

FlawKind = Literal["ambiguous_stem", "two_right_answers", "giveaway_option", "not_grounded", "miskeyed", "polarity_error"]
KINDS: tuple[FlawKind, ...] = ("ambiguous_stem", "two_right_answers", "giveaway_option", "not_grounded", "miskeyed", "polarity_error")
Similarity = Callable[[Sequence[str], Sequence[str]], Any]  # cosine similarities, shape (len(left), len(right))


@dataclass(frozen=True, slots=True)
class Flaw:
    """What is wrong with a question, and why, in a trainer's words."""

    kind: FlawKind
    why: str


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


# Weights of the evidence that an option answers the stem, fitted on tests/development/quiz_items.yaml.
WEIGHTS: dict[str, float] = {
    "covered": 0.47,
    "clause": 0.64,
    "sentence": 0.30,
    "number": 0.52,
    "agrees": 1.81,
    "contrary": -0.92,
    "meant": 0.93,
    "meant_near": 0.68,
    "together": 1.08,
    "clause_lead": 1.37,
    "sentence_lead": 0.82,
    "meant_lead": 0.36,
    "meant_near_lead": 1.24,
    "together_lead": 1.42,
}
BIAS = -3.89


@dataclass(frozen=True)
class Evidence:
    """How far the passage supports each option as the answer to the stem."""

    item: Item
    similarity: Similarity | None = None

    @cached_property
    def clauses(self) -> list[claims.Clause]:
        return claims.clauses(self.item.passage)

    @cached_property
    def windows(self) -> list[str]:
        """Clauses, whole sentences, and pairs of neighbouring sentences."""
        whole = claims.sentences(self.item.passage)
        return [*(piece.text for piece in self.clauses), *whole, *(f"{a} {b}" for a, b in itertools.pairwise(whole))]

    @cached_property
    def _grams(self) -> list[set[str]]:
        return [claims.grams(text) for text in self.windows]

    @cached_property
    def rarity(self) -> dict[str, float]:
        """How telling a word is: rare among the clauses tells more."""
        pieces = self._grams[: len(self.clauses)]
        every = set().union(*pieces) if pieces else set()
        return {word: math.log(1 + (len(pieces) + 1) / (1 + sum(word in piece for piece in pieces))) for word in every}

    def coverage(self, wanted: set[str], where: set[str]) -> float:
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
        if self._meaning is not None:
            near = 0.5 * near + 0.5 * np.clip(self._meaning["stem"][0], 0, 1)
        count = len(self.clauses)
        home = np.array([near[count + clause.sentence] for clause in self.clauses], np.float32)
        near[:count] = 0.65 * near[:count] + 0.35 * home  # a clause shares in what its sentence is about
        return near

    @cached_property
    def _meaning(self) -> dict[str, Any] | None:
        if self.similarity is None or not self.windows:
            return None
        options = list(self.item.options)
        together = [f"{self.item.stem} {option}" for option in options]
        matrix = np.asarray(self.similarity([self.item.stem, *options, *together], self.windows))
        n = len(options)
        return {"stem": matrix[:1], "option": matrix[1 : n + 1], "both": matrix[n + 1 :]}

    @cached_property
    def lexical(self) -> Any:
        """Coverage of each option's own words by each window, shape (options, windows)."""
        return np.array([[self.coverage(self._own(option), found) for found in self._grams] for option in self.item.options], np.float32)

    def _own(self, option: str) -> set[str]:
        """The words of an option that the stem doesn't give."""
        wanted = claims.grams(claims.affirmed(option)) or claims.grams(option)
        return wanted - claims.grams(self.item.stem) or wanted

    @cached_property
    def match(self) -> Any:
        """How well each clause says what each option says, 0–1, shape (options, clauses)."""
        count = len(self.clauses)
        found = self.lexical[:, :count]
        return found if self._meaning is None else np.maximum(found, np.clip(self._meaning["option"][:, :count] * 1.1, 0, 1))

    @cached_property
    def features(self) -> list[dict[str, float]]:
        """Per option, what speaks for it."""
        found = [self._features(i, option) for i, option in enumerate(self.item.options)]
        for name in ("clause", "sentence", "meant", "meant_near", "together"):
            for i, row in enumerate(found):
                if name in row:
                    row[f"{name}_lead"] = row[name] - max(other[name] for j, other in enumerate(found) if j != i)
        return found

    def _features(self, i: int, option: str) -> dict[str, float]:
        count, near, lexical = len(self.clauses), 0.3 + 0.7 * self.relevance, self.lexical[i]
        row = {
            "covered": self.coverage(self._own(option), claims.grams(self.item.passage)),
            "clause": float((lexical * near)[:count].max(initial=0)),
            "sentence": float((lexical * near)[count:].max(initial=0)),
            "number": self.number(option),
            "agrees": self.agreement(i),
            "contrary": float(self.contrary(i)),
        }
        if self._meaning is not None:
            meaning = self._meaning["option"][i]
            row["meant"] = float(meaning.max(initial=0))
            row["meant_near"] = float((meaning * near).max(initial=0))
            row["together"] = float(self._meaning["both"][i].max(initial=0))
        return row

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
        """Per option, the probability that the passage makes it a right answer."""
        scores = [BIAS + sum(WEIGHTS.get(name, 0.0) * value for name, value in row.items()) for row in self.features]
        if wanted := asks_order(self.item.stem):
            places = [self.best_clause(i) or 0 for i in range(len(scores))]
            backed = [i for i, row in enumerate(self.features) if max(row["covered"], row.get("meant", 0)) > 0.4]
            if len(backed) > 1:
                chosen = (min if wanted == "first" else max)(backed, key=lambda i: places[i])
                scores = [score + (1.5 if i == chosen else -1.5) if i in backed else score for i, score in enumerate(scores)]
        return [1 / (1 + math.exp(-score)) for score in scores]


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


def check(item: Item, similarity: Similarity | None = None) -> tuple[Flaw, ...]:
    """Every flaw found, the surest first; empty = a fair question."""
    found = [*_form(item)]
    evidence = Evidence(item, similarity)
    if claims.sentences(item.passage):
        found += _content(evidence)
        if why := _off_topic(item, similarity):
            found.append(Flaw("giveaway_option", why))
    else:
        found.append(Flaw("not_grounded", "the passage is empty"))
    kinds: dict[FlawKind, Flaw] = {}
    for flaw in found:
        kinds.setdefault(flaw.kind, flaw)
    return tuple(kinds.values())


# -- the form: what can be seen without the passage --------------------------------------------------------------------


def _form(item: Item) -> Iterator[Flaw]:
    if why := _unclear(item.stem):
        yield Flaw("ambiguous_stem", why)
    if why := _catch_all(item):
        yield Flaw("two_right_answers", why)
    if why := _twins(item):
        yield Flaw("two_right_answers", why)
    if why := _gives_away(item):
        yield Flaw("giveaway_option", why)


_ASKING = re.compile(r"\b(?:what|when|who|whom|whose|where|which|why|how)\b|什么|何时|谁|哪[一个些种里项]?|怎么|怎样|如何|多少|多久|多长|几|为何")
_TWO_ASKED = re.compile(r"\b(?:and|or)\s+(?:to\s+|with\s+|by\s+|for\s+)?(?:what|when|who|whom|where|which|why|how)\b|(?:什么|何时|谁|哪\w?|怎么|如何|多少|多久).{0,12}?(?:以及|并且|和|、|，还有|又).{0,8}?(?:什么|何时|谁|哪|怎么|如何|多少|多久|为何)")
_POINTING = re.compile(r"^(?:\W*(?:那时候?|这时候?|那种情况|这种情况|在这种|在那种|此时|上述|接下来|然后|这样|那样|他们?|她们?|它们?|这个|那个|该情况|这件事|那件事)(?!的?[\u4e00-\u9fff]{0,2}(?:段|篇|卡|文|材料)))")
_POINTING_EN = re.compile(r"\b(?:he|she|they|them|him|her|it|this|that|these|those|such a case|the former|the latter)\b")
_EXPLETIVE = re.compile(r"\b(?:is|was|does|should|would|can|could|makes?|take|how long does)\s+it\b.*\b(?:to|that|for|take|best|important|if|when)\b|\bit\s+(?:is|was)\s+\w+\s+(?:to|that|for|if|when)\b|\b(?:this|that|these|those)\s+(?:passage|text|card|section|rule|policy|statements?|options?|sentences?|answers?|following|paragraph|playbook|guide\w*|[a-z]+s?\b)|\b(?:says?|states?|means?|shows?|so|ensure|know|sign|fact|likely|now|given|provided)\s+that\b|\b[a-z]+\s+that\s+[a-z]+")
_QUESTION = re.compile(r"\b(?:how (?:long|many|much|often|soon|far)|what|when|who|whom|whose|where|which|why|how)\b|哪(?:一)?[个些种里项样]|什么|何时|怎么|怎样|如何|多少|多久|多长|为何|谁|呢")
_GENERIC = frozenset(
    ["do", "done", "best", "better", "good", "right", "correct", "true", "happen", "next", "step", "thing", "way", "make", "use", "say", "should", "follow", "following", "option", "answer", "statement", "one", "most", "more", "apply", "appropriate", "suitable", "proper", "recommend", "advise", "passage", "text", "accord", "正确", "对", "更", "好", "更好", "最好", "合适", "最", "适合", "下面", "以下", "下列", "一项", "选项", "说法", "做法", "办", "怎么办", "做", "应该", "接下来", "情况", "时", "这段话", "文中", "原文", "根据", "按照", "材料", "哪一项", "描述"]
)
_MERIT = re.compile(r"\b(?:best|better|good idea|most important|preferable|appropriate|suitable|ideal)\b|更好|最好|较好|更合适|最合适|比较好|最重要|更重要|最佳")


def _unclear(stem: str) -> str | None:
    """Why a stem cannot be understood by itself."""
    text = stem.lower().strip()
    if claims.negations(text) >= 2 and not _asks_double(text):
        return "the stem has two negations; say it positively"
    if _TWO_ASKED.search(text):
        return "the stem asks two things at once"
    content = [word for word in claims.words(_QUESTION.sub(" ", text)) if word not in _GENERIC]
    if not content and (_MERIT.search(text) or not re.search(r"true|correct|false|state|正确|符合|错误|allowed|允许|对的", text)):
        return "the stem names no situation: it cannot be answered without guessing what is meant"
    if _POINTING.search(text) or _points_at_nothing(text):
        return "the stem points at something it doesn't name"
    return None


def _asks_double(text: str) -> bool:
    """Two negations that belong to a described situation and the question, not to one clause."""
    pieces = [piece for piece in re.split(r"[，,。.;；:：]", text) if piece.strip()]
    return all(claims.negations(piece) < 2 for piece in pieces)


def _points_at_nothing(text: str) -> bool:
    """An English pronoun with no noun before it in the stem."""
    cleaned = _EXPLETIVE.sub(" ", text)
    match = _POINTING_EN.search(cleaned)
    if match is None:
        return False
    before = [word for word in claims.words(cleaned[: match.start()]) if word not in _GENERIC]
    return not before


def _catch_all(item: Item) -> str | None:
    pattern = r"\b(?:all|none|both|any) of (?:the above|these|them)\b|以上(?:都|皆|全)|都(?:对|不对|正确|是|可以)$|(?:a|b|c)\s*(?:and|和|与)\s*(?:b|c|d)\b"
    for option in item.options:
        if re.search(pattern, option.lower()):
            return f"“{option}” makes several options right at once"
    return None


def _twins(item: Item) -> str | None:
    """Two options that say the same in other signs ("two years", "24 months")."""
    forms = [_form_of(option) for option in item.options]
    for i in range(len(forms)):
        for j in range(i):
            if forms[i] == forms[j]:
                return f"“{item.options[j]}” and “{item.options[i]}” are the same"
    return None


def _form_of(option: str) -> tuple[frozenset[str], frozenset[str], bool]:
    spans = claims.numbers(option)
    rest = frozenset(word for word in claims.words(option) if not any(char.isdigit() for char in word) and word not in _UNITS) if spans else frozenset(claims.words(option))
    return spans, rest or frozenset() if spans else rest or frozenset([option]), claims.is_positive(option)


_UNITS = frozenset(["day", "week", "month", "year", "hour", "minute", "天", "日", "周", "星期", "月", "年", "小时", "分钟", "个", "个月", "within", "内", "之内", "以内", "working", "business"])


def _size(text: str) -> float:
    """Length in Chinese characters or English words."""
    return sum(1.0 if "\u3400" <= char <= "\u9fff" else 0.0 for char in text) + 1.8 * len(re.findall(r"[A-Za-z0-9.%]+", text))


def _gives_away(item: Item) -> str | None:
    """What lets the key be guessed without knowing the passage."""
    if len(item.options) < 3:
        return None
    others = [option for i, option in enumerate(item.options) if i != item.key]
    sizes, mine = sorted(map(_size, others)), _size(item.answer)
    if mine > 1.6 * sizes[-1] + 5:
        return "the key is much longer than every other option"
    if mine > 2.2 * sizes[len(sizes) // 2] + 3 and mine > 1.4 * sizes[-1] + 2:
        return "the key is much longer and more exact than the other options"
    if mine < 0.35 * sizes[0] - 1:
        return "the key is much shorter than every other option"
    stem, key = claims.grams(item.stem), claims.grams(item.answer)
    shared = [len(claims.grams(option) & stem) for option in others]
    if len(key & stem) >= 3 and len(key & stem) >= 0.4 * len(key) and max(shared) == 0:
        return "the key repeats the words of the stem, no other option does"
    if why := _article(item):
        return why
    absolute = [bool(re.search(r"\b(?:always|never|only|all|every|nobody|everybody)\b|一定|总是|从不|绝不|所有|任何|永远|绝对", option.lower())) for option in item.options]
    if len(item.options) > 3 and not absolute[item.key] and sum(absolute) == len(item.options) - 1:
        return "every option but the key is absolute"
    return None


def _article(item: Item) -> str | None:
    """A stem that ends in "a" or "an" fits the key's first letter and no other option's."""
    match = re.search(r"\b(an?)\s*[:_.…-]*\s*$", item.stem.lower())
    if match is None:
        return None
    vowel = [option.lower().lstrip("\"'“")[:1] in "aeiou" for option in item.options]
    fits = [is_vowel == (match.group(1) == "an") for is_vowel in vowel]
    return "the article at the end of the stem fits the key only" if fits[item.key] and sum(fits) == 1 else None


def _off_topic(item: Item, similarity: Similarity | None) -> str | None:
    """Options that nobody would choose: all but the key are far from what stem and passage are about."""
    if similarity is None or len(item.options) < 3 or any(map(claims.numbers, item.options)):
        return None
    near = np.asarray(similarity(item.options, [item.stem, item.passage])).max(axis=1)
    others = np.delete(near, item.key)
    if float(others.mean()) < 0.065 and float(near[item.key]) > 0.35:
        return "only the key has to do with the subject"
    return None


# -- the content: what the passage says --------------------------------------------------------------------------------

BACKED = 0.30  # support from which an option counts as a right answer by itself
RIVAL = 3.0  # odds by which a better option shows that the key is wrong
ALSO = 0.25  # support from which an option beside a supported key counts as right too …
NO_LESS = 4.5  # … unless the key's odds are better by this factor
BARE = 0.045  # support below which the passage says nothing for the key
NEAR = 0.12  # difference in relevance from which the stem singles out one of two clauses


def _content(evidence: Evidence) -> Iterator[Flaw]:
    item, support = evidence.item, evidence.support
    odds = [p / (1 - p) for p in support]
    others = [i for i in range(len(odds)) if i != item.key]
    rival = max(others, key=lambda i: odds[i])
    turned = _turned(evidence)
    if turned:
        yield Flaw("polarity_error", turned)
    better = support[rival] >= BACKED and odds[rival] > RIVAL * odds[item.key]
    bare = support[item.key] < BARE or evidence.number(item.answer) < 0
    if better and _treated(evidence, rival):
        yield Flaw("miskeyed", f"the passage supports “{item.options[rival]}”, not the key “{item.answer}”")
        return
    if turned:
        return
    if bare:
        yield Flaw("not_grounded", f"the passage says nothing for “{item.answer}”")
        return
    if asks_order(item.stem):
        return
    backed = [i for i in others if support[i] >= ALSO and odds[i] * NO_LESS > odds[item.key]]
    for i in backed:
        if flaw := _both_right(evidence, i):
            yield flaw
            return


def _treated(evidence: Evidence, i: int) -> bool:
    """Does the passage treat what the stem asks, where it speaks of this option?"""
    j = evidence.best_clause(i)
    return j is not None and evidence.relevance[j] >= 0.25


_CONDITION = re.compile(
    r"\b(?:if|when|whenever|where|while|whereas|for|above|below|over|under|unless|in case|once|after|before|during|until|otherwise|but)\b|"
    r"如果|若|要是|的话|时|超过|以上|以下|低于|高于|不足|对于|对|则|否则|前|后|期间|第.[周天月次步年]|的[，,]|而"
)


def _both_right(evidence: Evidence, i: int) -> Flaw | None:
    """Two options that the passage supports: does the stem single out the key's clause?"""
    item = evidence.item
    mine, other = evidence.best_clause(item.key), evidence.best_clause(i)
    assert mine is not None and other is not None
    gap = float(evidence.relevance[mine] - evidence.relevance[other])
    exclusive = bool(claims.numbers(item.answer)) and bool(claims.numbers(item.options[i]))
    if evidence.agreement(i) < 0 or evidence.contrary(i):
        return None
    if mine != other and (exclusive or _under_conditions(evidence, mine, other)):
        if gap >= NEAR:
            return None
        return Flaw("ambiguous_stem", f"“{item.answer}” and “{item.options[i]}” hold in different cases, and the stem doesn't say which")
    if mine == other and exclusive:
        return None
    if mine != other and gap >= 2 * NEAR:
        return None
    return Flaw("two_right_answers", f"the passage supports “{item.options[i]}” as well as “{item.answer}”")


def _under_conditions(evidence: Evidence, mine: int, other: int) -> bool:
    """Do the two clauses stand under conditions of their own that the stem doesn't name?"""
    sentences = claims.sentences(evidence.item.passage)
    places = {evidence.clauses[mine].sentence, evidence.clauses[other].sentence}
    texts = [sentences[place] for place in places]
    return all(_CONDITION.search(text.lower()) for text in texts) and not _CONDITION.search(evidence.item.stem.lower())


def _turned(evidence: Evidence) -> str | None:
    """Does the passage say the contrary of the key?"""
    item = evidence.item
    j = evidence.best_clause(item.key)
    if j is None or (asks_why(item.stem) and not evidence.contrary(item.key)):
        return None
    said = evidence.match[item.key, j] >= 0.5 or _filled(evidence, j)
    if (said and evidence.agreement(item.key) < 0) or evidence.contrary(item.key):
        return f"the passage says the contrary: “{evidence.clauses[j].text}”"
    return None


def _filled(evidence: Evidence, j: int) -> bool:
    """Do stem and key together say the whole clause?"""
    item = evidence.item
    together = claims.grams(f"{item.stem} {item.answer}")
    clause = claims.grams(claims.affirmed(evidence.clauses[j].text))
    return bool(clause & claims.grams(item.answer)) and evidence.coverage(clause, together) >= 0.6
