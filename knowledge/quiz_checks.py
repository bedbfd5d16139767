"""Is a quiz question fair? Finds what makes it ambiguous, guessable, wrong or unsupported by its passage.

What can be seen in the form is found by rules; what depends on the passage is weighed from its evidence
(`knowledge/quiz_evidence.py`) with weights learned from our own development items. The passage is the only ground
truth. A language model may add what it finds; it never takes a finding away.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from knowledge import claims
from knowledge.quiz_evidence import Evidence, Item, Similarity, asks_order, asks_positively, asks_why, fitted

FlawKind = Literal["ambiguous_stem", "two_right_answers", "giveaway_option", "not_grounded", "miskeyed", "polarity_error"]
KINDS: tuple[FlawKind, ...] = ("ambiguous_stem", "two_right_answers", "giveaway_option", "not_grounded", "miskeyed", "polarity_error")


@dataclass(frozen=True, slots=True)
class Flaw:
    """What is wrong with a question, and why, in a trainer's words."""

    kind: FlawKind
    why: str


def check(item: Item, similarity: Similarity) -> tuple[Flaw, ...]:
    """Every flaw found, the surest first; empty = a fair question."""
    if not claims.sentences(item.passage):
        return (Flaw("not_grounded", "the passage is empty"),)
    seen = {flaw.kind: flaw for flaw in form(item)}
    evidence = Evidence(item, similarity)
    beliefs = verdict(evidence)
    if beliefs["good"] >= fitted()["verdict"]["accept"]:
        return ()
    ranked = sorted(KINDS, key=lambda kind: -beliefs[kind])
    named = [kind for kind in ranked if kind == ranked[0] or beliefs[kind] >= 0.6 * beliefs[ranked[0]]]
    return tuple(seen.get(kind) or Flaw(kind, reason(kind, evidence)) for kind in named)


def verdict(evidence: Evidence) -> dict[str, float]:
    """How likely the question is good, or has each flaw (sums to 1)."""
    model, values = fitted()["verdict"], traits(evidence)
    row = [(values[name] - mean) / scale for name, mean, scale in zip(model["names"], model["mean"], model["scale"], strict=True)]
    scores = [bias + sum(w * x for w, x in zip(weights, row, strict=True)) for weights, bias in zip(model["weights"], model["bias"], strict=True)]
    top = max(scores)
    powers = [math.exp(score - top) for score in scores]
    return {name: power / sum(powers) for name, power in zip(model["classes"], powers, strict=True)}


def reason(kind: FlawKind, evidence: Evidence) -> str:
    """Why, in words: which option, which clause."""
    item = evidence.item
    rival = item.options[_rivals(evidence.support, item.key)[0]]
    place = evidence.best_clause(item.key)
    clause = evidence.clauses[place].text if place is not None else ""
    return {
        "ambiguous_stem": f"the stem doesn't say which case is meant: “{item.answer}” and “{rival}” can both be defended",
        "two_right_answers": f"the passage supports “{rival}” as well as “{item.answer}”",
        "giveaway_option": "the key can be told from the other options without knowing the passage",
        "not_grounded": f"the passage does not say “{item.answer}”",
        "miskeyed": f"the passage supports “{rival}”, not the key “{item.answer}”",
        "polarity_error": f"the passage says the contrary of the key: “{clause}”",
    }[kind]


def _rivals(support: list[float], key: int) -> list[int]:
    """The other options, the best supported first."""
    return sorted((i for i in range(len(support)) if i != key), key=lambda i: -support[i])


