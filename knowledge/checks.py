"""What a trainer should know before publishing: duplicates, contradictions, passages that nobody would find.

`relation(a, b)` compares two statements in one language. Everything here is a hint for a person who decides.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from typing import Any, Literal

import numpy as np

from knowledge.keywords import normalise, stem, tokens
from knowledge.passages import Language, Passage

Kind = Literal["duplicate", "number", "polarity", "none"]
Similarity = Callable[[Sequence[str], Sequence[str]], Any]  # cosines, shape (left, right)

NEAR = 0.62  # cosine from which two passages are compared sentence by sentence
NEIGHBOURS = 4  # published passages that one new passage is compared with
FINDABLE = 10  # a reworded passage should come back among so many
WIDE = 60  # results looked through for those of documents
PAIRS = 16  # pairs of statements of two passages that are compared word by word
CLASHES = 3  # contradictions named for one pair of passages
MAX_CHECKED = 400  # passages of one document that are checked one by one


@dataclass(frozen=True, slots=True)
class Remark:
    """Something to look at. `kind` names it (phrases `desk.remark_<kind>`), `values` fill the phrase."""

    kind: str
    passage: str = ""
    other: str = ""  # id of the passage that it is about, too
    values: Mapping[str, str] = field(default_factory=dict)


# ------------------------------------------------------------------ two statements

_UNITS = {
    "day": "个?(?:工作)?[日天]|(?:working |business |calendar )?days?", "week": "个?(?:星期|周)|weeks?", "month": "个?月|months?",
    "year": "年|years?", "hour": "个?(?:小时|钟头)|hours?|hrs?", "minute": "分钟|minutes?|mins?", "percent": "%|％|个百分点|percent|per cent",
    "money": "万?元|万|块|亿|rmb|yuan|dollars?|k\\b|usd|eur", "times": "次|遍|times?|visits?|calls?|rounds?",
    "count": "个?人|位|名|家|个|条|项|份|种|张|页|步|点|people|persons?|contacts?|stakeholders?|suppliers?|vendors?|quotes?|references?|steps?|pages?|questions?|copies|options?|customers?|accounts?|competitors?|signatures?",
}  # fmt: skip
_UNIT = re.compile(r"\s*(?:" + "|".join(f"(?P<{name}>{pattern})" for name, pattern in _UNITS.items()) + ")", re.IGNORECASE)
_DIGITS = re.compile(r"(?P<money>[$€£¥])?\s?(?P<number>\d+(?:,\d{3})*(?:\.\d+)?)")
_HAN = {char: value for value, char in enumerate("零一二三四五六七八九")} | {"两": 2, "〇": 0}
_HAN_NUMBER = re.compile(r"(?<!第)(?:百分之)?[零〇一二两三四五六七八九十百千]+(?=个?(?:工作)?[日天周月年]|个?(?:星期|小时|钟头|人|月)|成|[次遍家个条项份种张页步位名]|万|%)|百分之[零〇一二两三四五六七八九十百]+|[一二三四五六七八九]成|半(?=[天年月]|个月)")
_WORDS = {word: value for value, word in enumerate(["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"])} | {
    "fifteen": 15, "twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "ninety": 90, "hundred": 100,
    "once": 1, "twice": 2, "half": 0.5,
}  # fmt: skip
_EN_NUMBER = re.compile(r"\b(" + "|".join(_WORDS) + r")\b(?!-)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Amount:
    """A number with its unit; `context` are the content words around it."""

    value: float
    unit: str
    context: frozenset[str]


@lru_cache(8192)
def amounts(text: str) -> tuple[Amount, ...]:
    """The numbers of a statement, in figures or words, with units; a year of the calendar and list marks are none."""
    found = []
    text = normalise(text)
    for start, end, value, unit in _numbers(text):
        around = text[max(0, start - 24) : start] + " " + text[end : end + 16]
        found.append(Amount(value, unit, _content(around)))
    return tuple(found)


def _numbers(text: str) -> Iterator[tuple[int, int, float, str]]:
    for match in _DIGITS.finditer(text):
        unit, end = _unit(text, match.end())
        value = float(match["number"].replace(",", ""))
        if unit == "year" and 1900 < value < 2100:
            continue
        if text[match.end() : end].strip().startswith("万"):
            value *= 10_000
        elif text[match.end() : end].strip() == "k":
            value *= 1000
        yield match.start(), end, value, "money" if match["money"] else unit
    for match in _HAN_NUMBER.finditer(text):
        word = match[0]
        if word.startswith("百分之"):
            yield match.start(), match.end(), _han_value(word[3:]), "percent"
        elif word.endswith("成"):
            yield match.start(), match.end(), _han_value(word[:-1]) * 10, "percent"
        elif text[match.end() : match.end() + 1] == "成" and text[match.end() : match.end() + 2] not in ("成为", "成功"):
            yield match.start(), match.end() + 1, _han_value(word) * 10, "percent"
        else:
            unit, end = _unit(text, match.end())
            if unit:
                yield match.start(), end, 0.5 if word == "半" else _han_value(word), unit
    for match in _EN_NUMBER.finditer(text):
        unit, end = _unit(text, match.end())
        if match[0] in ("once", "twice"):
            yield match.start(), match.end(), _WORDS[match[0]], "times"
        elif unit:
            yield match.start(), end, _WORDS[match[0]], unit


def _unit(text: str, start: int) -> tuple[str, int]:
    match = _UNIT.match(text, start)
    if not match:
        return "", start
    return next(name for name, value in match.groupdict().items() if value is not None), match.end()


def _han_value(word: str) -> float:
    total, digit = 0, 0
    for char in word:
        if char in _HAN:
            digit = _HAN[char]
        else:
            total += (digit or 1) * {"十": 10, "百": 100, "千": 1000}[char]
            digit = 0
    return float(total + digit)


_ZH_NEGATIONS = re.compile(r"不(?:要|能|得|可以?|应该?|宜|必|用|需要?|许|准|会|再|该|是|应当|允许|建议|需|适合|接受|同意|支持|包括|包含|承担|提供|主动|公开|算)?|[别勿莫]|没有?|未必?|禁止|严禁|切忌|切勿|避免|杜绝|无需|无须|毋需|拒绝|停止|取消|免去")
_ZH_NOT_NEGATIONS = re.compile(r"不(?:同|断|过|但|仅|管|论|只|妨|少|久|错|如|良|足|满|定|及|到|超过|少于|低于|高于|多于|晚于|早于|迟于|大于|小于)|不得不|不能不|不可不|未来|别的|别人|特别|个别|级别|区别|分别|差别|无论|没错|不一|非常")
_EN_NEGATIONS = re.compile(r"\b(?:not|never|no|don'?t|doesn'?t|cannot|can'?t|won'?t|shouldn'?t|mustn'?t|isn'?t|aren'?t|needn'?t|avoid|without|refuse|refrain|stop|forbidden|prohibit(?:ed|s)?|nobody|none|unnecessary|neither|nor|nothing|banned|skip)\b", re.IGNORECASE)
_EN_NOT_NEGATIONS = re.compile(r"\b(?:not only|no later than|no less than|no more than|not (?:more|less|later|fewer) than|no matter|do not hesitate|not just|never fail)\b", re.IGNORECASE)
_OPPOSITES = """
提高 降低|提升 降低|提价 降价|涨价 降价|增加 减少|加大 减少|扩大 缩小|上调 下调|上涨 下跌|延长 缩短|公开 保密|公开 隐瞒|透露 保密|告诉 隐瞒|允许 禁止|可以 禁止|可以 严禁|必须 禁止|应该 禁止|接受 拒绝|同意 拒绝|支持 反对|赞成 反对
主动 被动|主动 等待|立即 延后|立刻 延后|马上 等到|尽早 推迟|提前 推迟|提前 延后|尽快 推迟|尽早 尽量晚|越早 越晚|早 晚|直接 绕开|书面 口头|集中 分散|先 后|首先 最后|统一 分别|单独 一起|私下 公开|当面 电话|鼓励 禁止|鼓励 限制|优先 最后|全部 部分|必须 无需|必须 可选
需要 无需|需要 不必|保留 删除|保留 放弃|坚持 放弃|重视 忽视|重要 次要|有利 不利|有效 无效|有用 没用|高于 低于|多于 少于|至少 至多|至少 最多|不低于 不高于|不少于 不超过|不得低于 不得超过|最高 最低|以上 以下|以内 以上|之前 之后|以前 以后|长期 短期|免费 收费|含税 不含税|强 弱|增强 削弱|加快 放慢|加强 削弱|分开 合并|安全 危险|容易 困难|成熟 不成熟|信任 怀疑|扩张 收缩
always never|must never|should never|before after|first last|early late|earlier later|early afterwards|increase decrease|increase reduce|raise lower|raise cut|raise reduce|rise fall|accept reject|accept refuse|accept decline|agree disagree|agree refuse|allow forbid|allow prohibit|allowed forbidden|allowed prohibited|permitted forbidden|permitted prohibited|may forbidden|can forbidden
required optional|mandatory optional|necessary unnecessary|must optional|share withhold|share hide|disclose withhold|disclose hide|reveal hide|tell hide|open secret|public confidential|public private|publicly privately|written verbal|writing verbally|writing orally|email phone|with without|more fewer|more less|most least|maximum minimum|least most|above below|over under|include exclude|included excluded|include omit|keep drop|keep remove|keep abandon|support oppose|encourage discourage
encourage forbid|immediately later|immediately wait|now later|quickly slowly|fast slow|speed slow|proactively wait|push wait|good bad|helps hurts|help hurt|helpful harmful|strengthens weakens|strengthen weaken|effective ineffective|useful useless|important unimportant|safe risky|safe dangerous|true false|free paid|same different|together separately|joint separate|centralise spread|directly indirectly|high low|higher lower|long short|longer shorter|easy hard|start stop|start end|begin end|shorten extend|expand shrink|trust distrust|everyone nobody|everybody nobody|all none|enough insufficient|strong weak
"""


@cache
def _opposites() -> dict[str, frozenset[str]]:
    table: dict[str, set[str]] = {}
    for pair in _OPPOSITES.replace("\n", "|").split("|"):
        words = pair.split()
        if len(words) == 2:
            left, right = map(_root, words)
            table.setdefault(left, set()).add(right)
            table.setdefault(right, set()).add(left)
    return {word: frozenset(others) for word, others in table.items()}


@cache
def _zh_opposite_words() -> re.Pattern[str]:
    words = sorted((word for word in _opposites() if not word.isascii()), key=len, reverse=True)
    return re.compile("|".join(words))


def _negations(text: str) -> int:
    text = _EN_NOT_NEGATIONS.sub(" ", _ZH_NOT_NEGATIONS.sub(" ", text))
    return len(_ZH_NEGATIONS.findall(text)) + len(_EN_NEGATIONS.findall(text))


@lru_cache(8192)
def _marked_words(text: str) -> Counter[str]:
    """Words of a statement that have an opposite."""
    found = Counter(_zh_opposite_words().findall(text))
    found.update(word for word in map(_root, re.findall(r"[a-z]+", text)) if word in _opposites())
    return found


def _root(word: str) -> str:
    return stem(word).removesuffix("e") if word.isascii() else word


def _turns(a: str, b: str) -> tuple[int, int]:
    """How often one statement turns the other: (opposite words, one on each side; negations apart from those)."""
    a, b = normalise(a), normalise(b)
    left, right = _marked_words(a), _marked_words(b)
    only_left, only_right = left - right, right - left
    opposites = 0
    for word in only_left:
        if partner := next((other for other in sorted(_opposites()[word]) if only_right.get(other)), None):
            only_right[partner] -= 1
            opposites += 1
            a, b = _without(a, word), _without(b, partner)
    return opposites, _negations(a) + _negations(b)


def _without(text: str, root: str) -> str:
    if not root.isascii():
        return text.replace(root, " ", 1)
    return " ".join(word for word in text.split() if _root(re.sub(r"[^a-z]", "", word)) != root)


def _swapped_order(a: str, b: str) -> bool:
    """"先甲再乙" against "先乙再甲" ("X before Y" against "Y before X"): the same words in the opposite order."""
    for pattern in (r"先(.+?)[，,]?(?:再|后|然后)(.+)", r"(.+?)(?:之前|以前|前)[，,]?(?:要|先|必须|应)?(.+)", r"(.+?)\bbefore\b(.+)", r"(.+?)\bafter\b(.+)"):
        left, right = re.search(pattern, normalise(a)), re.search(pattern, normalise(b))
        if left and right:
            straight = _overlap(left[1], right[1]) + _overlap(left[2], right[2])
            crossed = _overlap(left[1], right[2]) + _overlap(left[2], right[1])
            return crossed > straight + 0.5
    return False


@lru_cache(8192)  # a statement is compared with several
def _content(text: str) -> frozenset[str]:
    """Content tokens without numbers and negations: Chinese bigrams, English stems."""
    plain = _EN_NEGATIONS.sub(" ", _ZH_NEGATIONS.sub("", normalise(text)))
    plain = re.sub(r"\d+(?:[.,]\d+)*", " ", plain)
    return frozenset(token for token in tokens(plain) if len(token) > 1 and token not in _WORDS)


def _overlap(a: str, b: str) -> float:
    """Dice overlap of content tokens, 0–1."""
    left, right = _content(a), _content(b)
    return 2 * len(left & right) / (len(left) + len(right)) if left and right else 0.0


# Found on pairs of our own (tests/test_checks.py); the labelled set in tests/labels was written by others.
SAME_SUBJECT = 0.55  # mean of word overlap and cosine from which two statements are about the same thing
SAME_SUBJECT_NUMBERS = 0.46  # … when the words around their numbers agree, too
SAME = 0.6  # … from which they say the same
SAME_MEANING = 0.82  # cosine alone
OPPOSED = 0.66  # cosine alone, for statements with opposite words


# Two statements about different people or things may use the same words.
_SUBJECTS = tuple(tuple(pair.split()) for pair in (
    "大客户 小客户", "采购部 使用部", "采购部门 使用部门", "采购经理 采购总监", "新客户 老客户", "使用者 采购", "技术 财务", "线上 线下", "国内 海外", "甲方 乙方",
    "large small", "users procurement", "buyer user", "existing new", "finance engineering", "domestic overseas", "prospects customers", "key small",
))  # fmt: skip


def _other_subject(a: str, b: str) -> bool:
    a, b = normalise(a), normalise(b)
    return any(
        (x in a and y not in a and y in b and x not in b) or (y in a and x not in a and x in b and y not in b) for x, y in _SUBJECTS
    )


def relation(a: str, b: str, cosine: float) -> Kind:
    """How two statements in one language relate. `cosine` is that of their sentence vectors."""
    if normalise(a) == normalise(b):
        return "duplicate"
    if _other_subject(a, b):
        return "none"
    same = 0.5 * _overlap(a, b) + 0.5 * max(0.0, cosine)
    if same >= SAME_SUBJECT_NUMBERS and _numbers_differ(a, b, same):
        return "number"
    opposites, negations = _turns(a, b)
    turned = (opposites + negations) % 2 == 1 or _swapped_order(a, b)
    if turned:
        return "polarity" if same >= SAME_SUBJECT or (opposites and cosine >= OPPOSED) else "none"
    if same >= SAME or cosine >= SAME_MEANING or (cosine >= SAME_SUBJECT and _numbers_agree(a, b)):
        return "duplicate"
    return "none"


def _numbers_agree(a: str, b: str) -> bool:
    """The same amounts, whatever the words or units they are written in."""
    left, right = ({_scaled(item) for item in amounts(text)} for text in (a, b))
    return bool(left) and left == right


def _scaled(amount: Amount) -> tuple[str, float]:
    unit, factor = _SCALE.get(amount.unit, (amount.unit, 1))
    return unit, round(amount.value * factor, 3)


def _numbers_differ(a: str, b: str, same: float) -> bool:
    """Does the same thing have different numbers? Paired by unit; a number that both share is no contradiction."""
    left, right = amounts(a), amounts(b)
    for unit in {item.unit for item in left} & {item.unit for item in right}:
        mine, yours = [i for i in left if i.unit == unit], [i for i in right if i.unit == unit]
        here, there = {i.value for i in mine}, {i.value for i in yours}
        if here == there or (here & there and (here <= there or there <= here)):
            continue
        near = max(len(i.context & j.context) / max(1, min(len(i.context), len(j.context))) for i in mine for j in yours)
        if same >= SAME_SUBJECT or near >= 0.25:
            return True
    return same >= SAME_SUBJECT and _units_differ(left, right)


_SCALE: dict[str, tuple[str, float]] = {"hour": ("time", 1), "day": ("time", 24), "week": ("time", 168), "month": ("time", 720), "year": ("time", 8760), "minute": ("time", 1 / 60)}


def _units_differ(left: Sequence[Amount], right: Sequence[Amount]) -> bool:
    """"24 hours" against "three days": one number each, of the same kind, in other units."""
    if len(left) != 1 or len(right) != 1 or left[0].unit == right[0].unit:
        return False
    (mine, value), (yours, other) = _scaled(left[0]), _scaled(right[0])
    return mine == yours == "time" and abs(value - other) > 0.1 * value


# ------------------------------------------------------------------ passages


def sentences(text: str) -> list[str]:
    """The statements of a passage, without list marks; very short ones are left out."""
    pieces = re.split(r"(?<=[。！？!?；;])\s*|(?<=[.])\s+|\n", text)
    bare = [re.sub(r"^\s*(?:[-*•]|\(?[\da-z]{1,2}[.)、])\s*", "", piece).strip() for piece in pieces]
    return [piece for piece in bare if len(piece) >= 6]


def compare(
    new: Sequence[Passage], published: Sequence[Passage], vectors: tuple[Any, Any], similarity: Similarity
) -> list[Remark]:
    """Duplicates and contradictions between a document and the shelf (other documents), and inside the document.

    `vectors`: of `new` and `published`, L2-normalised rows.
    """
    found: list[Remark] = []
    mine, theirs = vectors
    for i in _checked(new):
        passage = new[i]
        near = _nearest(mine[i], theirs, published, passage)
        near += [other for other in _nearest(mine[i], mine[:i], new[:i], passage) if other.part != "outline"]
        found += _between(passage, near, similarity)
    return found


def _checked(new: Sequence[Passage]) -> list[int]:
    """Which passages are checked one by one: the first MAX_CHECKED of each document, without tables of contents."""
    counts: Counter[str] = Counter()
    found = []
    for i, item in enumerate(new):
        if item.part != "outline" and counts[item.document] < MAX_CHECKED:
            counts[item.document] += 1
            found.append(i)
    return found


def unchecked(new: Sequence[Passage]) -> list[Remark]:
    """Documents too long for every passage to be checked, and how many passages of them were."""
    counts = Counter(item.document for item in new if item.part != "outline")
    values = {"checked": str(MAX_CHECKED)}
    return [Remark("unchecked", next(item.id for item in new if item.document == name), values=values | {"count": str(count)}) for name, count in counts.items() if count > MAX_CHECKED]


def _nearest(vector: Any, vectors: Any, passages: Sequence[Passage], mine: Passage) -> list[Passage]:
    if not len(passages):
        return []
    scores = vectors @ vector
    order = np.argsort(-scores)[: 3 * NEIGHBOURS]
    near = [passages[i] for i in order if scores[i] >= NEAR and passages[i].language == mine.language and passages[i].id != mine.id]
    return near[:NEIGHBOURS]


def _between(passage: Passage, others: Sequence[Passage], similarity: Similarity) -> Iterator[Remark]:
    """What two passages say of each other: contradictions before a duplicate."""
    mine = sentences(passage.text)
    for other in others:
        theirs = sentences(other.text)
        if not mine or not theirs:
            continue
        cosines = similarity(mine, theirs)
        kinds = [(relation(mine[i], theirs[j], float(cosines[i, j])), mine[i], theirs[j]) for i, j in _nearest_pairs(cosines)]
        yield from _worst(passage, other, kinds, min(len(mine), len(theirs)))


def _nearest_pairs(cosines: Any) -> list[tuple[int, int]]:
    """The pairs of statements worth comparing word by word, nearest first."""
    order = np.argsort(-cosines, axis=None)[:PAIRS]
    pairs = [divmod(int(index), cosines.shape[1]) for index in order]
    return [(i, j) for i, j in pairs if cosines[i, j] >= 0.45]


def _worst(passage: Passage, other: Passage, kinds: Sequence[tuple[Kind, str, str]], least: int) -> Iterator[Remark]:
    opposite_meant = {passage.polarity, other.polarity} == {"myth", "advice"}
    for kind in ("number", "polarity"):
        clashes = [(left, right) for found, left, right in kinds if found == kind and not (kind == "polarity" and opposite_meant)]
        yield from (Remark(kind, passage.id, other.id, _quotes(left, right, other)) for left, right in clashes[:CLASHES])
        if clashes:
            return
    same = [(left, right) for found, left, right in kinds if found == "duplicate"]
    if same and opposite_meant:
        yield Remark("polarity", passage.id, other.id, _quotes(*same[0], other))
    elif same and len({left for left, _ in same}) >= 0.6 * least:
        yield Remark("duplicate", passage.id, other.id, _quotes(*same[0], other))


def _quotes(left: str, right: str, other: Passage) -> dict[str, str]:
    return {"mine": left[:120], "other": right[:120], "where": f"{other.title} · {other.place}"}


# ------------------------------------------------------------------ will it be found?

_SYNONYMS: dict[Language, dict[str, str]] = {
    "zh": {"客户": "对方", "价格": "报价", "采购": "买方", "供应商": "厂家", "领导": "老板", "如何": "怎么", "需要": "要", "部门": "科室", "沟通": "聊", "合同": "协议", "问题": "麻烦", "了解": "知道", "应该": "该"},
    "en": {"customer": "client", "customers": "clients", "price": "cost", "purchase": "buy", "supplier": "vendor", "manager": "boss", "should": "ought to", "meeting": "call", "contract": "agreement", "problem": "trouble", "help": "support", "ask": "enquire"},
}  # fmt: skip


def reworded(passage: Passage) -> str:
    """The passage's longest statement as somebody else might put it: other words, the order turned, fillers gone."""
    statements = sentences(passage.text) or [passage.text]
    text = max(statements, key=len)[:160]
    for word, other in _SYNONYMS[passage.language].items():
        text = text.replace(word, other) if passage.language == "zh" else re.sub(rf"\b{word}\b", other, text, flags=re.IGNORECASE)
    clauses = [clause for clause in re.split(r"[，,；;：:。.！？!?]\s*", text) if clause]
    return ("，" if passage.language == "zh" else ", ").join(reversed(clauses))


