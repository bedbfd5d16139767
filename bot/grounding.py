"""Is what a model wrote really in the playbook? Source ids, quotes, numbers, negations, limits, language, leaks.

Pure: what goes in is the model's items and the numbered sources they had to rest on; what comes out are pieces that
may be shown, and the reasons for what was dropped.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from bot.turns import Citation, Language
from knowledge import claims
from knowledge.passages import language_of

Role = Literal["reading", "ask", "step", "say", "caution"]
ROLES: tuple[Role, ...] = ("reading", "ask", "step", "say", "caution")
MOST: Mapping[Role, int] = {"reading": 1, "ask": 2, "step": 3, "say": 1, "caution": 1}
LONGEST: Mapping[Language, int] = {"zh": 90, "en": 160}  # characters of one item
SUPPORT = 0.60  # cosine to a cited source from which a sentence counts as resting on it
TWIN = 0.72  # cosine from which two sentences speak of the same thing, so that their negations can be compared
STRAY = 0.45  # cosine below which a clause without a word of the sources comes from somewhere else
RELEVANT = 0.45  # cosine to the situation below which general experience is not worth showing

Similarity = Callable[[Sequence[str], Sequence[str]], Any]


@dataclass(frozen=True, slots=True)
class Source:
    """A numbered item that the model may use: the playbook's words, verbatim, with their place.

    `role`: what it may become ("cause" and "passage" are facts to rest on; "limit" must not be crossed).
    """

    id: str
    text: str
    role: Literal["cause", "ask", "step", "say", "caution", "limit", "passage"]
    citation: Citation
    part: str = ""


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that the model put forward: its words, or only the id of a source (`text` empty)."""

    role: Role
    text: str = ""
    ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Piece:
    """An item that may be shown. `verbatim`: it is a source's own words. Unsupported = general experience, marked."""

    role: Role
    text: str
    sources: tuple[Source, ...] = ()
    verbatim: bool = False
    supported: bool = True


@dataclass
class Verdict:
    """What passed, and why the rest did not. `refused`: the whole draft must not be used."""

    pieces: list[Piece] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    refused: bool = False

    def own_words(self) -> list[Piece]:
        return [piece for piece in self.pieces if not piece.verbatim]


@dataclass(frozen=True)
class Ground:
    """What a draft is held against: the sources, the rep's words, the prompt, the language.

    `general`: may one sentence of general experience be shown, marked? (Of a small model it is not worth it.)
    """

    sources: Sequence[Source]
    message: str
    rules: str
    language: Language
    similarity: Similarity
    general: bool = False

    def source(self, source_id: str) -> Source | None:
        return next((item for item in self.sources if item.id == source_id.strip().strip("[]").upper()), None)


def verify(items: Sequence[Item], ground: Ground) -> Verdict:
    """Each item in turn; at most one piece of general experience is kept."""
    verdict = Verdict()
    for role in ROLES:
        for item in [item for item in items if item.role == role][: MOST[role] + 1]:
            _judge(item, ground, verdict)
    if verdict.refused:
        verdict.pieces.clear()
    verdict.pieces = _trimmed(verdict.pieces)
    return verdict


def _trimmed(pieces: Sequence[Piece]) -> list[Piece]:
    kept: list[Piece] = []
    for piece in pieces:
        double = any(piece.text == other.text for other in kept)
        full = sum(other.role == piece.role for other in kept) >= MOST[piece.role]
        general = not piece.supported and any(not other.supported for other in kept)
        if not (double or full or general):
            kept.append(piece)
    return kept


def _judge(item: Item, ground: Ground, verdict: Verdict) -> None:
    cited = [source for source in map(ground.source, item.ids) if source]
    unknown = [name for name in item.ids if ground.source(name) is None]
    if unknown:
        verdict.problems.append(f"{item.role}: there is no {', '.join(unknown)[:40]}")
    if not item.text:
        _pick(item, cited, verdict)
        return
    text = unquote(clean(item.text), [*(s.text for s in ground.sources), ground.message])
    if fault := unfit(text, ground):
        verdict.problems.append(f"{item.role}: {fault}")
        return
    if own := _whole_source(text, ground.sources):
        _pick(item, [own], verdict)
        return
    _judge_words(Item(item.role, text, item.ids), cited, ground, verdict)


def _pick(item: Item, cited: Sequence[Source], verdict: Verdict) -> None:
    """A source shown in its own words, in the part of the answer that it was written for."""
    for source in cited:
        if source.role == item.role or (item.role == "reading" and source.role == "cause"):
            verdict.pieces.append(Piece(item.role, source.text, (source,), verbatim=True))
        else:
            verdict.problems.append(f"{item.role}: {source.id} is no {item.role}")


