"""One line per event, with the turn it belongs to: for people by default, as JSON for machines by setting.

No line holds what somebody wrote or a secret: events name things by ids, errors by their type and place in the code.
"""

from __future__ import annotations

import contextlib
import json
import logging
import sys
import traceback
from collections.abc import Iterator
from contextvars import ContextVar
from datetime import UTC, datetime
from types import TracebackType
from typing import TextIO

NO_TURN = "-"
OURS = ("bot", "knowledge", "prompts", "__main__")
NOISY = ("httpx", "httpcore", "telegram", "uvicorn", "uvicorn.access", "aiosqlite", "asyncio", "chromadb", "sqlalchemy")
_turn: ContextVar[str] = ContextVar("turn", default=NO_TURN)
_Error = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


@contextlib.contextmanager
def turn(name: str) -> Iterator[None]:
    """Everything that is logged inside, in threads and tasks begun inside too, bears this turn's id."""
    token = _turn.set(name)
    try:
        yield
    finally:
        _turn.reset(token)


def current_turn() -> str:
    return _turn.get()


def where(error: BaseException) -> str:
    """The traceback without the error's text, which may quote what a person wrote."""
    return "".join(traceback.format_tb(error.__traceback__)) + type(error).__name__


class _Lines(logging.Formatter):
    """What both kinds of line have in common: an error is told by type and place, never by its text."""

    def formatException(self, ei: _Error) -> str:
        return where(ei[1]) if ei[1] is not None else ""


class HumanLines(_Lines):
    """`22:03:11 INFO bot.mailbox [tg-7-812345001] a turn was answered action=coach ms=21`."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S")
        name = f" [{current_turn()}]" if current_turn() != NO_TURN else ""
        facts = "".join(f" {key}={value}" for key, value in _facts(record).items())
        line = f"{at} {record.levelname} {record.name}{name} {_one_line(record.getMessage())}{facts}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class JsonLines(_Lines):
    """One JSON object a line: `at` (UTC), `level`, `logger`, `turn`, `event`, the event's facts, `error`."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"), "level": record.levelname,
            "logger": record.name, "turn": current_turn(), "event": record.getMessage(), **_facts(record),
        }  # fmt: skip
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


def _facts(record: logging.LogRecord) -> dict[str, object]:
    """What an event was logged with: `log.info("…", extra={"facts": {"ms": 21}})`."""
    facts = getattr(record, "facts", {})
    return facts if isinstance(facts, dict) else {}


def _one_line(text: str) -> str:
    """A traceback keeps its lines; anything else that tries to begin a line of its own is shown as it is."""
    return text if "\n  File " in text else text.replace("\r", "\\r").replace("\n", "\\n")


def open_logbook(level: str, form: str, *, verbose: bool = False, stream: TextIO | None = None) -> None:
    """Send all logs to standard error in the configured form (`text`, `json`)."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines() if form == "json" else HumanLines())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    quiet_libraries(level, verbose=verbose)


def quiet_libraries(level: str, *, verbose: bool = False) -> None:
    """Our own log at `level`. httpx would write the token (it is part of every address): libraries never below warning."""
    for name in OURS:
        logging.getLogger(name).setLevel(logging.DEBUG if verbose else level)
    for name in NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)
