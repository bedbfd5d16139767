"""How two statements relate: do they say the same, name other numbers, or say the opposite?

Readable signs of a pair are weighed with weights learned from our own pairs (`make clash-fit`).
"""

from __future__ import annotations

import json
import re
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np

from knowledge import claims
from knowledge.keywords import normalise, stem
from knowledge.quantities import amounts

Kind = Literal["duplicate", "number", "polarity", "none"]
KINDS: tuple[Kind, ...] = ("none", "duplicate", "number", "polarity")
FITTED = Path(__file__).parent / "content" / "ingest" / "clashes.json"

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


_EXCEPTION = re.compile(r"\b(?:except(?:ion)?|unless|otherwise|apart from|instead|also|already|only|even)\b|例外|除非|除了|另|改|还(?:须|要)|也|仅|只")
_WITHOUT_EXCEPTION = re.compile(r"\b(?:no|never|nobody|none|any|all|whether|off limits|always|every|must|forfeited)\b|一律|任何|都|均|概|必须|务必|只能|严禁|不得|绝")
_PERMISSION = re.compile(r"\b(?:can|may|allowed|free to|possible|welcome|available)\b|可以?|允许|能|尽管|支持")
_DULL = frozenset("的了和是在也就都要不得可以能")


def signs(a: str, b: str, cosine: float) -> dict[str, float]:
    """What two statements have in common and what tells them apart. `cosine` is that of their sentence vectors."""
    shared, dice = _shared(_words(a), _words(b))
    found = {
        "cosine": cosine, "close": max(0.0, cosine - 0.5), "far": max(0.0, 0.5 - cosine), "shared words": shared, "dice": dice,
        "shared characters": _shared(_characters(a), _characters(b))[0], "length": abs(len(a) - len(b)) / max(len(a), len(b)),
        "other subject": float(_other_subject(a, b)),
    }  # fmt: skip
    return found | _number_signs(a, b, cosine) | _polarity_signs(a, b, cosine)


def _number_signs(a: str, b: str, cosine: float) -> dict[str, float]:
    mine, yours = amounts(a), amounts(b)
    units = {item.unit for item in mine} & {item.unit for item in yours}
    clashing = _clashing_units(a, b)
    pairs = [(i.context, j.context) for i in mine for j in yours if i.unit == j.unit and i.unit in clashing]
    agree = bool(units - clashing)
    return {
        "no common unit": float(bool(mine and yours) and not units), "same amounts": float(agree and not clashing),
        "other amounts": float(bool(clashing)), "one amount each": float(bool(clashing) and len(mine) == len(yours) == 1),
        "amount on one side": float(bool(mine) != bool(yours)), "amounts' context": max((_shared(x, y)[0] for x, y in pairs), default=0.0),
        "some agree": float(agree and bool(clashing)), "same amounts, near": cosine * (agree and not clashing), "other amounts, near": cosine * bool(clashing),
    }  # fmt: skip


def _clashing_units(a: str, b: str) -> set[str]:
    """Units in which both statements name amounts, none of them in common."""
    left, right = ({item.unit: {i.value for i in found if i.unit == item.unit} for item in found} for found in (amounts(a), amounts(b)))
    return {unit for unit in left.keys() & right.keys() if not left[unit] & right[unit]}


def clashing_amounts(a: str, b: str) -> tuple[str, str]:
    """The two amounts, as they are written, that speak of the same thing with other numbers; empty when there are none."""
    units = _clashing_units(a, b)
    pairs = [(_shared(i.context, j.context)[0], i.written, j.written) for i in amounts(a) for j in amounts(b) if i.unit == j.unit and i.unit in units]
    return max(pairs)[1:] if pairs else ("", "")


def _polarity_signs(a: str, b: str, cosine: float) -> dict[str, float]:
    opposites, negations = _turns(a, b)
    left, right = claims.negations(a), claims.negations(b)
    odd, turned = (opposites + negations) % 2, (left + right) % 2
    may, might = bool(_PERMISSION.search(a.lower())), bool(_PERMISSION.search(b.lower()))
    both = f"{a}\n{b}".lower()
    return {
        "turned by words": odd, "negation on one side": turned, "turned twice": odd * turned, "opposite words": float(opposites > 0 or claims.contradicts(a, b)),
        "turned, near": cosine * max(odd, turned), "negation on one side, near": cosine * turned, "order swapped": float(_swapped_order(a, b)),
        "both negate": float(left > 0 and right > 0), "any negation": float(left + right > 0), "may and may not": float((may and right > 0) or (might and left > 0)),
        "permission on one side": float(may != might), "without exception": min(len(_WITHOUT_EXCEPTION.findall(both)), 3), "exception": min(len(_EXCEPTION.findall(both)), 3),
    }  # fmt: skip


def _words(text: str) -> frozenset[str]:
    return frozenset(word for word in claims.grams(text) if not any(char.isdigit() for char in word))


def _characters(text: str) -> frozenset[str]:
    text = normalise(text)
    han = frozenset(char for char in text if "\u3400" <= char <= "\u9fff" and char not in _DULL)
    return han or frozenset(re.findall(r"[a-z]{4}", text))


def _shared(left: frozenset[str], right: frozenset[str]) -> tuple[float, float]:
    """(share of the shorter side, Dice), 0–1."""
    common = len(left & right)
    return common / max(1, min(len(left), len(right))), 2 * common / max(1, len(left) + len(right))


def _overlap(a: str, b: str) -> float:
    return _shared(_words(a), _words(b))[1]


@cache
def _model() -> dict[str, Any]:
    fitted = json.loads(FITTED.read_text("utf-8"))
    return {"names": fitted["names"], "accept": fitted["accept"]} | {key: np.array(fitted[key]) for key in ("mean", "scale", "weights", "bias")}


def beliefs(a: str, b: str, cosine: float) -> dict[Kind, float]:
    """How probable each kind of relation is; sums to 1."""
    model, found = _model(), signs(a, b, cosine)
    scores = model["weights"] @ ((np.array([found[name] for name in model["names"]]) - model["mean"]) / model["scale"]) + model["bias"]
    odds = np.exp(scores - scores.max())
    return dict(zip(KINDS, (odds / odds.sum()).tolist(), strict=True))


def weighed(a: str, b: str, cosine: float) -> tuple[Kind, float]:
    """The likeliest relation beside "none" and its probability; "none" when it stays under the learned floor."""
    if normalise(a) == normalise(b):
        return "duplicate", 1.0
    found = beliefs(a, b, cosine)
    kind = max(KINDS[1:], key=found.__getitem__)
    return (kind, found[kind]) if found[kind] >= _model()["accept"] else ("none", found["none"])


def relation(a: str, b: str, cosine: float) -> Kind:
    """How two statements in one language relate. `cosine` is that of their sentence vectors."""
    return weighed(a, b, cosine)[0]
