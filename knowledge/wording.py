"""How a text reads: what a step opens with, how long its sentences are, what it claims, and words better left out.

Every check is a pure function of a text and its language. The word lists are `content/lint.yaml`, for trainers to extend.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import yaml

from knowledge.passages import Language

LISTS = Path(__file__).parent / "content" / "lint.yaml"
LONGEST: dict[Language, int] = {"zh": 60, "en": 34}  # a sentence: characters, words

_QUOTED = re.compile(r"“[^”]*”|「[^」]*」|\"[^\"]*\"|(?<![A-Za-z])'[^']*'(?![A-Za-z])")
_ARTICLE = re.compile(
    r"第\s*[一二三四五六七八九十百零〇\d]+\s*[条款](?!件|意见|标准|理由)|§|\b(?:article|art\.|section|sec\.|clause|paragraph|para\.)\s*\d+|\bFAR\s*\d", re.IGNORECASE
)
_FIGURE = re.compile(
    r"\d+(?:\.\d+)?\s*(?:%|％|percent\b|per cent\b)|百分之[一二三四五六七八九十百零\d]+|(?<![一二三四五六七八九十])[一二三四五六七八九]成(?=的|客户|收入|利润|以上|左右|项目|订单|企业|公司|单子|，|。|；|、|$)"
    r"|\d+(?:\.\d+)?\s*(?:×|倍|times (?:more|higher|as|the)|x more)|\b(?:\w+)-fold\b",
    re.IGNORECASE,
)
_HAN_DIGITS = {char: str(value) for value, char in enumerate("零一二三四五六七八九")}
# what may stand before the verb of a Chinese step: adverbs, times, repetitions
_LEAD = re.compile(
    r"(?:先|再|也|就|只|仍|才|都|另|各|重新|礼貌|成了|马上|立即|主动|当面|当场|单独|书面|提前|同时|然后|随后|最后|最后[一二三五十\d]+分钟|平时|事先|事前|开场|逐[项条个家页级款层段]|"
    r"今天|明天|当天|当晚|当周|本周|本月|下周|下次|下一次|公开场合|会前|会中|会后|谈前|期间|"
    r"每[一二两三四五六七八九十半\d]*个?(?:季度|季|半年|次|天|日|周|月|年|项|条|家|人|级|页|轮|步)[一二三四五六日]?|"
    r"第\d+(?:、\d+)*天|[一二两三四五六七八九十半\d]+个?(?:小时|天|周|星期|月|季度|年|分钟)(?:之?内)?|"
    r"[^，。：；、]{1,12}?(?:之后|之前|以后|以前|以内|后|前|时|起|期间|中|当天|当周|以上|以下)|，)"
)
_CONDITION = re.compile(r"[若如没未不仍都]|一旦|只要|除非")


@cache
def word_lists() -> dict[str, Any]:
    """The lists of `content/lint.yaml`."""
    return dict(yaml.load(LISTS.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader))


@cache
def listed(name: str, language: Language) -> tuple[str, ...]:
    return tuple(map(str, word_lists()[name][language]))


def sentences(text: str) -> list[str]:
    """The sentences of a text; a semicolon ends one, too."""
    found, start = [], 0
    for index, char in enumerate(text):
        if char in "。！？!?；;" or (char == "." and text[index + 1 : index + 2] in (" ", "")):
            found.append(text[start : index + 1].strip())
            start = index + 1
    return [item for item in (*found, text[start:].strip()) if item]


def length(sentence: str, language: Language) -> int:
    return len(sentence) if language == "zh" else len(sentence.split())


def unquoted(text: str) -> str:
    """The text without what stands between quotation marks: other people's words."""
    return _QUOTED.sub(" ", text)


def words_of(text: str, words: Sequence[str], language: Language) -> list[str]:
    """Those of `words` that the text holds, in its order: anywhere in Chinese, whole words in English."""
    by_form = {word.lower(): word for word in words}
    found = _pattern(tuple(by_form), language).findall(text.lower().replace("’", "'")) if by_form else []
    return [by_form[form] for form in dict.fromkeys(found)]


@lru_cache(maxsize=256)
def _pattern(forms: tuple[str, ...], language: Language) -> re.Pattern[str]:
    """Any of the forms, the longest where several begin alike."""
    either = "|".join(map(re.escape, sorted(forms, key=len, reverse=True)))
    return re.compile(f"(?:{either})" if language == "zh" else rf"(?<![\w-])(?:{either})(?![\w-])")


def slogans(text: str, language: Language) -> list[str]:
    return words_of(unquoted(text), listed("slogans", language), language)


def article_of_law(text: str) -> str | None:
    """A number of an article of law, e.g. 第22条 or Art. 8."""
    found = _ARTICLE.search(text)
    return found.group().strip() if found else None


def figures(text: str) -> list[str]:
    """Percentages, tenths (八成) and multiples in the writer's own words, not in quotations."""
    return [match.group().strip() for match in _FIGURE.finditer(unquoted(text))]


def digits(figure: str) -> str:
    """The number in a figure, so that 八成, 80% and 80 percent are the same."""
    if figure.endswith("成"):
        return _HAN_DIGITS[figure[0]] + "0"
    found = re.search(r"\d+(?:\.\d+)?", figure)
    return found.group() if found else figure


def is_example(text: str, language: Language) -> bool:
    return bool(words_of(text, listed("examples", language), language))


def claims_evidence(text: str, language: Language) -> list[str]:
    return words_of(unquoted(text), listed("evidence", language), language)


def opens_with_verb(text: str, language: Language) -> bool:
    """Does a step say at once what to do? A time or a condition may stand first. A heuristic: it lets doubt pass."""
    return _chinese_opens(text) if language == "zh" else _english_opens(text)


def _chinese_opens(text: str) -> bool:
    first, _, rest = text.partition("，")
    rest_of_first = _without_lead(first)
    if rest_of_first and _is_chinese_verb(rest_of_first):
        return True
    condition, then, _ = first.partition("就")
    if then and _acts(first[len(condition) :]):
        return True
    conditional = not rest_of_first or bool(_CONDITION.search(first)) or rest[:1] in ("就", "则", "便", "再", "先")
    return bool(rest) and conditional and _acts(rest)


def _acts(clause: str) -> bool:
    clause = _without_lead(clause)
    return bool(clause) and _is_chinese_verb(clause)


def _without_lead(clause: str) -> str:
    """The clause from its first verb on, as far as only adverbs and times stand before it."""
    while clause and not _is_chinese_verb(clause) and (lead := _LEAD.match(clause)):
        clause = clause[lead.end() :]
    return clause


def _is_chinese_verb(clause: str) -> bool:
    import rjieba

    if clause.startswith(listed("verbs", "zh")):
        return True
    tagged = rjieba.tag(clause)
    if clause.startswith("每"):  # "for each …": the verb comes soon
        return any(kind == "v" for _, kind in tagged[:5])
    return tagged[0][1].startswith(("v", "p"))


def _english_opens(text: str) -> bool:
    words = [word.strip(",.:;“”\"'‘’()").lower().replace("’", "'") for word in text.split()]
    if not words:
        return False
    if _is_verb(words[0]):
        return True
    if words[0] not in listed("leads", "en") and not words[0].endswith("ly") and not words[0][0].isdigit():
        return False
    return any(_is_verb(word) for word in words[1:])


def _is_verb(word: str) -> bool:
    verbs = listed("verbs", "en")
    return word in verbs or (word.startswith(("re-", "pre-", "co-")) and word.split("-", 1)[1] in verbs)
