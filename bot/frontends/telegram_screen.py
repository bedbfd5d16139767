"""How a reply looks on a phone in Telegram: HTML texts within the limits, buttons, quizzes, pictures, files.

Everything that a person, a document or a model wrote is escaped. The same reply always gives the same messages, so
that a delivery that was cut short can go on where it stopped.
"""

from __future__ import annotations

import hashlib
import html
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import assert_never
from unicodedata import east_asian_width

from bot.phrases import say
from bot.turns import (
    Block,
    Choice,
    Draft,
    File,
    Offer,
    Picture,
    Poll,
    Quote,
    Reply,
    Say,
    Scores,
)  # fmt: skip

LIMIT = 3900  # visible characters of a message (Telegram: 4,096)
LINE = 1500  # longest line that is kept in one piece
CAPTION = 1000
TOKEN_BYTES = 64
LABEL_CELLS = 34  # wider labels are cut off on phones: they become numbered lines with numbers as buttons
QUESTION, OPTION, EXPLANATION, OPTIONS = 300, 100, 200, 12
FOLD, UNFOLD = "<blockquote expandable>", "</blockquote>"


@dataclass(frozen=True, slots=True)
class Button:
    label: str
    token: str


Keyboard = tuple[tuple[Button, ...], ...]


@dataclass(frozen=True, slots=True)
class Text:
    """A message: HTML of at most 4,096 visible characters, with buttons below it."""

    html: str
    keyboard: Keyboard = ()


@dataclass(frozen=True, slots=True)
class Quiz:
    token: str
    question: str
    options: tuple[str, ...]
    key: int
    explanation: str = ""


@dataclass(frozen=True, slots=True)
class Photo:
    path: str
    caption: str


@dataclass(frozen=True, slots=True)
class Document:
    path: str
    name: str
    caption: str


Parcel = Text | Quiz | Photo | Document


@dataclass(frozen=True, slots=True)
class Stretch:
    """Lines that belong together, between an opening and a closing tag that are repeated when it is split."""

    lines: tuple[str, ...]
    opening: str = ""
    closing: str = ""


def parcels(reply: Reply, incoming: str, *, votes: bool = True) -> list[Parcel]:
    """The messages of a reply, in order. `incoming`: the turn it answers, which votes and sources refer to."""
    page = _Page(reply, incoming if votes and reply.action == "coach" and reply.of(Quote) else "")
    for block in reply.blocks:
        page.add(block)
    page.close()
    return page.done