def _judge_words(item: Item, cited: Sequence[Source], ground: Ground, verdict: Verdict) -> None:
    """The model's own sentence: numbers, red lines, negations, then support."""
    everything = [source.text for source in cited]
    if strange := claims.numbers(item.text) - claims.numbers("\n".join([*everything, ground.message])):
        verdict.problems.append(f"{item.role}: the numbers {sorted(strange)} are not in the sources")
        return
    if why := _crosses(item, ground):
        verdict.refused |= item.role != "reading"  # a reading tells what is the matter, it advises nothing: it is just dropped
        verdict.problems.append(f"{item.role}: {why}")
        return
    if item.role == "caution" and claims.is_positive(item.text):
        verdict.problems.append("caution: it recommends what it should warn of")
        return
    if echoes(item.text, ground.message):
        verdict.problems.append(f"{item.role}: only repeats the message")
        return
    if stray := _stray_sentence(item.text, cited, ground):
        verdict.problems.append(f"{item.role}: {stray[:40]!r} is not in the sources it names")
        return
    best = _closest(item.text, cited, ground)
    if best and best[1] >= TWIN and disagrees(item.text, best[0].text):
        verdict.problems.append(f"{item.role}: says the contrary of {best[0].id}")
        return
    floor = SUPPORT if item.role != "reading" else SUPPORT - 0.1  # a reading speaks of the situation as well
    if best and best[1] >= floor:
        verdict.pieces.append(Piece(item.role, item.text, tuple(cited)))
    elif ground.general and item.role in ("ask", "step", "say") and _relevant(item.text, ground):
        verdict.problems.append(f"{item.role}: not in the sources it names")
        verdict.pieces.append(Piece(item.role, item.text, supported=False))
    else:
        verdict.problems.append(f"{item.role}: not in the sources it names")


def _closest(text: str, cited: Sequence[Source], ground: Ground) -> tuple[Source, float] | None:
    if not cited:
        return None
    scores = ground.similarity([text], [source.text for source in cited])[0]
    best = max(range(len(cited)), key=lambda i: float(scores[i]))
    return cited[best], float(scores[best])


def _stray_sentence(text: str, cited: Sequence[Source], ground: Ground) -> str | None:
    """In an item of several sentences or clauses, one that rests neither on a cited source nor on what the rep said."""
    sentences, clauses = claims.sentences(text), [clause.text for clause in claims.clauses(text)]
    if len(clauses) < 2 or not cited:
        return None
    rests = [part for source in cited for part in claims.sentences(source.text)] + list(claims.sentences(ground.message[:600]))
    rests = [*rests, *(clause.text for source in cited for clause in claims.clauses(source.text))]
    known = claims.grams("\n".join(rests))
    parts = [(said, SUPPORT - 0.1) for said in sentences if len(sentences) > 1]
    parts += [(said, STRAY) for said in clauses if len(said) > 3 and not claims.grams(said) & known]
    scores = ground.similarity([said for said, _ in parts], rests) if parts else []
    return next((said for (said, floor), row in zip(parts, scores, strict=True) if float(max(row)) < floor), None)


def _relevant(text: str, ground: Ground) -> bool:
    return float(ground.similarity([text], [ground.message[:400]])[0][0]) >= RELEVANT


def echoes(text: str, message: str) -> bool:
    """Are nearly all of its pieces just the rep's own words?"""
    pieces = claims.grams(text)
    return bool(pieces) and len(pieces & claims.grams(message)) > 0.8 * len(pieces)


def disagrees(text: str, source: str) -> bool:
    """Two sentences about the same thing: is one negated and the other not, or do they use opposite words?"""
    return claims.is_positive(text) != claims.is_positive(source) or claims.contradicts(text, source)


# what must never be advised, in words; a negation in the same sentence turns it into a warning
RED_LINES = re.compile(
    r"回扣|返点给|好处费|红包|购物卡|送礼|送点|打点一下|意思意思|陪标|围标|串标|标底|拆单|拆成几单|倒签|虚开|私下(?:见|约|找)评(?:委|审)|买通|贿赂|"
    r"\b(?:kickback|brib\w+|gift card|under the table|cover bid|bid.rigging|backdat\w+|split the order|pay (?:him|her|them) off|sealed bid price|finder'?s fee)\b",
    re.IGNORECASE,
)


