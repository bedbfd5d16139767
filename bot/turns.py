"""What comes in and what goes out in one turn of a conversation: values, no markup, no I/O.

A reply is a tuple of blocks, and the type of a block says whose words it holds: the bot's own (`Say`), the
playbook's, verbatim (`Quote`), a language model's (`Draft`). How a block looks is decided by the front end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from pydantic import TypeAdapter

Language = Literal["zh", "en"]
LANGUAGES: tuple[Language, ...] = ("zh", "en")

Action = Literal["coach", "clarify", "decline", "abstain", "chat"]


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that a person sent. `handle` lets the front end fetch the bytes; `path` is set once they are on disk."""

    name: str
    size: int
    handle: str = ""
    path: str | None = None
    media_type: str | None = None


@dataclass(frozen=True, slots=True)
class Incoming:
    """One thing that a person did: wrote a line, gave a command, tapped a choice, answered a poll, sent a file.

    `id` is unique for the front end (Telegram: the update id) and makes a turn idempotent.
    `language_hint` is what the platform says of the person (`zh-hans`, `en`, …), not a choice of theirs.
    """

    id: str
    chat: str
    person: str
    at: datetime
    text: str = ""
    command: str | None = None
    choice: str | None = None
    attachment: Attachment | None = None
    poll: str | None = None
    poll_options: tuple[int, ...] = ()
    language_hint: str | None = None
    private: bool = True
    display_name: str | None = None
    forwarded: bool = False
    reply_to: str | None = None  # the platform's number of the message that this one hangs on


@dataclass(frozen=True, slots=True)
class Citation:
    """Where a quote stands: enough to find the passage again in the version that was cited."""

    passage_id: str
    title: str
    place: str
    kind: Literal["card", "document"] = "card"
    version: int = 0


@dataclass(frozen=True, slots=True)
class Say:
    """The bot's own words, from `phrases/`. `role` tells the front end how it is meant."""

    text: str
    role: Literal["text", "heading", "note", "source", "caption"] = "text"
    kind: Literal["say"] = "say"


@dataclass(frozen=True, slots=True)
class Quote:
    """The playbook's words, verbatim: `text` is a substring of the stored passage that `source` names.

    `label` is the bot's own lead-in ("Next step"). `folded` quotes are shown on demand only.
    """

    text: str
    source: Citation
    label: str = ""
    role: Literal["diagnosis", "change", "ask", "step", "say", "caution", "passage", "point"] = "point"
    folded: bool = False
    kind: Literal["quote"] = "quote"


@dataclass(frozen=True, slots=True)
class Draft:
    """A language model's words. `sources` were verified by code; `supported` is False for general experience."""

    text: str
    sources: tuple[Citation, ...] = ()
    label: str = ""
    supported: bool = True
    model: str = ""
    kind: Literal["draft"] = "draft"


@dataclass(frozen=True, slots=True)
class Choice:
    """One thing to tap. `token` (at most 64 bytes) comes back as `Incoming.choice`."""

    label: str
    token: str


@dataclass(frozen=True, slots=True)
class Offer:
    """Choices: shown as buttons or as numbered lines."""

    choices: tuple[Choice, ...]
    text: str = ""
    columns: int = 1
    kind: Literal["offer"] = "offer"


@dataclass(frozen=True, slots=True)
class Poll:
    """A native quiz question: options, the key (0-based), an explanation of at most 200 characters."""

    token: str
    stem: str
    options: tuple[str, ...]
    key: int
    explanation: str = ""
    kind: Literal["poll"] = "poll"


