"""Chat in a terminal: reads lines, shows replies, and takes the same durable path as Telegram."""

from __future__ import annotations

import asyncio
import logging
import secrets
import sys
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, assert_never

from bot.conversation import serve
from bot.people import Person
from bot.phrases import say
from bot.ports import App
from bot.turns import Draft, File, Incoming, Language, Offer, Picture, Poll, Quote, Reply, Say, Scores

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live

log = logging.getLogger(__name__)
PROMPT = "› "


@dataclass
class Screen:
    """What the last reply put on the screen: choices that a number picks, and quotes that can be unfolded."""

    tokens: list[str] = field(default_factory=list)
    folded: list[Quote] = field(default_factory=list)
    poll: str = ""


def render(reply: Reply, screen: Screen, language: Language, *, more: bool = True) -> Iterator[RenderableType]:
    """Blocks as rich renderables. Choices are numbered over the whole reply; `more` says how folded quotes are opened."""
    from rich.markup import escape
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    label = ""
    for block in reply.blocks:
        match block:
            case Say(text, role):
                label = ""
                style = {"heading": "bold cyan", "source": "dim", "note": "dim italic"}.get(role, "")
                yield Text(("\n" if role == "heading" else "") + text, style)
            case Quote(folded=True):
                screen.folded.append(block)
            case Quote() | Draft():
                if block.label and block.label != label:
                    yield Text(f"\n{block.label}", "bold")
                label = block.label
                spoken = isinstance(block, Quote) and block.role in ("say", "passage")
                yield Padding(Text(f"“{block.text}”", "green") if spoken else point(block.text), (0, 0, 0, 1))
                if isinstance(block, Draft) and not block.supported:
                    yield Text(say(language, "terminal.general"), "dim")
            case Offer(options, text):
                yield Text(f"\n{text}" if text else "", "bold")
                for item in options:
                    screen.tokens.append(item.token)
                    yield Text.from_markup(f" [cyan]{len(screen.tokens)}[/] {escape(item.label)}")
            case Poll(token=token, stem=stem, options=answers):
                screen.poll = token
                yield Text(f"\n{stem}", "bold")
                for index, answer in enumerate(answers):
                    screen.tokens.append(f"poll:{token}:{index}")
                    yield Text.from_markup(f" [cyan]{len(screen.tokens)}[/] {escape(answer)}")
            case Scores(title, rows, total, low, high, note):
                table = Table(title=title + (f"  {total:.1f}/{high:g}" if total is not None else ""), show_header=False, box=None)
                for name, value in rows:
                    bar = "–" if value is None else "█" * round((value - low) / (high - low) * 20)
                    table.add_row(name, "–" if value is None else f"{value:.1f}", Text(bar, "cyan"))
                yield table
                if note:
                    yield Text(note, "dim")
            case Picture(path, caption):
                yield Text(f"🖼  {caption}\n   {path}")
            case File(path, _name, caption):
                yield Text(f"📎 {caption}\n   {path}")
            case _:
                assert_never(block)
    if screen.folded and more:
        yield Text(say(language, "terminal.more", count=len(screen.folded)), "dim")


def point(text: str) -> RenderableType:
    """A line of a list. The text has a column of its own: a long Chinese line would else break after the bullet."""
    from rich.table import Table
    from rich.text import Text

    row = Table.grid(padding=(0, 1, 0, 0))
    row.add_row("•", Text(text))
    return row


class Writing:
    """A draft on the screen while it is being written; it disappears when the checked reply takes its place."""

    def __init__(self, console: Console, language: Language) -> None:
        self.console, self.language = console, language
        self._live: Live | None = None

    def __enter__(self) -> Writing:
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    async def show(self, text: str) -> None:
        if not self.console.is_terminal:
            return
        from rich.live import Live
        from rich.text import Text

        if self._live is None:
            self._live = Live(console=self.console, transient=True, auto_refresh=False)
            self._live.start()
        self._live.update(Text(say(self.language, "terminal.draft", text=text), "dim italic"), refresh=True)


@dataclass
class Terminal:
    """One person's chat in this terminal."""

    person: Person
    console: Console
    language: Language
    run: str = field(default_factory=lambda: secrets.token_hex(6))
    count: int = 0
    screen: Screen = field(default_factory=Screen)

    def incoming(self, line: str) -> Incoming:
        """A line as an Incoming: `/command rest`, a number that picks a choice, or text."""
        self.count += 1
        text, command, choice, poll, picked = line.strip(), None, None, None, ()
        if text.startswith("/") and len(text) > 1:
            command, _, text = text[1:].partition(" ")
        elif text.isdigit() and 1 <= int(text) <= len(self.screen.tokens):
            token = self.screen.tokens[int(text) - 1]
            if token.startswith("poll:"):
                _, rest = token.split(":", 1)
                poll, index = rest.rsplit(":", 1)
                picked, text = (int(index),), ""  # type: ignore[assignment]
            else:
                choice, text = token, ""
        return Incoming(
            id=f"terminal:{self.run}:{self.count}",
            chat=self.person.chat or f"terminal:{self.person.id}",
            person=self.person.id,
            at=datetime.now(UTC),
            text=text.strip(),
            command=command.lower() if command is not None else None,
            choice=choice,
            poll=poll,
            poll_options=picked,
            display_name=self.person.name,
            language_hint=self.language,
        )

    def show(self, reply: Reply) -> None:
        self.screen = Screen()
        for item in render(reply, self.screen, reply.language):
            self.console.print(item)
        self.console.print()
        self.language = reply.language

    def unfold(self) -> None:
        for quote in self.screen.folded:
            self.console.print(f"[dim]{quote.label or quote.source.place}[/dim]\n {quote.text}", highlight=False)
        self.console.print()

    async def take(self, app: App, line: str) -> None:
        """Answer one line; a bug of ours is said kindly, logged with a reference, and does not end the chat."""
        if line.strip() in ("/more", "/更多"):
            self.unfold()
            return
        try:
            with Writing(self.console, self.language) as writing:
                reply = await serve(replace(app, typing=writing), await self._now(app), self.incoming(line))
        except Exception:
            reference = secrets.token_hex(2).upper()
            log.exception("turn failed (reference %s)", reference)
            reply = Reply((Say(say(self.language, "core.broken", ref=reference)),), self.language)
        if reply is not None:
            self.show(reply)

    async def _now(self, app: App) -> Person:
        """The person with the settings of this moment; what they may do was said when the chat began."""
        kept = await app.store.person(self.person.id)
        return replace(kept, roles=self.person.roles, active=True) if kept else self.person


async def converse(
    open_later: Awaitable[App], terminal: Terminal, read_line: Callable[[str], str | None]
) -> None:
    """Read lines until the end. The app opens in the background while the person is already typing."""
    opening = asyncio.ensure_future(open_later)
    while (line := await asyncio.to_thread(read_line, PROMPT)) is not None:
        if line.strip() in ("/quit", "/exit", "exit", "quit"):
            break
        if not line.strip():
            continue
        if not opening.done():
            terminal.console.print(say(terminal.language, "terminal.waking"), style="dim")
        await terminal.take(await opening, line)
    await asyncio.wait([opening])
    opening.result()


def read_from_keyboard(prompt: str) -> str | None:
    """A line from standard input; None at its end."""
    if sys.stdin.isatty():
        try:
            return input(prompt)
        except (EOFError, KeyboardInterrupt):
            return None
    line = sys.stdin.buffer.readline()
    return line.decode("utf-8", errors="replace").rstrip("\r\n") if line else None
