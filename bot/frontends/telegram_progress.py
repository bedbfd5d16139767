"""What a person sees while an answer is being worked on: a note, then the model's draft; the answer takes their place."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import Protocol

from bot.phrases import say
from bot.turns import Incoming, Language

log = logging.getLogger(__name__)

EVERY = 1.2  # seconds between two changes in a chat
PUT_LIMIT = 5.0  # seconds for one change; a slow platform must not hold the answer up
LONGEST = 3800  # characters shown of a draft


class Board(Protocol):
    """A place in a chat where something stands for a while."""

    async def put(self, text: str) -> None:
        """Show this instead of what stood there. Any error ends the showing."""

    async def clear(self) -> None:
        """Take away what stands there, if anything does; never raises."""


class Ongoing:
    """Shows the newest text, at most one change in `every` seconds. Trouble ends the showing, never the turn.

    After a crash the turn is made again, and what stood there goes on, is taken away, or runs out.
    """

    def __init__(self, board: Board, language: Callable[[], Awaitable[Language]], *, every: float = EVERY) -> None:
        self.board, self.language, self.every = board, language, every
        self.drafting = False  # a draft has been shown: notes are not needed any more
        self._text = self._stands = ""
        self._task: asyncio.Task[None] | None = None
        self._over = asyncio.Event()

    async def show(self, text: str) -> None:
        """The draft so far, marked as what it is."""
        if text:
            self.drafting = True
            self._put(say(await self.language(), "telegram.draft", text=text[:LONGEST]))

    async def note(self, phrase: str, seconds: float) -> None:
        """What is being done and for how long already, unless a draft is to be seen."""
        if not self.drafting:
            self._put(say(await self.language(), phrase, seconds=round(seconds)))

    def _put(self, text: str) -> None:
        self._text = text
        if not self._over.is_set() and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        while self._text != self._stands and not self._over.is_set():
            text = self._text
            try:
                await asyncio.wait_for(self.board.put(text), PUT_LIMIT)
            except Exception as error:
                log.info("an answer in the making is not shown: %s", type(error).__name__)
                self._over.set()
                return
            self._stands = text
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._over.wait(), self.every)

    async def close(self) -> None:
        """End it: what is on its way arrives first, so that nothing comes after the answer."""
        self._over.set()
        if self._task is not None:
            await self._task
        await self.board.clear()


def work_of(incoming: Incoming) -> str:
    """The phrase that says what takes long in a turn like this."""
    if incoming.attachment is not None:
        return "telegram.reading"
    if incoming.choice == "play:end" or (incoming.command == "roleplay" and incoming.text.startswith(("end", "结束"))):
        return "telegram.debriefing"
    return "telegram.working"
