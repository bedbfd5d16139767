"""Before advising: how sure are we what this is, and which one question would tell most?

A belief over topics (and the causes of the likeliest one) comes from the reading, made more modest for a message that
says little, with room for the topics that the cards themselves name as easily confused. A question is asked only when
its answer is expected to put us right noticeably more often; what an answer says goes into the belief.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from bot.turns import LANGUAGES, Language
from knowledge import claims
from knowledge.cards import Card
from knowledge.passages import Reading, TopicBelief

ENOUGH = 12  # different content words from which a message says enough to be answered at once
SURE = 0.995  # belief from which even a message of few words is answered at once
UNSURE = 0.4  # belief below which even a pointed question is asked back
WORTH = 0.25  # expected rise in being right that makes a question worth the rep's time
MOST = 2  # questions before an answer
CONFUSED = 0.04  # belief that a topic which its card calls easily confused starts with
OPTIONS = 4
MODESTY = 0.25  # power of the odds read from a message that says little: a reading of few words is far too sure of itself
DENIED = 0.1  # what remains of the belief in something that the rep says it is not


@dataclass(frozen=True, slots=True)
class Question:
    """One question: which of these topics, or which of these causes of a topic? `gain`: bits it is expected to tell."""

    about: Literal["topic", "cause"]
    options: tuple[str, ...]
    gain: float
    card: str = ""

    @property
    def mark(self) -> str:
        """How `Advising.asked` remembers it."""
        return f"{self.about}:{self.card}:{','.join(self.options)}"


Belief = Mapping[str, float]

# "how do I …", "which …": a question names what it is about; "what now", 怎么办 does not
_ASKS = re.compile(r"[?？]|吗|呢|哪|啥|什么|如何|怎么|怎样|咋|几[步点种条]|Help$|\b(?:how|what|which|who|why|when|should|is it|steps)\b", re.IGNORECASE)
_HELPLESS = re.compile(
    r"(?:该|我该|要|还能)?(?:怎么|咋|如何|怎样)(?:再|往下|继续|才能)?(?:办|弄|搞|整|接话?|回事|破|走|推进|推动|推|继续|处理|应对|破局|开口|回|解)(?:才好|呢|啊|下去|它|他)?[?？]?|"
    r"不知道[^，,。]{0,4}(?:怎么|咋|如何|哪)[^，,。]{0,8}|不知道[^，,。]{0,8}(?:什么|啥)[^，,。]{0,6}|为什么|为啥|什么(?:情况|意思|问题|原因)|哪里?(?:出了?|有)问题|问题出在哪里?|"
    r"(?:是不是|还有没有|有没有)[^，,。?？]{0,8}(?:戏|希望|黄了|机会|救)[^，,。?？]{0,4}[?？]?|(?:几|好几)[次个年趟轮周天]|"
    r"\bwhat (?:now|do i do|should i do|next|can i do|am i missing|'?s (?:going on|wrong|up))\b[?]?|\bwhat to do\b[?]?|\bany ideas\b[?]?|\bdunno why\b|\bnot sure (?:what|why|how|where)\b|\bno idea (?:what|why|how|where)\b|"
    r"\b(?:can't|cannot|don't|couldn't) (?:tell|say|see|know|figure out|work out) (?:what|why|how|where|who|which)\b|\bhow (?:do|can|should|would) i (?:move|get|handle|push|proceed|fix|react|respond|go on|read|unstick|play)\b[^?.]{0,30}[?]?|"
    r"\bwhere do i (?:go|start)\b[^?.]{0,20}[?]?|\bis (?:it|this|the deal) (?:dead|lost|over)\b[?]?|\b(?:when|whenever|every time|each time|while|who|which) (?:i|we|he|she|they|it|the|my)\b",
    re.IGNORECASE,
)


def _parties(text: str) -> int:
    """How many roles or departments a message names: with two, it says who does what to whom."""
    return max(len([item for item in learned(text, language, {}).get("roles", "").split(", ") if item]) for language in LANGUAGES)


def vague(text: str, sure: float) -> bool:
    """Little said and nothing in particular asked: "it's stuck, what now"; but not "two camps, how to reconcile"."""
    if says(text) >= ENOUGH or sure >= SURE or _parties(text) >= 2:
        return False
    return sure < UNSURE or not _ASKS.search(_HELPLESS.sub(" ", text))


def says(text: str) -> int:
    """How much a message tells: its different content words."""
    return len(set(claims.words(text)))


def belief(reading: Reading, cards: Mapping[str, Card], text: str) -> dict[str, float]:
    """Topic → probability, best first; flatter for a message that says little, whatever the reading thinks of it."""
    modesty = 1.0 if says(text) >= ENOUGH else MODESTY
    known = {item.card: max(item.score, 1e-4) ** modesty for item in reading.topics if item.card in cards}
    if known:
        best = max(known, key=known.__getitem__)
        for contrast in cards[best].contrast:
            if contrast.id in cards:
                known[contrast.id] = max(known.get(contrast.id, 0.0), CONFUSED ** modesty * known[best])
    return _normal(known)


def _normal(weights: Mapping[str, float]) -> dict[str, float]:
    total = sum(weights.values())
    return {name: weights[name] / total for name in sorted(weights, key=lambda name: -weights[name])} if total else {}


def question(
    topics: Belief, causes: Sequence[tuple[str, float]], cards: Mapping[str, Card], text: str, asked: Sequence[str], sure: float = 0.0
) -> Question | None:
    """The question with the largest expected gain, or None: sure enough, said enough, or asked enough.

    `sure`: the reading's own belief in its first topic, before it was made modest.
    """
    if not topics or len(asked) >= MOST or (not asked and not vague(text, sure)):
        return None
    if cards[next(iter(topics))].polarity == "myth" and sure >= UNSURE:
        return None  # a misconception is corrected, not asked about
    candidates = [_about_topics(topics, asked), _about_causes(topics, causes, cards, asked)]
    worth = [item for item, rise in filter(None, candidates) if rise >= WORTH]
    return max(worth, key=lambda item: item.gain, default=None)


def _about_topics(topics: Belief, asked: Sequence[str]) -> tuple[Question, float] | None:
    told = {name for mark in asked if mark.startswith("topic") for name in mark.split(":")[-1].split(",")}
    options = tuple(name for name in topics if name not in told)[:OPTIONS]
    if len(options) < 2:
        return None
    shares = [topics[name] for name in options]
    return Question("topic", options, _entropy([*shares, 1 - sum(shares)])), sum(shares) - max(topics.values())


def _about_causes(
    topics: Belief, causes: Sequence[tuple[str, float]], cards: Mapping[str, Card], asked: Sequence[str]
) -> tuple[Question, float] | None:
    best = next(iter(topics))
    if len(causes) < 2 or cards[best].kind != "problem" or any(mark.startswith("cause") for mark in asked) or not asked:
        return None  # a cause is asked for only once the topic has been; the answer offers the other causes anyway
    options = tuple(name for name, _ in causes)[:OPTIONS]
    sure = topics[best]
    shares = [sure * share for _, share in causes[:OPTIONS]]
    return Question("cause", options, _entropy([*shares, 1 - sum(shares)]), best), sum(shares) - max(shares)


def _entropy(shares: Sequence[float]) -> float:
    return -sum(share * math.log2(share) for share in shares if share > 0)


_DENIAL = re.compile(r"^\s*(?:不是|不像|不算|没有|没|倒不|并不|不|no\b|not\b|nope|neither|none|it'?s not|that'?s not|isn'?t)", re.IGNORECASE)


def heard(before: Belief, alone: Reading, together: Reading, asked: str, cards: Mapping[str, Card], text: str, said_about: Sequence[float]) -> dict[str, float]:
    """The belief after an answer in the rep's words.

    `alone`: a reading of the answer, `together`: of everything said. `said_about`: how near the answer is to each
    option of the question `asked`, so that "no, nobody pushes it around" takes from that option and not from others.
    """
    fresh = [belief(reading, cards, text) for reading in (alone, together)]
    names = {*before, *fresh[0], *fresh[1]}
    low = 0.01
    weights = {
        name: (before.get(name, low) + low) ** 0.5 * (fresh[0].get(name, low) + low) ** 0.7 * (fresh[1].get(name, low) + low) ** 0.7
        for name in names
    }
    options = [name for name in asked.split(":")[-1].split(",") if name]
    if _DENIAL.search(text) and options and len(said_about) == len(options):
        nearest = options[max(range(len(options)), key=lambda i: said_about[i])]
        if nearest in weights:
            weights[nearest] *= DENIED
    return _normal(weights)


def as_topics(now: Belief, reading: Reading) -> tuple[TopicBelief, ...]:
    """The belief in the shape that advice is composed from, with the causes that the reading sees."""
    causes = {item.card: item.causes for item in reading.topics}
    return tuple(TopicBelief(name, share, causes.get(name, ())) for name, share in now.items())[:5]


_ROLES: Mapping[Language, tuple[str, ...]] = {
    "zh": (
        "总经理", "副总", "厂长", "院长", "董事长", "财务总监", "财务", "采购", "设备部", "生产部", "技术部", "质量部", "信息科", "IT", "法务",
        "部长", "科长", "处长", "主任", "工程师", "使用部门", "老板", "秘书", "助理", "总部", "集团",
    ),
    "en": (
        "CEO", "CFO", "CTO", "plant manager", "purchasing", "procurement", "buyer", "finance", "maintenance", "engineering", "quality",
        "legal", "IT", "operations", "production", "VP", "director", "head office", "assistant", "committee", "users",
    ),
}  # fmt: skip
_STAGES: Mapping[str, re.Pattern[str]] = {
    "tender": re.compile(r"招标|投标|标书|评标|\btender|\brfp\b|\bbid\b", re.IGNORECASE),
    "trial": re.compile(r"试用|试点|打样|样机|\btrial|\bpilot|\bsample", re.IGNORECASE),
    "quote": re.compile(r"报价|询价|比价|\bquot(?:e|ation)", re.IGNORECASE),
    "contract": re.compile(r"合同|签约|法务|\bcontract|\blegal\b", re.IGNORECASE),
    "payment": re.compile(r"回款|账期|付款|\bpayment|\binvoice", re.IGNORECASE),
    "meeting": re.compile(r"拜访|约见|见面|汇报|\bmeeting|\bvisit", re.IGNORECASE),
}
_DATE = re.compile(
    r"下?(?:周|星期|礼拜)[一二三四五六日天末]|下(?:个?月|季度)|月底|年底|季度末|\d{1,2}月\d{1,2}[日号]|\d{1,2}[日号]前?|明天|后天|明年|"
    r"\b(?:next|this|by|on) (?:mon|tues|wednes|thurs|fri|satur|sun)day\b|\bnext (?:week|month|quarter|year)\b|\bend of (?:the )?(?:month|quarter|year)\b|\btomorrow\b",
    re.IGNORECASE,
)


def learned(text: str, language: Language, before: Mapping[str, str]) -> dict[str, str]:
    """What a follow-up needs to remember: roles (not names), stage, next date. Newer facts replace older ones."""
    found = dict(before)
    lowered = text.lower()
    roles = [role for role in _ROLES[language] if re.search(rf"\b{role.lower()}\b" if language == "en" else re.escape(role.lower()), lowered)]
    roles = [role for role in roles if not any(role != other and role in other for other in roles)]
    if roles:
        known = [item for item in before.get("roles", "").split(", ") if item]
        found["roles"] = ", ".join(dict.fromkeys([*known, *roles]))[:120]
    if stage := next((name for name, pattern in _STAGES.items() if pattern.search(text)), None):
        found["stage"] = stage
    if date := _DATE.search(text):
        found["date"] = date.group()
    return found