@dataclass
class _Page:
    """Collects blocks until something that is a message of its own comes."""

    reply: Reply
    votes_for: str
    done: list[Parcel] = field(default_factory=list)
    stretches: list[Stretch] = field(default_factory=list)
    folded: list[Quote] = field(default_factory=list)
    rows: list[tuple[Button, ...]] = field(default_factory=list)
    label: str = ""
    words_end: int | None = None  # folded words belong right after the visible ones

    def add(self, block: Block) -> None:
        match block:
            case Quote(folded=True):
                self.folded.append(block)
            case Quote() | Draft():
                self._words(block)
            case Say(text, role):
                self.label = ""
                self._put(*(_styled(line, role) for line in _lines(text)))
            case Offer():
                self._offer(block)
            case Scores():
                self._put(*_scorecard(block))
            case Poll():
                self._whole(_quiz(block))
            case Picture(path, caption):
                self._whole(Photo(path, caption[:CAPTION]))
            case File(path, name, caption):
                self._whole(Document(path, name, caption[:CAPTION]))
            case _:
                assert_never(block)

    def _put(self, *lines: str, opening: str = "", closing: str = "") -> None:
        self.stretches.append(Stretch(lines, opening, closing))

    def _words(self, block: Quote | Draft) -> None:
        """The playbook's or a model's words, under their label; what one can say or cite stands in a quotation."""
        spoken = isinstance(block, Quote) and block.role in ("say", "passage")
        heading = [f"<b>{_short(block.label)}</b>"] if block.label and block.label != self.label else []
        bullet = "• " if block.label and not spoken else ""
        lines = [html.escape(line) for line in _lines(block.text)]
        lines[0] = bullet + lines[0]
        if spoken:
            if heading:
                self._put(*heading)
            long = sum(map(len, lines)) > 400
            self._put(*lines, opening=FOLD if long else "<blockquote>", closing=UNFOLD)
        elif not heading and self.stretches and block.label and not self.stretches[-1].opening:
            self.stretches[-1] = replace(self.stretches[-1], lines=(*self.stretches[-1].lines, *lines))
        else:
            self._put(*heading, *lines)
        if isinstance(block, Draft) and not block.supported:
            self._put(f"<i>{html.escape(say(self.reply.language, 'telegram.general'))}</i>")
        self.label = block.label
        self.words_end = len(self.stretches)

    def _offer(self, offer: Offer) -> None:
        choices = [item for item in offer.choices if item.label]
        numbered = any(_cells(item.label) > LABEL_CELLS // max(1, offer.columns) for item in choices)
        lines = [f"<b>{html.escape(line)}</b>" for line in _lines(offer.text)] if offer.text else []
        if numbered:
            lines += [f"{i}. {_short(item.label)}" for i, item in enumerate(choices, 1)]
            self.rows += _rows([Button(str(i), token_of(item)) for i, item in enumerate(choices, 1)], 6)
        else:
            self.rows += _rows([Button(item.label, token_of(item)) for item in choices], offer.columns)
        if lines:
            self._put(*lines)
        self.label = ""

    def _whole(self, parcel: Parcel) -> None:
        self._flush()
        self.done.append(parcel)

    def close(self) -> None:
        """The last message: what was folded, and the buttons for a vote and the sources."""
        if self.votes_for:
            source = say(self.reply.language, "telegram.source")
            self.rows.append(
                (
                    Button("👍", f"vote:up:{self.votes_for}"),
                    Button("👎", f"vote:down:{self.votes_for}"),
                    Button(source, f"src:{self.votes_for}:0"),
                )
            )
        self._flush()

    def _flush(self) -> None:
        if self.folded:
            place = len(self.stretches) if self.words_end is None else self.words_end
            self.stretches.insert(place, Stretch(tuple(_folded_lines(self.folded)), FOLD, UNFOLD))
            self.folded = []
        texts = list(_pages(self.stretches))
        if self.rows and not texts:
            texts = ["👇"]
        self.done += [Text(text) for text in texts]
        if self.rows:
            last = self.done[-1]
            assert isinstance(last, Text)
            self.done[-1] = replace(last, keyboard=tuple(self.rows))
        self.stretches, self.rows, self.label, self.words_end = [], [], "", None


def _lines(text: str) -> list[str]:
    """The lines of a text, over-long ones cut at sentences or spaces. At least one."""
    found = [piece for line in text.strip().split("\n") for piece in _cut(line.rstrip())]
    return found or [""]


def _cut(line: str) -> Iterator[str]:
    while len(line) > LINE:
        at = max((line.rfind(mark, 0, LINE) + len(mark) for mark in ("。", "！", "？", ". ", "! ", "? ", "；", "; ")), default=0)
        at = at if at > LINE // 2 else line.rfind(" ", 0, LINE) + 1
        at = at if at > LINE // 2 else LINE
        yield line[:at].rstrip()
        line = line[at:].lstrip()
    yield line


def _short(text: str, limit: int = 300) -> str:
    """A label or name on one line, escaped; nobody writes longer ones on purpose."""
    line = " ".join(text.split())
    return html.escape(line if len(line) <= limit else line[: limit - 1] + "…")


def _styled(line: str, role: str) -> str:
    escaped = html.escape(line)
    if not line:
        return ""
    if role == "heading":
        return f"<b>{escaped}</b>"
    return f"<i>{escaped}</i>" if role in ("note", "source") else escaped


def _folded_lines(quotes: Sequence[Quote]) -> Iterator[str]:
    label = ""
    for quote in quotes:
        if quote.label and quote.label != label:
            yield f"<b>{_short(quote.label)}</b>"
        label = quote.label
        first, *rest = _lines(quote.text)
        yield f"• {html.escape(first)}"
        yield from (html.escape(line) for line in rest)


def _scorecard(scores: Scores) -> Iterator[str]:
    total = f" {scores.total:.1f}/{scores.high:g}" if scores.total is not None else ""
    yield f"<b>{_short(scores.title)}{total}</b>"
    for name, value in scores.rows:
        if value is None:
            yield f"{_short(name)} –"
            continue
        filled = round((value - scores.low) / max(1e-9, scores.high - scores.low) * 5)
        yield f"{'●' * filled}{'○' * (5 - filled)} {value:.1f} {_short(name)}"
    if scores.note:
        yield f"<i>{_short(scores.note, LINE)}</i>"


def _quiz(poll: Poll) -> Parcel:
    """A native quiz where it fits the platform's limits, else a text with buttons."""
    fits = (
        len(poll.stem) <= QUESTION and 2 <= len(poll.options) <= OPTIONS and 0 <= poll.key < len(poll.options)
        and all(0 < len(option) <= OPTION for option in poll.options)
    )  # fmt: skip
    if fits:
        explanation = " ".join(poll.explanation.split())[:EXPLANATION]
        return Quiz(poll.token, poll.stem, poll.options, poll.key, explanation)
    lines = [f"<b>{_short(poll.stem, LINE)}</b>", *(f"{i}. {_short(option, 200)}" for i, option in enumerate(poll.options[:10], 1))]
    buttons = [Button(str(i + 1), f"poll:{poll.token}:{i}") for i in range(min(10, len(poll.options)))]
    return Text("\n".join(lines), tuple(_rows(buttons, 6)))


def _rows(buttons: Sequence[Button], columns: int) -> list[tuple[Button, ...]]:
    columns = max(1, columns)
    return [tuple(buttons[i : i + columns]) for i in range(0, len(buttons), columns)]


def _cells(text: str) -> int:
    """Width on the screen: a Chinese character takes two cells."""
    return sum(2 if east_asian_width(char) in "WF" else 1 for char in text)


def visible(markup: str) -> int:
    """Characters that Telegram counts: tags removed, references resolved."""
    return len(html.unescape(re.sub(r"<[^>]*>", "", markup)))


def _pages(stretches: Iterable[Stretch]) -> Iterator[str]:
    """Texts within the limit: split between stretches where possible, else between lines with the tags repeated."""
    page, size = "", 0
    for stretch in stretches:
        lines: list[str] = []
        gap = 2 if page else 0
        for line in stretch.lines:
            length = visible(line) + 1
            if size + gap + length > LIMIT and (page or lines):
                page = _joined(page, stretch, lines)
                yield page
                page, size, lines, gap = "", 0, [], 0
            lines.append(line)
            size += length
        page = _joined(page, stretch, lines)
        size += gap
    if page:
        yield page


def _joined(page: str, stretch: Stretch, lines: Sequence[str]) -> str:
    body = "\n".join(lines).strip("\n")
    if not body:
        return page
    gap = "" if not page else "\n" if stretch.opening or page.endswith(UNFOLD) else "\n\n"  # quotations have margins
    return f"{page}{gap}{stretch.opening}{body}{stretch.closing}"


def token_of(choice: Choice) -> str:
    """What a button carries: the choice's token, or its mark where it would be longer than a button may carry."""
    return choice.token if 0 < len(choice.token.encode()) <= TOKEN_BYTES else mark_of(choice.token)


def mark_of(token: str) -> str:
    return "~" + hashlib.sha256(token.encode()).hexdigest()[:24]


def token_behind(mark: str, replies: Iterable[Reply]) -> str | None:
    """The token that a mark stands for, found among recent replies."""
    for reply in replies:
        for offer in reply.of(Offer):
            for choice in offer.choices:
                if mark_of(choice.token) == mark:
                    return str(choice.token)
    return None
