"""What a text claims: its clauses with their polarity, its numbers, its words, and how far another text agrees.

Used to check questions against the passage they rest on. Both languages; rules only, no model.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache

from knowledge.keywords import normalise, stem

CACHED = 20_000  # texts whose reading is kept: a passage is read once for all its questions
_SENTENCE = re.compile(r"(?<=[。！？!?;；\n])\s*|(?<=[.])\s+(?=[A-Z\"“0-9])")
_CLAUSE = re.compile(r"[，,：:—–]|\s+(?=(?:but|and|while|whereas|then|because|since|so that)\s)|(?=但是|但|而且|而不|然后|再(?=[\u4e00-\u9fff])|因为|否则|只有)")
_WORD = re.compile(r"[a-z]+(?:'[a-z]+)?|\d+(?:[.,]\d+)*%?|[\u3400-\u9fff]+")

# A cue turns the meaning of what follows it in its clause.
_NEGATION = re.compile(
    r"\b(?:not|never|no longer|n't|cannot|can't|don't|doesn't|didn't|won't|mustn't|shouldn't|isn't|aren't|avoid(?:s|ed|ing)?|without|"
    r"rather than|instead of|refuse[sd]?|forbid(?:s|den)?|prohibit(?:s|ed)?|neither|nor|no|nobody|none|nothing|stop|only after|free of|fails? to|unless|exclud\w+|left out|leave out|useless|banned|ruled out)\b|"
    r"不要|不得|不能|不应当|不应该|不应|不该|不可以|不可|不宜|不许|不允许|不准|不必|不需要|不需|不用|不再|不会|不是|不属于|不算|不参与|不只|不|切勿|切忌|避免|禁止|严禁|勿|别(?!的|人|处|家|名)|没有|没|未经|未|无需|无须|无法|并非|而非|拒绝|停止|谢绝|杜绝"
)
# 值不值 is a question; "no more than", 不得超过 set a limit: neither is a negation.
_EITHER = re.compile(
    r"([\u4e00-\u9fff])不\1|是否|能否|不得?(?:超过|少于|低于|高于|晚于|早于|多于|大于|小于)|不仅|不但|不管|不论|不同|不足|不少|不断|不妨|没完|不[\u4e00-\u9fff]{1,3}[就则便]|"
    r"\bwhether or not\b|\b(?:no|not) (?:more|less|fewer|later|earlier|sooner|only|exceed|just|to exceed)\b|\bno one else\b|\bdon't forget\b|\bnot? exceed(?:ing)?\b"
)
_TRAILING = re.compile(r"\b(?:is|are|be|was|were|gets?)\s+(?:strictly\s+|always\s+|also\s+)?(?:excluded|left out|forbidden|prohibited|not allowed|useless|banned|a mistake|wrong|ruled out)\b|(?:不允许|禁止|不可以|不行|不可取|是错误的|是错的|都不允许|不算数|无效|不对)\s*$")
_MYTH = re.compile(r"误区|误解|错误的?认识|错误的?做法|常见错误|谣言|迷思|\b(?:myth|misconception|mistaken(?:ly)?|wrongly|common mistake|false belief|fallacy)\b")
_DISCOURAGED = re.compile(r"\b(?:complaining|harmful|dangerous|risky|bad idea|poor practice)\b|有害|危险|适得其反|得不偿失")

_ZH_DIGITS = {"零": 0, "〇": 0, "一": 1, "二": 2, "两": 2, "三": 3, "四": 4, "五": 5, "六": 6, "七": 7, "八": 8, "九": 9}
_EN_NUMBERS = {
    word: value
    for value, word in enumerate(
        ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty"]
    )
} | {"thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90, "hundred": 100, "half": 0.5, "dozen": 12}  # fmt: skip
_ZH_NUMBER = re.compile(r"(?:百分之)?[零〇一二两三四五六七八九十百千万亿]+(?:点[零一二三四五六七八九]+)?(?:成|折)?(?=[^\u3400-\u9fff]|[个天日周月年小分秒元万亿名人家条次场件成倍%级步点折度岁米公毫吨台套份页层轮号位句遍种]|$)")
_UNIT_DAYS = {"day": 1, "week": 7, "month": 30.4167, "year": 365, "hour": 1 / 24, "minute": 1 / 1440, "天": 1, "日": 1, "周": 7, "星期": 7, "月": 30.4167, "年": 365, "小时": 1 / 24, "分钟": 1 / 1440, "季度": 91.25, "quarter": 91.25, "fortnight": 14}  # fmt: skip
_SPAN = re.compile(r"(\d+(?:\.\d+)?)[\s-]*(?:个|business |working |calendar |工作)*(day|week|month|year|hour|minute|quarter|fortnight|天|日|周|星期|月|年|小时|分钟|季度)")
_A_SPAN = re.compile(r"\b(?:a|an|one)\s+(?=(?:day|week|month|year|hour|minute|quarter|fortnight)\b)")

OPPOSITES = (
    ("before", "after"), ("above", "below"), ("over", "under"), ("more", "less"), ("more", "fewer"), ("higher", "lower"), ("high", "low"),
    ("raise", "lower"), ("raise", "cut"), ("raise", "reduce"), ("increase", "decrease"), ("increase", "reduce"), ("increase", "cut"), ("always", "never"), ("first", "last"),
    ("early", "late"), ("earlier", "later"), ("accept", "refuse"), ("accept", "decline"), ("allow", "forbid"), ("allowed", "forbidden"),
    ("include", "exclude"), ("covered", "excluded"), ("useful", "useless"), ("public", "private"), ("internal", "external"), ("same", "following"), ("same", "different"),
    ("agree", "disagree"), ("open", "close"), ("fast", "slow"), ("strong", "weak"), ("large", "small"), ("big", "small"), ("short", "long"),
    ("buy", "sell"), ("win", "lose"), ("gain", "lose"), ("start", "end"), ("start", "stop"), ("success", "failure"), ("safe", "dangerous"), ("verbal", "written"), ("verbally", "writing"), ("alone", "together"),
    ("optional", "required"), ("optional", "mandatory"), ("mandatory", "voluntary"), ("faster", "slower"), ("shorter", "longer"), ("larger", "smaller"), ("greater", "smaller"), ("best", "worst"), ("better", "worse"), ("improve", "worsen"), ("stronger", "weaker"), ("only", "every"), ("only", "all"), ("everybody", "nobody"), ("all", "none"), ("rise", "fall"), ("profit", "loss"), ("direct", "indirect"), ("positive", "negative"), ("easier", "harder"), ("cheaper", "dearer"), ("sooner", "later"), ("inside", "outside"), ("earn", "lose"), ("remove", "add"), ("hide", "disclose"), ("hide", "show"), ("ignore", "ask"), ("ignore", "consider"), ("immediately", "later"), ("trust", "distrust"),
    ("之前", "之后"), ("以前", "以后"), ("前", "后"), ("先", "后"), ("高", "低"), ("多", "少"), ("大", "小"), ("增", "减"), ("升", "降"), ("提高", "降低"), ("上升", "下降"), ("增加", "减少"), ("扩大", "缩小"),
    ("提前", "推迟"), ("以上", "以下"), ("超过", "低于"), ("强", "弱"), ("快", "慢"), ("长", "短"), ("早", "晚"), ("公开", "私下"), ("公开", "保密"), ("口头", "书面"), ("允许", "禁止"), ("接受", "拒绝"), ("内部", "外部"), ("好", "坏"), ("有利", "不利"), ("必须", "可选"), ("必须", "自愿"),
    ("买", "卖"), ("盈利", "亏损"), ("赚", "亏"), ("开始", "结束"), ("成功", "失败"), ("安全", "危险"), ("全部", "部分"), ("越大", "越小"), ("越高", "越低"), ("越多", "越少"), ("同意", "反对"), ("支持", "反对"), ("主动", "被动"), ("单独", "一起"), ("需要", "无需"), ("容易", "困难"), ("贵", "便宜"), ("立即", "稍后"), ("冷藏", "加热"), ("变大", "变小"), ("左", "右"), ("信任", "怀疑"), ("集中", "分散"), ("忽略", "重视"), ("隐瞒", "公开"), ("隐瞒", "说明"),
)  # fmt: skip


@cache
def opposites() -> dict[str, frozenset[str]]:
    """Word → the words that say the contrary (English words as stems)."""
    table: dict[str, set[str]] = {}
    for left, right in OPPOSITES:
        for one, other in ((left, right), (right, left)):
            table.setdefault(root(one), set()).add(root(other))
    return {word: frozenset(found) for word, found in table.items()}


@dataclass(frozen=True, slots=True)
class Clause:
    """A piece of a sentence with one polarity: `positive` is False under "not", "never", "avoid", in a misconception …"""

    text: str
    positive: bool = True
    sentence: int = 0


@lru_cache(CACHED)
def sentences(text: str) -> tuple[str, ...]:
    return tuple(piece.strip() for piece in _SENTENCE.split(text) if piece and piece.strip())


@lru_cache(CACHED)
def clauses(text: str) -> tuple[Clause, ...]:
    """Clauses in order; a clause is cut at its negation, so that only what follows the cue is turned."""
    return tuple(clause for number, sentence in enumerate(sentences(text)) for clause in _clauses_of(sentence, number))


def _hide(text: str) -> str:
    return _EITHER.sub(lambda match: "＿" * len(match.group()), text)


def _clauses_of(sentence: str, number: int) -> Iterator[Clause]:
    believed = not _MYTH.search(sentence.lower())
    for piece in filter(None, map(str.strip, _CLAUSE.split(sentence))):
        lowered = piece.lower().rstrip(" .。;；!！")
        if _TRAILING.search(lowered):
            yield Clause(piece, not believed, number)
            continue
        cue = _NEGATION.search(_hide(lowered))
        if cue is None:
            yield Clause(piece, believed, number)
            continue
        before, after = piece[: cue.start()].strip(), piece[cue.start() :].strip()
        if before:
            yield Clause(before, believed, number)
        double = len(_NEGATION.findall(_hide(lowered))) % 2 == 0
        yield Clause(after, believed if double else not believed, number)


@lru_cache(CACHED)
def negations(text: str) -> int:
    """How many cues of negation a text has."""
    return len(_NEGATION.findall(_EITHER.sub("", text.lower())))


def affirmed(text: str) -> str:
    """A text without its cues of negation: what is spoken of, for or against."""
    return _NEGATION.sub(" ", text.lower())


def is_positive(text: str) -> bool:
    """Does a short text (an option) affirm, as a whole?"""
    return negations(text) % 2 == 0


def root(word: str) -> str:
    """The form under which words are compared: English stems, Chinese as it is."""
    short = stem(word)
    return short[:-1] if len(short) > 4 and short.endswith("e") else short


_FILLER = frozenset(
    ["a", "an", "the", "and", "or", "but", "of", "to", "in", "on", "at", "for", "with", "by", "from", "as", "is", "are", "was", "were", "be", "been", "being", "it", "its", "this", "that", "these", "those", "i", "we", "you", "he", "she", "they", "my", "our", "your", "his", "her", "their", "me", "us", "him", "them", "do", "does", "did", "have", "has", "had", "will", "would", "can", "could", "should", "shall", "may", "might", "must", "just", "so", "if", "then", "than", "not", "no", "n't", "what", "how", "when", "who", "whom", "whose", "which", "where", "why", "there", "here", "about", "into", "out", "up", "also", "very", "any", "some", "each", "such", "own", "one", "的", "了", "和", "是", "我", "我们", "你", "您", "他", "她", "它", "他们", "在", "也", "就", "都", "说", "有", "这", "那", "吗", "呢", "啊", "吧", "还", "又", "要", "把", "被", "给", "跟", "与", "及", "或", "但", "但是", "很", "到", "去", "来", "一个", "这个", "那个", "应", "应该", "应当", "可以", "可", "能", "会", "须", "需", "需要", "由", "为", "让", "向", "对", "从", "于", "之", "其", "等", "做", "怎么", "什么", "哪", "哪个", "哪些", "哪种", "谁", "多少", "多久", "时", "时候", "后", "前", "里", "上", "下", "中", "个", "种", "项", "一种", "一项"]
)


@lru_cache(CACHED)
def words(text: str) -> tuple[str, ...]:
    """Content words: English stems, Chinese words (from the segmenter) without filler, numbers as digits."""
    import rjieba

    found: list[str] = []
    for piece in _WORD.findall(spelled(text)):
        if "\u3400" <= piece[0] <= "\u9fff":
            found += [word for word in rjieba.cut(piece) if word not in _FILLER]
        elif piece not in _FILLER:
            found.append(root(piece))
    return tuple(found)


@lru_cache(CACHED)
def terms(text: str) -> tuple[str, ...]:
    """Content words as they are written (for their meaning), each once."""
    import rjieba

    found: dict[str, None] = {}
    for piece in _WORD.findall(spelled(text)):
        pieces = rjieba.cut(piece) if "\u3400" <= piece[0] <= "\u9fff" else [piece]
        found |= dict.fromkeys(word for word in pieces if word not in _FILLER)
    return tuple(found)


@lru_cache(CACHED)
def grams(text: str) -> frozenset[str]:
    """Comparable pieces: content words, and for Chinese their characters' bigrams too (words are cut unevenly)."""
    found = set(words(text)) | {f"#{number}" for number in numbers(text)}
    for piece in re.findall(r"[\u3400-\u9fff]{2,}", spelled(text)):
        found |= {piece[i : i + 2] for i in range(len(piece) - 1) if not set(piece[i : i + 2]) & _DULL}
    return frozenset(found)


