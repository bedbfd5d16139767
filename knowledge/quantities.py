"""The numbers of a statement with their units, comparable however they are written: 三成 = 30%, "two weeks" = 14 days."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from knowledge import claims

CACHED = 20_000


@dataclass(frozen=True, slots=True)
class Amount:
    """A number in the basic size of its unit (time: hours); `context` are the content words around it."""

    value: float
    unit: str
    written: str
    context: frozenset[str]


_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH = "(?:" + "|".join(_MONTHS) + ")[a-z]*"
_SIZE = {"thousand": 1e3, "k": 1e3, "million": 1e6, "m": 1e6, "万": 1e4, "亿": 1e8}
_BIG = re.compile(r"(\d+(?:\.\d+)?)\s*(thousand|million|k\b|m\b|万|亿)")
_ONE = re.compile(r"\bone(?=[ -](?:working|business|calendar|year|thousand|million|percent|per cent|times?|visits?|calls?|managers?|users?|pages?|questions?))")
_YEAR = re.compile(r"(?<!\d)(?:19|20)\d\d(?:年|\b)(?!\s*(?:units|元))")
_DATE = re.compile(rf"(?P<d1>\d{{1,2}})(?:st|nd|rd|th)? (?P<m1>{_MONTH})\b|\b(?P<m2>{_MONTH}) (?P<d2>\d{{1,2}})\b|(?<!\d)(?P<m3>\d{{1,2}})月(?P<d3>\d{{1,2}}|[底初中])?[日号]?(?!内)")
_DAY_OF_MONTH = re.compile(r"(\d{1,2})(?:st|nd|rd|th)\b|(?:每月|次月|下个?月的?|当月)(\d{1,2})[日号]|(?<![月\d])(\d{1,2})号")
_CLOCK = re.compile(r"(下午|晚上|早上|上午|中午)?(\d{1,2})(?:点|:00)(?!\d)|\b(\d{1,2})\s*([ap])\.?m\b")
_NUMBER = re.compile(
    r"(?P<money>[$€£¥]|\b(?:eur|usd|rmb) )?(?<![\d.第q-])(?P<number>\d+(?:,\d{3})*(?:\.\d+)?)\s*-?(?P<unit>%|％|个百分点|折|倍|x\b|times\b|次|遍|"
    r"(?:个|business |working |calendar )?(?:工作)?(?:日|天|days?)|个?(?:星期|周(?!岁))|weeks?|fortnights?|个?月(?!\d|底)|months?|年|years?|个?季度|quarters?|"
    r"个?(?:小时|钟头)|hours?|hrs?|分钟|minutes?|mins?\b|秒|seconds?|元|块|dollars?|euros?|yuan|公里|km\b|kilomet\w+|周?岁)?"
)
_UNITS: tuple[tuple[str, str, float], ...] = (
    (r"元|块|dollar|euro|yuan", "money", 1), (r"%|％|百分点", "percent", 1), (r"折", "percent", 10), (r"岁", "age", 1), (r"季度|quarter", "time", 2190),
    (r"星期|周|week", "time", 168), (r"fortnight", "time", 336), (r"小时|钟头|hour|hr", "time", 1), (r"分钟|min", "time", 1 / 60), (r"秒|second", "time", 1 / 3600),
    (r"月|month", "time", 720), (r"年|year", "time", 8760), (r"日|天|day", "time", 24), (r"次|遍|times", "times", 1), (r"倍|x", "fold", 1), (r"公里|km|kilom", "km", 1),
)  # fmt: skip


@lru_cache(CACHED)
def amounts(text: str) -> tuple[Amount, ...]:
    """The numbers of a statement, in figures or words; a year of the calendar, an ordinal and "a" are none."""
    left, found = _plain(text), []
    readings: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], tuple[str, float] | None]], ...] = (
        (_YEAR, lambda match: None), (_DATE, _date), (_DAY_OF_MONTH, _day_of_month), (_CLOCK, _clock), (_NUMBER, _number),
    )  # fmt: skip
    for pattern, read in readings:
        for match in pattern.finditer(left):
            if reading := read(match):
                around = left[max(0, match.start() - 20) : match.start()] + " " + left[match.end() : match.end() + 18]
                found.append(Amount(reading[1], reading[0], match[0].strip(), claims.grams(re.sub(r"\d", "", around))))
        left = pattern.sub(lambda match: " " * len(match[0]), left)
    return tuple(found)


def _plain(text: str) -> str:
    """Everything that is a number in figures, with its size multiplied out."""
    text = re.sub(r"两(?=[节桶瓶箱批])", "2", _multiplied(text.lower()))
    text = _ONE.sub("1", claims.spelled(text))
    text = text.replace("once", "1 times").replace("twice", "2 times")
    text = re.sub(r"第(?=\d+个?工作日)", "", re.sub(r"半(?=年|个?月|天)", " 0.5", text))
    return _multiplied(text)


def _multiplied(text: str) -> str:
    return _BIG.sub(lambda match: f"{float(match[1]) * _SIZE[match[2]]:.0f}", text)


def _date(match: re.Match[str]) -> tuple[str, float]:
    if name := match["m1"] or match["m2"]:
        return "date", (_MONTHS.index(name[:3]) + 1) * 31 + int(match["d1"] or match["d2"])
    day = {"底": 30, "初": 1, "中": 15, None: 0}.get(match["d3"])
    return "date", int(match["m3"]) * 31 + (int(match["d3"]) if day is None else day)


def _day_of_month(match: re.Match[str]) -> tuple[str, float]:
    return "day of month", float(match[1] or match[2] or match[3])


def _clock(match: re.Match[str]) -> tuple[str, float]:
    hour = float(match[2] or match[3])
    late = match[1] in ("下午", "晚上") or match[4] == "p"
    return "clock", hour + 12 if late and hour < 12 else hour


def _number(match: re.Match[str]) -> tuple[str, float] | None:
    value, written = float(match["number"].replace(",", "")), match["unit"] or ""
    unit, factor = ("money", 1.0) if match["money"] else next(((name, size) for pattern, name, size in _UNITS if re.search(pattern, written)), ("count", 1.0))
    return None if unit == "count" and value <= 1 else (unit, round(value * factor, 3))
