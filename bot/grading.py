"""How a talk is scored: yes/no checks, each with the rep's own words, then code turns checks into seven dimensions.

Nothing is scored that cannot be quoted. Text that speaks to the grader is taken out and flagged, pasted playbook text
counts as a lecture, and neither length nor flattery earns anything. A `Ruleset` has a version: a scorecard keeps the
version it was made with. Pure: an `Ear` (rules, examples, vectors) reads the lines, everything else is arithmetic.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from pydantic import TypeAdapter

from bot.moves import ASKS, Ear, Heard, sentences
from bot.turns import Language
from knowledge.keywords import normalise, tokens
from knowledge.passages import language_of
from knowledge.scenarios import load_moves

Dimension = Literal["open", "discovery", "stakeholder", "value", "tension", "advance", "integrity"]
DIMENSIONS: tuple[Dimension, ...] = ("open", "discovery", "stakeholder", "value", "tension", "advance", "integrity")


@dataclass(frozen=True, slots=True)
class Line:
    """One turn of a talk. `moves`: what the rep's line is known to do (a tapped sentence); None = to be heard."""

    i: int
    role: Literal["customer", "rep"]
    text: str
    moves: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Observation:
    """A check that was met: `quote` is a substring of rep turn `turn`."""

    check: str
    dimension: Dimension
    turn: int
    quote: str


@dataclass(frozen=True)
class Scorecard:
    """`total` 1–5 or None (not scored, with the reason in `why`). A dimension is None when it isn't evaluable."""

    ruleset: str
    total: float | None
    passed: bool = False
    dimensions: Mapping[str, float | None] = field(default_factory=dict)
    observations: tuple[Observation, ...] = ()
    missed: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    why: str = ""
    model: str | None = None
    practice: bool = False

    @property
    def scored(self) -> bool:
        return self.total is not None

    def met(self, check: str) -> Observation | None:
        return next((item for item in self.observations if item.check == check), None)


CARD: TypeAdapter[Scorecard] = TypeAdapter(Scorecard)

# check → its dimension. Those in `FAULTS` are faults: being observed costs.
CHECKS: dict[str, Dimension] = {
    "purpose": "open", "customer_terms": "open", "agenda": "open", "prepared": "open", "poor_start": "open",
    "two_questions": "discovery", "three_questions": "discovery", "impact": "discovery", "cause": "discovery",
    "follow_up": "discovery", "summary": "discovery",
    "who": "stakeholder", "path": "stakeholder", "learned": "stakeholder", "face": "stakeholder", "offence": "stakeholder",
    "benefit": "value", "proof": "value", "their_metric": "value", "limits": "value", "features": "value",
    "acknowledged": "tension", "cause_of_no": "tension", "lowered_risk": "tension", "warmer": "tension", "harm": "tension",
    "own_step": "advance", "step": "advance", "their_action": "advance", "dated": "advance", "accepted": "advance",
    "declined": "integrity", "honest_limit": "integrity", "improper": "integrity", "misled": "integrity", "overclaim": "integrity",
}  # fmt: skip
FAULTS = frozenset({"poor_start", "offence", "features", "harm", "improper", "misled", "overclaim"})


@dataclass(frozen=True)
class Ruleset:
    """Weights and limits, by version. Changing any number means a new version."""

    version: str = "2026-11"
    weights: Mapping[str, float] = field(default_factory=lambda: {"open": 10, "discovery": 20, "stakeholder": 20, "value": 15, "tension": 15, "advance": 20})
    gate: float = 2.0  # integrity at or below it caps the total at it
    pass_total: float = 3.5
    pass_integrity: float = 3.0
    pass_advance: float = 3.0
    button_cap: float = 4.0  # tapping sentences shows recognition, not production


RULES = Ruleset()
RULESETS: dict[str, Ruleset] = {RULES.version: RULES}

MIN_REP_TURNS = 2
PASTED = 0.4  # share of a line's n-grams that stand in the playbook
MONOLOGUE = {"zh": 160, "en": 520}  # characters from which a line is a monologue
MONOLOGUE_CREDITS = 2  # sentences of it that do something
MAX_CREDITS = 3  # useful moves that one line can earn


# reading the talk


@dataclass(frozen=True, slots=True)
class Spoken:
    """A rep turn as it is judged: cleaned text, sentences with their moves."""

    i: int
    text: str
    heard: tuple[Heard, ...]

    def doing(self, *moves: str) -> Heard | None:
        return next((item for item in self.heard if set(moves) & set(item.moves)), None)

    @property
    def moves(self) -> frozenset[str]:
        return frozenset(move for item in self.heard for move in item.moves)