@dataclass(frozen=True, slots=True)
class Scores:
    """A scorecard: named values between `low` and `high`; None = not evaluable."""

    title: str
    rows: tuple[tuple[str, float | None], ...]
    total: float | None = None
    low: float = 1
    high: float = 5
    note: str = ""
    kind: Literal["scores"] = "scores"


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture that stands on disk, with a caption that says in words what it shows."""

    path: str
    caption: str
    kind: Literal["picture"] = "picture"


@dataclass(frozen=True, slots=True)
class File:
    """A file to hand over (an export, a report)."""

    path: str
    name: str
    caption: str = ""
    kind: Literal["file"] = "file"


Block = Say | Quote | Draft | Offer | Poll | Scores | Picture | File


@dataclass(frozen=True, slots=True)
class Reply:
    """What the bot shows in one turn."""

    blocks: tuple[Block, ...]
    language: Language = "zh"
    action: Action = "chat"
    topics: tuple[tuple[str, float], ...] = ()
    model: str | None = None

    def of(self, *kinds: type) -> list[Any]:
        return [block for block in self.blocks if isinstance(block, kinds)]


@dataclass(frozen=True, slots=True)
class Aside:
    """Something to say in ANOTHER chat (an asker whose gap was closed, an admin's alert). `key` makes it once-only."""

    chat: str
    reply: Reply
    key: str = ""


_REPLY: TypeAdapter[Reply] = TypeAdapter(Reply)


def reply_to_json(reply: Reply) -> str:
    return _REPLY.dump_json(reply).decode()


def reply_from_json(text: str) -> Reply:
    return _REPLY.validate_json(text)


@dataclass(frozen=True, slots=True)
class Exchange:
    """One earlier line of the conversation, oldest first in `Session.history`."""

    role: Literal["rep", "coach"]
    text: str


@dataclass(frozen=True, slots=True)
class Record:
    """Something a turn leaves behind, written in the same transaction as the session.

    `kind` is a key of `store.WRITERS`; `data` is JSON-able. A gap, a piece of feedback, a review, a finished run …
    """

    kind: str
    data: dict[str, Any] = field(default_factory=dict)


def choices(pairs: Sequence[tuple[str, str]]) -> tuple[Choice, ...]:
    """Choices from (label, token) pairs."""
    return tuple(Choice(label, token) for label, token in pairs)


def cited_in(reply: Reply) -> list[Citation]:
    """The passages that a reply cites, each once: those of its quotes, then those that drafts rest on."""
    quoted = [block.source for block in reply.of(Quote)]
    rested = [source for block in reply.of(Draft) for source in block.sources]
    return list({source.passage_id: source for source in (*quoted, *rested)}.values())


def _general(language: Language) -> str:
    """The mark of what is not in the playbook."""
    from bot.phrases import say  # here, as phrases stand on the types above

    return say(language, "terminal.general")


def plain(reply: Reply, *, folded: bool = False, numbered: bool = True) -> str:
    """The reply as a person reads it: labels as headings, offers as numbered lines, folded quotes only on demand."""
    lines: list[str] = []
    label = ""
    for block in reply.blocks:
        match block:
            case Say(text, role):
                label = ""
                lines.append(f"\n{text}" if role == "heading" else text)
            case Quote(text=text, folded=hidden) if hidden and not folded:
                continue
            case Quote() | Draft():
                if block.label and block.label != label:
                    lines.append(f"\n{block.label}")
                label = block.label
                marked = f"“{block.text}”" if isinstance(block, Quote) and block.role in ("say", "passage") else block.text
                lines.append(f"• {marked}" if block.label else marked)
                if isinstance(block, Draft) and not block.supported:
                    lines.append(_general(reply.language))
            case Offer(options, text):
                lines.append(f"\n{text}" if text else "")
                lines += [f"{i}. {item.label}" if numbered else f"– {item.label}" for i, item in enumerate(options, 1)]
            case Poll(stem=stem, options=answers):
                lines += [f"\n{stem}", *(f"{i}. {answer}" for i, answer in enumerate(answers, 1))]
            case Scores(title, rows, total, _low, high, note):
                lines.append(f"\n{title}" + (f": {total:.1f}/{high:g}" if total is not None else ""))
                lines += [f"  {name}: {'–' if value is None else f'{value:.1f}'}" for name, value in rows]
                lines += [note] if note else []
            case Picture(caption=caption):
                lines.append(caption)
            case File(name=name, caption=caption):
                lines.append(f"{caption} ({name})" if caption else name)
    return "\n".join(lines).strip()