def traits(evidence: Evidence, support: list[float] | None = None) -> dict[str, float]:
    """What the verdict is weighed from. `support` replaces the evidence's own (when weights are being fitted)."""
    item, support = evidence.item, evidence.support if support is None else support
    rivals = _rivals(support, item.key)
    rival = rivals[0]
    mine, theirs = evidence.features[item.key], evidence.features[rival]
    here, there = evidence.best_clause(item.key) or 0, evidence.best_clause(rival) or 0
    near = evidence.relevance
    return {
        "key": support[item.key], "rival": support[rival], "gap": support[item.key] - support[rival],
        "second": support[rivals[-1] if len(rivals) < 2 else rivals[1]], "backed": float(sum(value > -1 for value in support)),
        "turned": float(_turned(evidence)),
        **{f"{name}_key": mine[name] for name in ("agrees", "contrary", "number", "soft", "meant")},
        **{f"{name}_rival": theirs[name] for name in ("agrees", "contrary", "number", "soft", "meant")},
        "wrong_number": float(mine["number"] < 0),
        "near_key": float(near[here]), "near_rival": float(near[there]), "near_gap": float(near[here] - near[there]),
        "same_clause": float(here == there), "near_best": float(near[: len(evidence.clauses)].max()),
        **_stem_traits(evidence), **_form_traits(item, rival),
    }  # fmt: skip


def _stem_traits(evidence: Evidence) -> dict[str, float]:
    item, asked = evidence.item, claims.grams(evidence.item.stem)
    return {
        "stem_covered": evidence.coverage(asked, claims.grams(item.passage)),
        "stem_meant": float(evidence.meaning["stem"].max()),
        "stem_words": float(len(asked)),
        "order": float(asks_order(item.stem) is not None),
        "why": float(asks_why(item.stem)),
        "against": float(not asks_positively(item.stem)),
        "merit": float(bool(_MERIT.search(item.stem.lower()))),
        "condition": float(bool(_CONDITION.search(item.stem.lower()))),
        "conditions": float(len(_CONDITION.findall(item.passage.lower()))),
    }


def _form_traits(item: Item, rival: int) -> dict[str, float]:
    seen = {flaw.kind for flaw in form(item)}
    asked = claims.grams(item.stem)
    shares = [len(claims.grams(option) & asked) / max(1, len(claims.grams(option))) for option in item.options]
    others = [i for i in range(len(item.options)) if i != item.key]
    return {
        "form_ambiguous": float("ambiguous_stem" in seen),
        "form_two": float("two_right_answers" in seen),
        "form_giveaway": float("giveaway_option" in seen),
        "numbers": float(bool(claims.numbers(item.answer)) and bool(claims.numbers(item.options[rival]))),
        "size": _size(item.answer) / max(1.0, *(_size(item.options[i]) for i in others)),
        "stem_in_key": shares[item.key],
        "stem_in_others": max(shares[i] for i in others),
        "affirms": float(claims.is_positive(item.answer)),
    }


_CONDITION = re.compile(
    r"\b(?:if|when|whenever|where|while|whereas|for|above|below|over|under|unless|in case|once|after|before|during|until|otherwise|but)\b|"
    r"如果|若|要是|的话|时|超过|以上|以下|低于|高于|不足|对于|对|则|否则|前|后|期间|第.[周天月次步年]|的[，,]|而"
)


def _turned(evidence: Evidence) -> bool:
    """Does the passage seem to say the contrary of the key?"""
    item = evidence.item
    place = evidence.best_clause(item.key)
    if place is None or (asks_why(item.stem) and not evidence.contrary(item.key)):
        return False
    said = evidence.match[item.key, place] >= 0.5 or _filled(evidence, place)
    return (said and evidence.agreement(item.key) < 0) or evidence.contrary(item.key)


def _filled(evidence: Evidence, place: int) -> bool:
    """Do stem and key together say the whole clause?"""
    item = evidence.item
    together = claims.grams(f"{item.stem} {item.answer}")
    clause = claims.grams(claims.affirmed(evidence.clauses[place].text))
    return bool(clause & claims.grams(item.answer)) and evidence.coverage(clause, together) >= 0.6


# -- the form: what can be seen without the passage --------------------------------------------------------------------


def form(item: Item) -> Iterator[Flaw]:
    """Flaws that show without the passage."""
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