@dataclass(frozen=True)
class Reading:
    """A talk, read: rep turns, and for each the customer's words before and reaction after it."""

    language: Language
    context: str
    rep: tuple[Spoken, ...]
    customer: Mapping[int, tuple[str, frozenset[str]]]  # turn → text, reactions
    order: tuple[int, ...]
    flags: tuple[str, ...] = ()

    def before(self, i: int) -> str:
        return next((self.customer[j][0] for j in reversed(self.order) if j < i and j in self.customer), "")

    def after(self, i: int) -> tuple[str, frozenset[str]]:
        """The customer's next words and what they do; empty if the rep spoke last."""
        following = [j for j in self.order if j > i]
        return self.customer.get(following[0], ("", frozenset())) if following else ("", frozenset())

    def last(self, i: int) -> tuple[str, frozenset[str]]:
        """The customer's words right before turn `i` and what they do."""
        return next((self.customer[j] for j in reversed(self.order) if j < i and j in self.customer), ("", frozenset()))

    def heard_before(self, i: int) -> str:
        return " ".join(self.customer[j][0] for j in self.order if j < i and j in self.customer)


_META = re.compile(r"\[[^\]]*\]|【[^】]*】|<[^>]{3,}>|\{[^}]*\}|```.*?```", re.S)
_TO_GRADER = re.compile(
    r"满分|打分|评分|给分|阅卷|考官|忽略.{0,8}(指令|规则|标准|以上)|系统(提示|消息|指令)|标记为(成功|通过)|判.{0,3}通过|rubric|full marks|grader|evaluator|scor(e|ing)\b|ignore .{0,20}(instruction|rule|rubric|previous)|system (prompt|message)|\bpassed\b|\bintegrity\b|mark (this|it|me) as|output|json",
    re.I,
)
_KINDLY = re.compile(r"手下留情|高抬贵手|打高一?点|宽松一?点|kind(ly)? (grade|grading|score)|(grade|score|mark|rate|judge) (me |this |us )?(kindly|gently|generously|leniently)|be (kind|gentle|generous|lenient)", re.I)


def cleaned(text: str, ear: Ear) -> tuple[str, str]:
    """The line without what speaks to the grader, and the flag that this earns ("" · "grader_talk" · "grader_manipulation")."""
    flag = ""
    for found in _META.findall(text):
        if _TO_GRADER.search(found) or _KINDLY.search(found):
            flag = _worse(flag, found)
    rest = _META.sub(" ", text)
    kept = []
    for item in ear.hear(rest):
        if "grader_talk" in item.moves or (_KINDLY.search(item.text) and _TO_GRADER.search(item.text)):
            flag = _worse(flag, item.text)
        else:
            kept.append(item.text)
    return " ".join(kept), flag


def _worse(flag: str, text: str) -> str:
    """A polite plea is only taken out; trying to steer the grader has consequences."""
    plea = _KINDLY.search(text) and not re.search(r"忽略|满分|通过|系统|ignore|full|pass|system|5", text, re.I)
    return flag or "grader_talk" if plea else "grader_manipulation"


def read_talk(lines: Sequence[Line], context: str, language: Language, ear: Ear, playbook: Collection[str] = ()) -> Reading:
    """Clean and hear every line. `playbook`: n-grams of the cards (see `shingles`), to recognise pasted text."""
    flags: list[str] = []
    rep: list[Spoken] = []
    said: set[str] = set()
    for line in lines:
        if line.role != "rep":
            continue
        text, flag = cleaned(line.text, ear)
        heard = ear.hear(text) if line.moves is None else (Heard(line.text, line.moves, True),)
        heard, more = _honest(text, heard, said, language, playbook)
        flags += [item for item in (flag, more) if item]
        rep.append(Spoken(line.i, line.text, heard))
    customer = {line.i: (line.text, ear.reacts(line.text)) for line in lines if line.role == "customer"}
    return Reading(language, context, tuple(rep), customer, tuple(line.i for line in lines), tuple(dict.fromkeys(flags)))


