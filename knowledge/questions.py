"""Quiz questions: what a card teaches, asked back. Made from cards by rules, or written by trainers as files.

A made question's key is always the card's own text; its wrong options are the same part of other causes or of
neighbouring cards, of like length. Which made questions are fair is decided by the checker, whose verdicts on the
bundled cards stand in `content/quizzes/checked.txt`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import yaml

from knowledge.cards import Both, Card, sections
from knowledge.passages import Language
from knowledge.problems import ContentProblem, ContentProblems
from knowledge.quiz_evidence import Item

FOLDER = Path(__file__).parent / "content" / "quizzes"
Kind = Literal["problem", "cause", "next", "ask", "say", "why", "order", "contrast", "number", "speak"]
MAX_STEM, MAX_OPTION, MAX_EXPLANATION = 300, 100, 200  # what a Telegram quiz can hold
DIFFICULTY: Mapping[Kind, int] = {"why": 1, "number": 1, "ask": 2, "say": 2, "cause": 2, "problem": 2, "next": 3, "order": 3, "contrast": 3, "speak": 3}  # fmt: skip


@dataclass(frozen=True, slots=True)
class SpokenCheck:
    """What a free answer should do, with sentences that do it, and some that look like it but don't."""

    id: str
    name: Both
    like: tuple[Both, ...]
    unlike: tuple[Both, ...] = ()


@dataclass(frozen=True, slots=True)
class Question:
    """A question in both languages. `key` is 0-based; `part` names the card's passage that proves it.

    `quote` stands in that passage word for word. A `speak` question has no options but `checks`.
    """

    id: str
    card: str
    kind: Kind
    objective: str
    stem: Both
    options: tuple[Both, ...]
    key: int
    part: str
    quote: Both
    difficulty: int = 2
    checks: tuple[SpokenCheck, ...] = ()

    @property
    def digest(self) -> str:
        """Of everything a person sees: a verdict on a question holds for these texts only."""
        texts = [text for both in (self.stem, *self.options, self.quote) for text in (both.zh, both.en)]
        return hashlib.sha256("\n".join([*texts, str(self.key)]).encode()).hexdigest()[:12]

    def item(self, card: Card, language: Language) -> Item:
        """The question as the checker sees it."""
        passage = next("\n".join(section.lines) for section in sections(card, language) if section.part == self.part)
        return Item(self.stem.text(language), tuple(option.text(language) for option in self.options), self.key, passage, language)


# stem per kind; {x} is the card's text
STEMS: Mapping[str, tuple[str, str]] = {
    "problem": ("同事说：“{zh}”这主要是哪一类情况？", "A colleague says: “{en}” What is this mainly about?"),
    "cause": ("你看到这样的迹象：“{zh}”最可能的原因是什么？", "You notice this: “{en}” What is the most likely cause?"),
    "next": ("已经确认原因是：“{zh}”对着这个原因，该做哪一步？", "You have confirmed the cause: “{en}” Which step treats that cause?"),
    "ask": ("怀疑原因是：“{zh}”问客户哪一句最能验证？", "You suspect this cause: “{en}” Which question tests it best?"),
    "say": ("这种时候：“{zh}”哪句话说得合适？", "The moment: “{en}” Which sentence fits?"),
    "why": ("剧本提醒：“{zh}”理由是什么？", "The playbook warns: “{en}” What is the reason?"),
    "order": ("处理“{zh}”，下面几步里哪一步要先做？", "Working on “{en}”: which of these steps comes first?"),
    "contrast": ("怎样把“{zh}”跟相近的情况分开？", "How do you tell “{en}” from its neighbour?"),
    "number": ("“{zh}”这个数字出自哪里？", "“{en}” Where does this figure come from?"),
}


def made_from(card: Card, cards: Mapping[str, Card]) -> Iterator[Question]:
    """Every question that the rules can make of a card, fair or not."""
    near = neighbours(card, cards)
    yield from _about_causes(card)
    yield from _about_words(card, near)
    yield from _about_order(card)
    yield from _about_numbers(card, cards)


def neighbours(card: Card, cards: Mapping[str, Card]) -> list[Card]:
    """Cards that are easily confused with this one, then related ones."""
    names = dict.fromkeys([*(item.id for item in card.contrast), *card.related])
    return [cards[name] for name in names if name in cards and name != card.id]