def _crosses(item: Item, ground: Ground) -> str | None:
    """Does it advise what a limit or a red line forbids, or what a card warns against?"""
    for sentence in claims.sentences(item.text):
        if RED_LINES.search(sentence) and claims.is_positive(sentence):
            return "crosses a red line"
    if item.role == "caution" or not claims.is_positive(item.text):
        return None
    warnings = [source for source in ground.sources if source.role in ("caution", "limit")]
    if not warnings:
        return None
    scores = ground.similarity([item.text], [claims.affirmed(source.text) for source in warnings])[0]
    near = [source.id for source, score in zip(warnings, scores, strict=True) if float(score) >= TWIN]
    return f"advises what {near[0]} warns against" if near else None


def clean(text: str) -> str:
    """Without markup, list marks and line breaks."""
    text = re.sub(r"<[^<>]{0,200}>|[*_`#]{1,3}(?=\S)|(?<=\S)[*_`]{1,3}", "", text)
    text = re.sub(r"\s+", " ", text).strip()
    return re.sub(r"^(?:[-•·]|\d+[.、)]|S\d+[:：.]?)\s*", "", re.sub(r"[\[(（]\s*S\d+(?:\s*[,，、]\s*S\d+)*\s*[\])）]", "", text)).strip()


_QUOTED = re.compile(r"[“\"「『]([^”\"」』]{4,})[”\"」』]")


def unquote(text: str, known: Sequence[str]) -> str:
    """Quotation marks stay only around words that really stand in a source or in the message."""
    return _QUOTED.sub(lambda m: m.group() if any(m.group(1) in item for item in known) else m.group(1), text)


LEAKS = {
    "a link": re.compile(r"(?:https?:|www\.|t\.me/|\b[\w-]+\.(?:com|cn|net|org|io|ru|xyz|top|link)\b)", re.IGNORECASE),
    "an address or number of a person": re.compile(r"[\w.+-]+@[\w-]+\.\w+|(?<!\d)1[3-9]\d{9}(?!\d)|(?<!\d)\d{17}[\dXx](?!\d)|\+\d[\d ()-]{7,}|(?<!\d)\d{6,}(?!\d)|@\w{4,}"),
    "a secret": re.compile(r"\b(?:sk|ghp|xox[abp]|AKIA|eyJ)[-_A-Za-z0-9]{8,}|\b\d{8,10}:[\w-]{30,}|(?:password|passwd|口令|密码)\s*[:：=]", re.IGNORECASE),
    "markup": re.compile(r"[<>{}\[\]|\\]|```|&#?\w+;"),
}  # fmt: skip


def unfit(text: str, ground: Ground) -> str | None:
    """Why a text must not be shown whatever it says: leaks, another language, odd words, parts of the prompt."""
    if not text or len(text) > LONGEST[ground.language]:
        return "empty" if not text else "too long"
    for what, pattern in LEAKS.items():
        if pattern.search(text):
            return f"contains {what}"
    if language_of(text) != ground.language or not _written_in(text, ground.language):
        return f"not in {ground.language}"
    if repeats(text, ground.rules, 14 if ground.language == "zh" else 40):
        return "repeats the prompt"
    if odd := odd_words(text, ground):
        return f"the odd word {odd!r}"
    return None


def _written_in(text: str, language: Language) -> bool:
    if any("\u0400" <= c <= "\u04ff" or "\u3040" <= c <= "\u30ff" or "\u0600" <= c <= "\u06ff" or "\uac00" <= c <= "\ud7af" for c in text):
        return False
    return language == "zh" or not any("\u3400" <= char <= "\u9fff" for char in text)


def repeats(text: str, rules: str, run: int) -> bool:
    """Does the text share a run of characters with the rules of the prompt?"""
    return any(text[i : i + run] in rules for i in range(len(text) - run + 1))


def odd_words(text: str, ground: Ground) -> str | None:
    """A word that looks planted: letters with digits or underscores, shouting, or (in Chinese) Latin from nowhere."""
    known = " ".join(source.text for source in ground.sources).lower()
    words: list[str] = re.findall(r"[A-Za-z][\w-]{2,}", text)
    for word in words:
        parts = word.lower().split("-")
        compound = len(parts) > 1 and not any(part in known for part in parts if len(part) > 2)
        mixed = compound or re.search(r"\d|_", word) or (word.isupper() and len(word) > 4)
        if (mixed or ground.language == "zh") and word.lower() not in known:
            return word
    return None


def _whole_source(text: str, sources: Sequence[Source]) -> Source | None:
    """The source whose words these are, apart from the punctuation at the end."""
    bare = _bare(text)
    return next((source for source in sources if _bare(source.text) == bare), None)


def _bare(text: str) -> str:
    return re.sub(r"[\s。.!！?？,，;；:：“”\"'’]+", "", text).lower()