def unfindable(new: Sequence[Passage], search: Callable[[str], Iterable[str]]) -> list[Remark]:
    """Passages that do not come back among the first results for a reworded version of themselves.

    `search` gives passage ids, best first, from a trial index that holds the new passages, too.
    """
    found = []
    for passage in (new[i] for i in _checked(new)):
        question = reworded(passage)
        if passage.id not in list(search(question))[:FINDABLE]:
            found.append(Remark("unfindable", passage.id, values={"question": question[:80], "where": passage.place}))
    return found


def languages(new: Sequence[Passage]) -> list[Remark]:
    """A document in a language that the coach does not speak; one that mixes two is only mentioned."""
    text = "".join(item.text for item in new)[:20_000]
    letters = [char for char in text if char.isalpha()]
    other = sum(not (char < "\u0250" or "\u3400" <= char <= "\u9fff" or "\uff00" <= char <= "\uffef") for char in letters)
    if letters and other > 0.3 * len(letters):
        return [Remark("language")]
    spoken = Counter(item.language for item in new)
    return [Remark("mixed", values={"zh": str(spoken["zh"]), "en": str(spoken["en"])})] if min(spoken["zh"], spoken["en"]) >= 2 else []


def changed_answers(questions: Sequence[str], before: Callable[[str], str], after: Callable[[str], str], touched: Collection[str]) -> list[Remark]:
    """Golden questions whose first source would be another one.

    `before` and `after` name the source of a question's first passage; only `touched` sources can have moved, so
    that most questions are asked once.
    """
    found = []
    for question in questions:
        becomes = after(question)
        if becomes in touched and (was := before(question)) != becomes:
            found.append(Remark("answer", values={"question": question, "before": was, "after": becomes}))
    return found