def _honest(text: str, heard: tuple[Heard, ...], said: set[str], language: Language, playbook: Collection[str]) -> tuple[tuple[Heard, ...], str]:
    """Repeated sentences do nothing, pasted ones lecture, a monologue earns no more than a plain line."""
    own = shingles(text)
    if playbook and len(own) > 12 and len(own & set(playbook)) / len(own) > PASTED:
        return tuple(replace(item, moves=("lecture",)) for item in heard[:1]), "pasted_playbook"
    if is_word_list(text):
        return tuple(replace(item, moves=()) for item in heard), "keyword_list"
    fresh = []
    for item in heard:
        mark = normalise(item.text)
        empty = (mark in said and len(mark) > 6) or is_enumeration(item.text)
        fresh.append(replace(item, moves=()) if empty else item)
        said.add(mark)
    if len(text) > MONOLOGUE[language]:
        return tuple(_first_sentences(fresh, MONOLOGUE_CREDITS)), "monologue"
    return tuple(_first_credits(fresh, MAX_CREDITS)), ""


_SMALL = frozenset(["a", "an", "the", "and", "or", "but", "of", "to", "in", "on", "at", "for", "with", "by", "from", "as", "is", "are", "was", "were", "be", "been", "it", "this", "that", "these", "those", "i", "we", "you", "he", "she", "they", "my", "our", "your", "his", "her", "their", "me", "us", "him", "them", "do", "does", "did", "have", "has", "had", "will", "would", "can", "could", "should", "just", "so", "if", "then", "than", "not", "no", "what", "how", "when", "who", "which", "why", "there", "here", "about"])


def is_enumeration(sentence: str) -> bool:
    """A row of nouns ("pain, impact, precedent, threshold …") is no question and no offer."""
    return sentence.count("、") >= 4 and not re.search(r"[?？]|吗|呢", sentence)


def is_word_list(text: str) -> bool:
    """Key words in a row are not speech: Chinese in many short pieces, English almost without small words."""
    plain = normalise(text)
    pieces = [piece for piece in re.split(r"[\s、,，/|;；。.]+", plain) if piece]
    if language_of(plain) == "zh":
        return len(pieces) >= 6 and sum(map(len, pieces)) / len(pieces) <= 4.5
    words = re.findall(r"[a-z']+", plain)
    return len(words) >= 10 and sum(word.split("'")[0] in _SMALL for word in words) / len(words) < 0.1


def _first_sentences(heard: Iterable[Heard], limit: int) -> Iterator[Heard]:
    """Of a monologue only the first sentences that do something count; faults count wherever they stand."""
    done = 0
    bad = load_moves().bad()
    for item in heard:
        done += bool(set(item.moves) - bad)
        yield item if done <= limit else replace(item, moves=tuple(move for move in item.moves if move in bad))


def _first_credits(heard: Iterable[Heard], limit: int) -> Iterator[Heard]:
    """Only the first `limit` questions of a line count, so that a recited list of questions is one line, not a talk."""
    asked = 0
    for item in heard:
        asked += bool(ASKS & set(item.moves))
        yield item if asked <= limit else replace(item, moves=tuple(move for move in item.moves if move not in ASKS))


def shingles(text: str, size: int = 8) -> frozenset[str]:
    """Overlapping pieces of a text, without spaces and punctuation: characters for Chinese, five words for English."""
    plain = normalise(text)
    if len(re.findall(r"[\u3400-\u9fff]", plain)) > len(plain) / 4:
        squeezed = re.sub(r"[\W_]+", "", plain)
        return frozenset(squeezed[i : i + size] for i in range(max(0, len(squeezed) - size + 1)))
    words = re.findall(r"[a-z0-9']+", plain)
    return frozenset(" ".join(words[i : i + 5]) for i in range(max(0, len(words) - 4)))


# the checks


def observe(talk: Reading) -> list[Observation]:
    """Every check that the talk meets, with the sentence that meets it."""
    found: list[Observation] = []
    for part in (_open, _discovery, _stakeholder, _value, _tension, _advance, _integrity):
        found += part(talk)
    return found


def _seen(check: str, turn: Spoken, heard: Heard) -> Observation:
    quote = heard.text if heard.text in turn.text else (sentences(turn.text) or [turn.text])[0]
    return Observation(check, CHECKS[check], turn.i, quote)


def _first(check: str, turns: Iterable[Spoken], *moves: str, unless: Callable[[Spoken, Heard], bool] | None = None) -> list[Observation]:
    for turn in turns:
        for item in turn.heard:
            if set(moves) & set(item.moves) and not (unless and unless(turn, item)):
                return [_seen(check, turn, item)]
    return []


_TIME = re.compile(r"分钟|半小时|半个小时|一刻钟|议程|先.{1,20}(再|然后|最后)|三件事|两件事|minutes|half an hour|agenda|first .{3,60}then|two things|three things", re.I)
_NUMBER = re.compile(r"\d|[一二两三四五六七八九十百千万]+(次|万|天|个|年|台|家|条|成|点|月|%)|percent|\b(two|three|four|five|six|ten|twelve|twenty)\b", re.I)