_DULL = frozenset("的了和是在也就都这那吗呢啊吧还又把被给跟与及或但很到去来个")


@lru_cache(CACHED)
def spelled(text: str, *, articles: bool = True) -> str:
    """Normalised text with numbers as digits: 三十天 → 30天, "two weeks" → "2 weeks", 百分之十五 → 15%.

    With `articles`, "a week" counts as "1 week".
    """
    text = _ZH_NUMBER.sub(lambda match: _zh_number(match.group()), normalise(text))
    text = _A_SPAN.sub("1 ", text) if articles else text
    text = re.sub(r"\b[a-z]+\b", lambda match: _digits(match.group()), text)
    return re.sub(r"(\d)\s*(?:%|percent|per cent|个百分点)", r"\1%", text)


def _digits(word: str) -> str:
    return f"{_EN_NUMBERS[word]:g}" if word in _EN_NUMBERS and word != "one" else word


def _zh_number(text: str) -> str:
    percent, body = text.startswith("百分之"), text.removeprefix("百分之")
    tenths = body.endswith(("成", "折")) and len(body) > 1
    body, _, decimals = (body[:-1] if tenths else body).partition("点")
    total = section = digit = 0
    for char in body:
        if char in _ZH_DIGITS:
            digit = _ZH_DIGITS[char]
        elif char in "十百千":
            section += (digit or 1) * {"十": 10, "百": 100, "千": 1000}[char]
            digit = 0
        else:
            total = (total + section + (digit if digit or section or total else 1)) * (10_000 if char == "万" else 100_000_000)
            section = digit = 0
    value = total + section + digit + (float("0." + "".join(str(_ZH_DIGITS[c]) for c in decimals)) if decimals else 0)
    return f"{value * 10 if tenths else value:g}%" if percent or tenths else f"{value:g}"