def _about_causes(card: Card) -> Iterator[Question]:
    for cause in card.causes:
        others = [other for other in card.causes if other.id != cause.id]
        part = f"cause:{cause.id}"
        for n, signal in enumerate(cause.signals):
            yield from _question(card, "cause", f"{cause.id}.{n}", signal, _plain(cause), [_plain(other) for other in others], part)
        steps = [treat for other in others for treat in other.treat]
        for n, treat in enumerate(cause.treat):
            yield from _question(card, "next", f"{cause.id}.{n}", _plain(cause), treat, steps, part)
        yield from _question(card, "ask", cause.id, _plain(cause), cause.check, [other.check for other in others], part)


def _about_words(card: Card, near: Sequence[Card]) -> Iterator[Question]:
    said = [_plain(item) for other in near for item in other.say]
    for n, sentence in enumerate(card.say):
        if sentence.when:
            yield from _question(card, "say", str(n), sentence.when, _plain(sentence), said, "say")
    reasons = [item.why for other in near for item in other.avoid]
    for n, mistake in enumerate(card.avoid):
        yield from _question(card, "why", str(n), _plain(mistake), mistake.why, reasons, "avoid")
    for item in card.contrast:
        ways = [rival.how_to_tell_apart for other in near for rival in other.contrast if card.id not in (other.id, rival.id)]
        yield from _question(card, "contrast", item.id, card.title, item.how_to_tell_apart, ways, f"contrast:{item.id}")


def _about_order(card: Card) -> Iterator[Question]:
    steps = [_plain(step) for step in card.steps]
    for n in range(max(0, len(steps) - 4)):
        yield from _question(card, "order", str(n), card.title, steps[n], [steps[n + 2], steps[n + 3], steps[n + 4]], "steps")


def _about_numbers(card: Card, cards: Mapping[str, Card]) -> Iterator[Question]:
    sources = {_source(number) for other in cards.values() for number in other.numbers}
    for n, number in enumerate(card.numbers):
        key = Both(zh=_source(number), en=_source(number))
        rivals = [Both(zh=text, en=text) for text in sorted(sources - {_source(number)}) if text.split(",")[0] != number.source]
        yield from _question(card, "number", str(n), number.claim, key, rivals, "numbers", quote=Both(zh=number.source, en=number.source))


def _source(number: Any) -> str:
    return str(number.source)


def _plain(item: Both) -> Both:
    return Both(zh=item.zh, en=item.en)


def _question(
    card: Card, kind: Kind, name: str, about: Both, key: Both, others: Iterable[Both], part: str, quote: Both | None = None
) -> Iterator[Question]:
    """One question, if there are enough wrong options of like length that fit a poll."""
    wrong = _like(key, others, f"{card.id}.{kind}.{name}")
    zh, en = STEMS[kind]
    stem = Both(zh=zh.format(zh=about.zh), en=en.format(en=about.en))
    if about != card.title:  # the topic gives the context that a phone screen would otherwise lack
        stem = Both(zh=f"【{card.title.zh}】{stem.zh}", en=f"[{card.title.en}] {stem.en}")
    fits = all(len(text) <= MAX_OPTION for option in (key, *wrong) for text in (option.zh, option.en))
    if len(wrong) < 3 or not fits or max(len(stem.zh), len(stem.en)) > MAX_STEM:
        return
    place = int(hashlib.sha256(f"{card.id}.{kind}.{name}".encode()).hexdigest(), 16) % 4
    options = [*wrong[:place], key, *wrong[place:]]
    yield Question(
        id=f"{card.id}.{kind}.{name}", card=card.id, kind=kind, objective=f"{card.id}:{objective_of(card, kind, about, key)}",
        stem=stem, options=tuple(options), key=place, part=part, quote=quote or key, difficulty=DIFFICULTY[kind],
    )  # fmt: skip


def _like(key: Both, others: Iterable[Both], seed: str) -> list[Both]:
    """Three other texts, nearest in length in both languages, none twice, in an order that the seed fixes."""

    def strange(other: Both) -> float:
        return max(abs(len(other.zh) - len(key.zh)) / len(key.zh), abs(len(other.en) - len(key.en)) / len(key.en))

    pool = {other.zh: other for other in others if other.zh != key.zh and other.en != key.en}
    picked = sorted(pool.values(), key=lambda other: (strange(other), other.zh))[:3]
    return sorted(picked, key=lambda other: hashlib.sha256(f"{seed}{other.zh}".encode()).hexdigest())