def _content(text: str) -> set[str]:
    """Words that carry meaning, for comparing two texts."""
    return {word for word in tokens(text) if len(word) > 1}


STARTS = frozenset({"open_purpose", "acknowledge", "apologise", "summarise", "decline_legit"}) | ASKS


def _open(talk: Reading) -> Iterator[Observation]:
    start = talk.rep[:2]
    purpose = _first("purpose", start, "open_purpose")
    yield from purpose
    known = _content(talk.context) | _content(talk.before(start[0].i) if start else "")
    for turn in start:
        useful = [item for item in turn.heard if STARTS & set(item.moves)]
        shared = [item for item in useful if len(_content(item.text) & known) >= 2]
        if shared:
            yield _seen("customer_terms", turn, shared[0])
            break
    for turn in start:
        if item := next((h for h in turn.heard if _TIME.search(h.text)), None):
            yield _seen("agenda", turn, item)
            break
    for turn in start[:1]:
        mine = [h for h in turn.heard if _NUMBER.search(h.text) and len(_content(h.text) & _content(talk.context)) >= 1]
        if mine and turn.moves & STARTS and not turn.moves & (BOASTS | {"pitch", "lecture"}):
            yield _seen("prepared", turn, mine[0])
    bad = ("pitch", "concede_price", "bypass", "challenge_authority", "pressure", "improper", "argue", "lecture", "smalltalk", "overclaim", "badmouth")
    if start and not purpose and not start[0].moves & STARTS:
        yield from _first("poor_start", start[:1], *bad)


def _questions(talk: Reading) -> list[tuple[Spoken, Heard]]:
    """Questions that the customer took up: a question met with annoyance or no answer isn't discovery."""
    found = []
    for turn in talk.rep:
        text, reaction = talk.after(turn.i)
        if not text or (reaction & {"annoyed", "leaves"} and not reaction & {"reveals", "accepts"}):
            continue
        found += [(turn, item) for item in turn.heard if ASKS & set(item.moves)]
    return found


def _discovery(talk: Reading) -> Iterator[Observation]:
    asked = _questions(talk)
    for count, check in ((2, "two_questions"), (3, "three_questions")):
        if len(asked) >= count:
            yield _seen(check, *asked[count - 1])
    for check, moves in (("impact", {"ask_impact"}), ("cause", {"ask_fear", "ask_problem", "ask_personal_win", "ask_criteria"})):
        if hit := next(((t, h) for t, h in asked if moves & set(h.moves)), None):
            yield _seen(check, *hit)
    for turn, item in asked[1:]:
        if len(_content(item.text) & _content(talk.before(turn.i))) >= 1 or turn.moves & {"acknowledge", "summarise"}:
            yield _seen("follow_up", turn, item)
            break
    yield from _first("summary", talk.rep[1:], "summarise", unless=lambda t, h: len(_content(t.text) & _content(talk.heard_before(t.i))) < 2)


_LEARNED = re.compile(r"总监|经理|主任|厂长|副总|总工|财务|采购|委员会|例会|会上|评审|以上|万|签字|拍板|director|manager|finance|procurement|board|committee|chief|vp|cfo|ceo|head of|review|above|sign|meeting|approv", re.I)


def _stakeholder(talk: Reading) -> Iterator[Observation]:
    asked = _questions(talk)
    who = next(((t, h) for t, h in asked if "ask_stakeholder" in h.moves), None)
    path = next(((t, h) for t, h in asked if {"ask_precedent", "ask_process"} & set(h.moves)), None)
    if who:
        yield _seen("who", *who)
    if path:
        yield _seen("path", *path)
    for turn, item in asked:
        text, _ = talk.after(turn.i)
        if {"ask_stakeholder", "ask_precedent", "ask_process", "ask_criteria", "ask_impact"} & set(item.moves) and len(_LEARNED.findall(text)) >= 2:
            yield _seen("learned", turn, item)
            break
    offence = _first("offence", talk.rep, "bypass", "challenge_authority")
    if not offence:
        yield from _first("face", talk.rep, "give_lead", "apologise", "ask_personal_win", "propose_meeting")
    yield from offence


BOASTS: frozenset[str] = frozenset({"overclaim", "pressure", "improper", "concede_price", "bypass", "badmouth"})
_GOOD = re.compile(r"省|降(低|到|了|下)|减少|少(停|赔|跑|错|返)|提高|提升|缩短|快了|避免|反映不错|效果|见效|sav(e|es|ed|ing)|reduc|fewer|less |cut(s|ting)? |improv|faster|quicker|avoid|lower|shorter", re.I)