# ------------------------------------------------------------------ everything at once


def examine(new: Sequence[Passage], replaced: Collection[str], library: Any, trial: Any, questions: Sequence[str] = ()) -> list[Remark]:
    """All remarks on new passages. `library` is what is published now, `trial` the same with the new passages last.

    Whether a passage is found is asked among documents: a card on the same subject may well stand before it.
    """
    rows = [i for i, item in enumerate(library.passages) if item.document not in replaced]
    published = [library.passages[i] for i in rows]
    vectors = trial.vectors[len(trial.passages) - len(new) :], library.vectors[rows]
    asked = unfindable(new, lambda question: [hit.passage.id for hit in trial.search(question, limit=WIDE).hits if hit.passage.kind == "document"])
    titles = {item.title for item in new}
    answers = changed_answers(questions, lambda question: _first_title(library, question), lambda question: _first_title(trial, question), titles)
    return [*languages(new), *unchecked(new), *compare(new, published, vectors, _remembering(trial.embedder)), *asked, *answers]


def _remembering(embedder: Any) -> Similarity:
    """Cosines of statements, each of which is encoded once."""
    known: dict[str, Any] = {}

    def similarity(left: Sequence[str], right: Sequence[str]) -> Any:
        new = [text for text in dict.fromkeys([*left, *right]) if text not in known]
        known.update(zip(new, embedder.documents([normalise(text) for text in new]), strict=True))
        return np.stack([known[text] for text in left]) @ np.stack([known[text] for text in right]).T

    return similarity


def _first_title(library: Any, question: str) -> str:
    hits = library.search(question, limit=1).hits
    return hits[0].passage.title if hits else ""


def golden_questions(cards: Mapping[str, Any], spoken: Collection[Language]) -> list[str]:
    """A message that each card names as its own, in the languages of the document that is checked."""
    return [card.situations.texts(language)[0].text for card in cards.values() for language in card.languages if language in spoken]