_HOME: Mapping[Kind, int] = {"cause": 0, "ask": 0, "problem": 0, "contrast": 0, "number": 0, "next": 1, "order": 1, "why": 2, "say": 2, "speak": 2}  # fmt: skip


def objective_of(card: Card, kind: Kind, *texts: Both) -> int:
    """Which of the card's objectives a question serves: the one that shares most of its words, else by its kind."""
    if not card.objectives:
        return 0
    mine = {text.zh[i : i + 2] for text in texts for i in range(len(text.zh) - 1)}
    shares = [len(mine & {goal.zh[i : i + 2] for i in range(len(goal.zh) - 1)}) / max(8, len(goal.zh)) for goal in card.objectives]
    best = max(range(len(shares)), key=lambda i: shares[i])
    return best if shares[best] >= 0.25 else min(_HOME[kind], len(card.objectives) - 1)


# -- files that trainers write -----------------------------------------------------------------------------------------


def load_authored(folder: Path = FOLDER) -> list[Question]:
    """Questions of all `*.yaml` files of a folder. Raises ContentProblems with file and reason."""
    found: list[Question] = []
    problems: list[ContentProblem] = []
    for path in sorted(folder.glob("*.yaml")):
        for number, row in enumerate(yaml.safe_load(path.read_text("utf-8")) or [], 1):
            try:
                found.append(_authored(row))
            except (KeyError, TypeError, ValueError) as error:
                what = f"question {number}: {error}" if not isinstance(error, KeyError) else f"question {number}: {error} is missing"
                problems.append(ContentProblem(str(path), 0, what, "see docs/quiz.md for the fields of a question"))
    if problems:
        raise ContentProblems(problems)
    return found


def _authored(row: Mapping[str, Any]) -> Question:
    options = tuple(Both(**option) for option in row.get("options", []))
    checks = tuple(
        SpokenCheck(check["id"], Both(**check["name"]), tuple(Both(**item) for item in check["like"]), tuple(Both(**item) for item in check.get("unlike", [])))
        for check in row.get("checks", [])
    )
    if not checks and not (2 <= len(options) <= 6 and 0 <= row["key"] < len(options)):
        raise ValueError("give two to six options and a key that is one of them, or checks")
    return Question(
        id=row["id"], card=row["card"], kind=row["kind"], objective=f"{row['card']}:{row.get('objective', 0)}",
        stem=Both(**row["stem"]), options=options, key=row.get("key", 0), part=row["part"], quote=Both(**row["quote"]),
        difficulty=row.get("difficulty", DIFFICULTY[row["kind"]]), checks=checks,
    )  # fmt: skip


def misquoted(questions: Iterable[Question], cards: Mapping[str, Card]) -> list[str]:
    """Questions whose card, passage or quote is not there (any more)."""
    return [question.id for question in questions if not _stands(question, cards)]


def _stands(question: Question, cards: Mapping[str, Card]) -> bool:
    card = cards.get(question.card)
    if card is None:
        return False
    for language in card.languages:
        texts = {section.part: "\n".join(section.lines) for section in sections(card, language)}
        if question.quote.text(language) not in texts.get(question.part, ""):
            return False
    return True


# -- the bank ----------------------------------------------------------------------------------------------------------


@cache
def checked() -> Mapping[str, str]:
    """Question id → digest of the texts that passed the checker."""
    path = FOLDER / "checked.txt"
    lines = path.read_text("utf-8").split() if path.exists() else []
    return dict(zip(lines[::2], lines[1::2], strict=True))


class Bank:
    """The fair questions over a set of cards, by id and by card."""

    def __init__(self, cards: Mapping[str, Card], authored: Sequence[Question] | None = None) -> None:
        passed = checked()
        made = [question for card in cards.values() for question in made_from(card, cards) if passed.get(question.id) == question.digest]
        written = [item for item in (load_authored() if authored is None else authored) if _stands(item, cards)]
        self.by_id: dict[str, Question] = {item.id: item for item in (*made, *written)}
        self.by_card: dict[str, list[Question]] = {}
        for question in self.by_id.values():
            self.by_card.setdefault(question.card, []).append(question)

    def objectives(self) -> dict[str, list[Question]]:
        """Objective → its questions."""
        found: dict[str, list[Question]] = {}
        for question in self.by_id.values():
            found.setdefault(question.objective, []).append(question)
        return found