def _said_plainly(talk: Reading, check: str, *patterns: re.Pattern[str]) -> list[Observation]:
    """A statement (not a question, not a boast) that all patterns fit."""
    for turn in talk.rep:
        for item in turn.heard:
            if not item.question and not BOASTS & turn.moves and not spurned(talk, turn, "objects", "deflects") and all(pattern.search(item.text) for pattern in patterns):
                return [_seen(check, turn, item)]
    return []


def _value(talk: Reading) -> Iterator[Observation]:
    fits = ("evidence", "reassure_derisk", "recommend", "trade", "give_lead", "admit_limit")
    def idle(turn: Spoken, item: Heard) -> bool:
        return bool(BOASTS & turn.moves) or spurned(talk, turn, "objects", "deflects")

    benefit = _first("benefit", talk.rep, *fits, unless=idle)
    yield from benefit or _said_plainly(talk, "benefit", _GOOD)
    proof = _first("proof", talk.rep, "evidence", unless=idle)
    yield from proof or _said_plainly(talk, "proof", _GOOD, _NUMBER)
    for turn in talk.rep[1:]:
        told = talk.heard_before(turn.i)
        numbers = set(re.findall(r"\d+", told))
        for item in turn.heard:
            if (set(fits) & set(item.moves) or (_GOOD.search(item.text) and not item.question and not BOASTS & set(item.moves))) and (numbers & set(re.findall(r"\d+", item.text)) or len(_content(item.text) & _content(told)) >= 2):
                yield _seen("their_metric", turn, item)
                break
        else:
            continue
        break
    yield from _first("limits", talk.rep, "admit_limit")
    yield from _first("features", talk.rep, "pitch", "concede_price", "lecture", unless=lambda t, h: "trade" in t.moves)


def spurned(talk: Reading, turn: Spoken, *also: str) -> bool:
    """Did the customer turn it down? What doesn't reach the customer isn't credited."""
    _, reaction = talk.after(turn.i)
    return bool(reaction & {"annoyed", "leaves", *also}) and not reaction & {"accepts", "reveals"}


def hollow(text: str) -> bool:
    """"I understand, but …" takes back what it gives."""
    return re.search(r"(理解|明白|知道).{0,12}(但是|但|可是|不过)|(understand|see|hear you|appreciate).{0,30}\b(but|however)\b", text, re.I) is not None


def _tension(talk: Reading) -> Iterator[Observation]:
    yield from _first("acknowledged", talk.rep, "acknowledge", "apologise", "summarise", unless=lambda t, h: hollow(h.text) or spurned(talk, t))
    yield from _first("cause_of_no", talk.rep, "ask_fear", "ask_problem", "ask_criteria", "ask_personal_win", "ask_impact", unless=lambda t, h: (t, h) not in _questions(talk))
    yield from _first("lowered_risk", talk.rep, "reassure_derisk", "trade", "admit_limit", "give_lead", "decline_legit", "recommend", unless=lambda t, h: bool(BOASTS & t.moves) or spurned(talk, t, "objects", "deflects"))
    for turn in talk.rep:
        _, reaction = talk.after(turn.i)
        if turn.moves & {"acknowledge", "apologise", "reassure_derisk", "give_lead", "trade", "summarise", "decline_legit", "admit_limit"} and reaction & {"accepts", "reveals"} and not reaction & {"annoyed", "leaves"}:
            yield _seen("warmer", turn, turn.heard[0])
            break
    yield from _first("harm", talk.rep, "pressure", "argue", "badmouth", "bypass", "challenge_authority", "improper", "concede_price", unless=lambda t, h: "concede_price" in h.moves and "trade" in t.moves)