@lru_cache(CACHED)
def numbers(text: str, *, articles: bool = True) -> frozenset[str]:
    """The quantities of a text, comparable across spellings; spans of time in one unit ("two years" = "24 months")."""
    text = spelled(text, articles=articles)
    found = set()
    for match in _SPAN.finditer(text):
        days = float(match.group(1)) * _UNIT_DAYS[match.group(2)]
        found.add(f"{round(days / 30.4167, 1):g}mo" if days >= 28.5 else f"{days:.4g}d")
    text = _SPAN.sub(" ", text)
    found |= {number.replace(",", "") for number in re.findall(r"\d+(?:[.,]\d+)*%?", text)}
    return frozenset(found)


@lru_cache(CACHED)
def contradicts(option: str, clause: str) -> bool:
    """Does the clause say, with an opposite word, the contrary of what the option says?"""
    said, heard, table = set(words(option)), set(words(clause)), opposites()
    for word in said - heard:
        if table.get(word, frozenset()) & (heard - said):
            return True
    zh = [pair for pair in OPPOSITES if len(pair[0]) > 1 and pair[0][0] >= "\u3400"]
    return any(
        (a in option and b in clause and b not in option and a not in clause) or (b in option and a in clause and a not in option and b not in clause)
        for a, b in zh
    )