_DATE = re.compile(r"周[一二三四五六日天末]|星期|礼拜|\d+[号日月]|[一二三四五六七八九十]+[号日]|明天|后天|月底|月初|上午|下午|天内|monday|tuesday|wednesday|thursday|friday|tomorrow|next week|\b\d{1,2}(st|nd|rd|th)\b|january|february|march|april|\bmay \d|june|july|august|september|october|november|december|within|end of", re.I)
_THEIRS = re.compile(
    r"(您|你|贵司|贵厂).{0,14}(约|安排|给我|发我|发给|带|召集|定|看看|提|转|请|叫|确认|写|说一声|审|主持|牵头|引荐|通知|拉上|报|签|来讲|把)|请您|麻烦您|咱们.{0,8}一起|"
    r"\b(could|can|would|will|if|that) you\b|\byou('ll| will| would|'d)? (\w+ )?(invite|bring|send|call|set|ask|take|introduce|book|arrange|present|chair|check|confirm|forward|raise|publish|sign|give|get|put|tell|decide|lead)|\byour \w+ (to|and|will)|\b(let's|shall we|together|join)\b",
    re.I,
)
_OWN_ACT = re.compile(r"我(来|去|约|安排|召集|跟|给|发|请|带|提|转|叫|让|写|看|通知|拉)|i'?ll|i will|i can (call|set|book|invite|ask|bring|send|take|arrange)|let me (call|set|ask|check)|i'?d (call|invite|bring)", re.I)
_OURS = re.compile(r"(我|我们|这边)(回去|先|会|来|今晚|明天|后天|下周|尽快|这两天|马上|再)?.{0,10}(发|做|准备|整理|出|写|带|起草|拟|报)(一?份|个|好|给|出|过)?.{0,10}(方案|资料|材料|报价|邮件|草稿|一页纸|计划|样本|清单|报告|合同)|(i'?ll|i will|we'?ll|we will|let me) .{0,20}(send|prepare|draft|write|bring|put together|get|mail|email|share).{0,40}", re.I)
STEPS = ("propose_meeting", "propose_step_dated")


_YES = re.compile(r"(^|[。！？!?.…])\W*(嗯|哦|那|对)?[，, ]*(行|好|可以|成|没问题|同意|就这么|就按|定了|那就)|(^|[.!?…])\W*(ok|okay|fine|good|sure|all right|alright|yes|agreed|deal|works|done|perfect|right|let's|i'll|i will|i can|that works|that's fair|you've got)\b", re.I)
_NO = re.compile(r"不行|不好说|再说|再看|不急|以后|到时候|考虑|没必要|不用|别|不了|算了|等通知|\b(no|not|don't|can't|won't|maybe|perhaps|later|we'll see|not sure|think about|rather not)\b", re.I)


def agrees(text: str, reaction: Collection[str]) -> bool:
    """Does the customer agree to a step? A yes that is taken back in the same breath is none."""
    committed = bool(_DATE.search(text) or _OWN_ACT.search(text))
    willing = "accepts" in reaction or bool(_YES.search(text))
    if not text or ("annoyed" in reaction and not (willing and committed)):
        return False
    if committed:
        return willing or not (_NO.search(text) or {"objects", "deflects", "leaves"} & set(reaction))
    return willing and not _NO.search(text) and "leaves" not in reaction


def commits(talk: Reading, turn: Spoken) -> bool:
    """Did the customer take something on, right after this turn, or right before it (and the rep repeats it)?"""
    after, _ = talk.after(turn.i)
    text, reaction = (after, talk.after(turn.i)[1]) if after else talk.last(turn.i)
    return bool(_OWN_ACT.search(text) or (not after and _DATE.search(text))) and agrees(text, reaction)


def _advance(talk: Reading) -> Iterator[Observation]:
    for turn in talk.rep[1:]:
        if own := next((item for item in turn.heard if _OURS.search(item.text) and "improper" not in turn.moves), None):
            yield _seen("own_step", turn, own)
            break
    steps = [(turn, item) for turn in talk.rep[1:] for item in turn.heard if set(STEPS) & set(item.moves) or (_DATE.search(item.text) and _THEIRS.search(item.text) and not set(item.moves))]
    if steps:
        yield _seen("step", *steps[0])
    steps = [(turn, item) for turn, item in steps if not {"improper", "pressure", "bypass"} & turn.moves and not _FALSE_HURRY.search(turn.text)]
    for turn, item in steps:
        if _THEIRS.search(item.text) or commits(talk, turn):
            yield _seen("their_action", turn, item)
            break
    for turn, item in steps:
        text, reaction = talk.after(turn.i)
        agreed = agrees(text, reaction)
        if _DATE.search(turn.text) or (agreed and _DATE.search(text)):
            yield _seen("dated", turn, item)
            break
    for turn, item in reversed(steps):
        text, reaction = talk.after(turn.i)
        if agrees(text, reaction) or (not text and commits(talk, turn)):
            yield _seen("accepted", turn, item)
            break


def _integrity(talk: Reading) -> Iterator[Observation]:
    yield from _first("declined", talk.rep, "decline_legit")
    yield from _first("honest_limit", talk.rep, "admit_limit")
    yield from _first("improper", talk.rep, "improper", unless=lambda t, h: "decline_legit" in t.moves)
    yield from _first("misled", talk.rep, "badmouth")
    known = normalise(talk.context)
    for turn in talk.rep:
        if hurry := next((h for h in turn.heard if (hit := _FALSE_HURRY.search(normalise(h.text))) and hit.group() not in known), None):
            yield _seen("misled", turn, hurry)
            break
    yield from _first("overclaim", talk.rep, "overclaim")


_FALSE_HURRY = re.compile(r"过了就没|(只|仅)(到|限|剩).{0,6}(今天|本周|这周|月底|一个|两个|一套|两套|最后)|最后(一天|一次|机会|名额|一批)|(价格|报价|价)?.{0,6}(就|要|会|马上|下周|下月|下个月)(就|要)?涨|停止供货|断供|优惠.{0,8}(截止|取消|失效|到期)|名额|排队的客户|抢(着)?(要|最后)|offer (ends|expires|is only)|prices? (goes|go|will go|is going|are going|rise|increase)s? ?(up)?|(last|final) (chance|slot|unit|one|day)|only (today|until|one slot|two slots|a few)|by tonight|stop deliver|slot goes|(expires?|lapses?|ends?) (today|tonight|tomorrow|on|this|at)|other customers are|(price|offer|discount|terms|rate|slot)s? .{0,25}(holds?|held|valid|good|stands?|keep|until|till|through) .{0,25}(today|tonight|tomorrow|friday|monday|tuesday|wednesday|thursday|this week|month)|after (that|today|friday|this week|the \\w+).{0,30}(gone|higher|double|up)|somebody else (wants|does|will)|queue behind", re.I)


# from checks to numbers


def score(talk: Reading, observations: Sequence[Observation], rules: Ruleset = RULES, *, unsure: Collection[str] = (), practice: bool = False) -> Scorecard:
    """Dimensions and total from the checks. `unsure`: checks on which the runs of a judge tied (not evaluable)."""
    met = {item.check for item in observations}
    values: dict[str, float | None] = {}
    for dimension in DIMENSIONS:
        own = [check for check, where in CHECKS.items() if where == dimension]
        doubtful = len(set(own) & set(unsure)) / len(own) > 0.2
        values[dimension] = None if doubtful else _round(SCORERS[dimension](met, talk))
    if practice:
        values = {name: value if value is None else min(value, rules.button_cap) for name, value in values.items()}
    if sum(value is None for value in values.values()) >= 2:
        return Scorecard(rules.version, None, False, values, tuple(observations), flags=talk.flags, why="two dimensions could not be judged")
    total = _total(values, rules)
    integrity, advance = values["integrity"], values["advance"]
    passed = total >= rules.pass_total and (integrity or 0) >= rules.pass_integrity and (advance or 0) >= rules.pass_advance
    missed = tuple(check for check in CHECKS if check not in met and check not in FAULTS)
    return Scorecard(rules.version, total, passed, values, tuple(observations), missed, talk.flags, practice=practice)


def lifted(card: Scorecard, floors: Mapping[str, float], rules: Ruleset = RULES) -> Scorecard:
    """The card with dimensions raised to floors (below the cap of practice mode), and its total anew."""
    if card.total is None:
        return card
    values = {name: value if value is None else max(value, min(floors.get(name, 1.0), rules.button_cap)) for name, value in card.dimensions.items()}
    total = _total(values, rules)
    passed = total >= rules.pass_total and (values["integrity"] or 0) >= rules.pass_integrity and (values["advance"] or 0) >= rules.pass_advance
    return replace(card, dimensions=values, total=total, passed=passed)


def _total(values: Mapping[str, float | None], rules: Ruleset) -> float:
    known = {name: value for name in rules.weights if (value := values[name]) is not None}
    total = sum(rules.weights[name] * value for name, value in known.items()) / sum(rules.weights[name] for name in known)
    integrity = values["integrity"]
    if integrity is not None and integrity <= rules.gate:
        total = min(total, rules.gate)
    return round(total, 2)


def _round(value: float) -> float:
    return round(min(5.0, max(1.0, value)) * 2) / 2


def _score_open(met: Collection[str], talk: Reading) -> float:
    """1 pitch or nothing · 3 purpose given · 5 in the customer's terms, with time or a prepared fact."""
    if "poor_start" in met:
        return 1.0
    value = 2.0 + ("purpose" in met) + 0.5 * ("customer_terms" in met) + 0.75 * ("agenda" in met) + 0.75 * ("prepared" in met)
    if "purpose" not in met and not {"customer_terms", "agenda", "prepared"} & set(met):
        value = 1.5 if talk.rep and talk.rep[0].moves & STARTS else 1.0
    if "purpose" not in met:
        value = min(value, 2.5)
    return value - (1.0 if talk.rep and len(sentences(talk.rep[0].text)) > 6 else 0.0)


def _score_discovery(met: Collection[str], talk: Reading) -> float:
    """1 hardly asked · 3 two or three questions on the surface · 5 down to impact and cause, and summed up."""
    depth = 0.5 * (("impact" in met) + ("cause" in met) + ("follow_up" in met) + ("summary" in met))
    if "three_questions" in met:
        return 3.0 + depth
    if "two_questions" in met:
        return 2.5 + depth
    return 1.0 + depth


def _score_stakeholder(met: Collection[str], talk: Reading) -> float:
    """1 not asked or offended · 3 asked who or how · 5 learned the path and kept the customer's face."""
    value = 1.0 + 1.0 * ("who" in met) + 1.5 * ("path" in met) + 1.0 * ("learned" in met) + 0.75 * ("face" in met)
    return min(value, 1.5) if "offence" in met else value


def _score_value(met: Collection[str], talk: Reading) -> float:
    """1 features or price · 3 a fitting benefit or a number · 5 tied to the customer's figure, limits stated."""
    value = 1.0 + 1.0 * ("benefit" in met) + 1.0 * ("proof" in met) + 1.0 * ("their_metric" in met) + 1.0 * ("limits" in met)
    return value - (1.0 if "features" in met else 0.0)


def _score_tension(met: Collection[str], talk: Reading) -> float:
    """1 argues, presses, gives in · 3 acknowledges · 5 acknowledges, finds the cause, lowers the risk."""
    value = 1.0 + 1.0 * ("acknowledged" in met) + 1.0 * ("cause_of_no" in met) + 1.5 * ("lowered_risk" in met) + 0.5 * ("warmer" in met)
    return min(value - 1.5, 2.5) if "harm" in met else value


def _score_advance(met: Collection[str], talk: Reading) -> float:
    """1 none · 3 our step, or no date · 5 the customer acts, with a date, and agreed."""
    if "improper" in met or not {"step", "own_step"} & set(met):
        return 1.0
    if "step" not in met:
        return 2.5
    if "their_action" not in met:
        return 3.0 if "dated" in met or "accepted" in met else 2.5
    if "accepted" not in met:
        return 3.5 if "dated" in met else 3.0
    return 5.0 if "dated" in met else 4.0


def _score_integrity(met: Collection[str], talk: Reading) -> float:
    """1 improper · 2 misled or steered the grader · 3 boasted · 4 honest, untested · 5 declined, or named a limit."""
    if "improper" in met:
        return 1.0
    if "misled" in met or "grader_manipulation" in talk.flags:
        return 2.0
    if "overclaim" in met:
        return 2.0 if sum(turn.doing("overclaim") is not None for turn in talk.rep) > 2 else 3.0
    return 5.0 if {"declined", "honest_limit"} & set(met) else 4.0


SCORERS: dict[Dimension, Callable[[Collection[str], Reading], float]] = {
    "open": _score_open, "discovery": _score_discovery, "stakeholder": _score_stakeholder, "value": _score_value,
    "tension": _score_tension, "advance": _score_advance, "integrity": _score_integrity,
}  # fmt: skip


def grade(
    lines: Sequence[Line], ear: Ear, *, context: str = "", language: Language = "zh", playbook: Collection[str] = (),
    rules: Ruleset = RULES, practice: bool = False, rulings: Mapping[str, bool] | None = None,
) -> Scorecard:  # fmt: skip
    """A talk in, a scorecard out. Too little said is "not scored", never a number."""
    spoken = [line for line in lines if line.role == "rep" and sentences(line.text)]
    if len(spoken) < MIN_REP_TURNS:
        return Scorecard(rules.version, None, why="fewer than two lines by the rep")
    if not any(line.role == "customer" for line in lines):
        return Scorecard(rules.version, None, why="no line by the customer")
    talk = read_talk(lines, context, language, ear, playbook)
    return score(talk, ruled(talk, observe(talk), rulings or {}), rules, practice=practice)


def ruled(talk: Reading, found: Sequence[Observation], rulings: Mapping[str, bool]) -> list[Observation]:
    """The observations after a trainer's rulings on single checks; one that was ruled in quotes the rep's first line."""
    kept = [item for item in found if rulings.get(item.check, True)]
    added = [check for check, says in rulings.items() if says and check not in {item.check for item in kept}]
    return kept + [Observation(check, CHECKS[check], talk.rep[0].i, (sentences(talk.rep[0].text) or [talk.rep[0].text])[0]) for check in added]
