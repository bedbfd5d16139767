"""The command line: one file a family of commands, listed in `bot/__main__.py`.

Each module has `configure(parser)` and `run(options) -> int` (or an async `run`). Exit codes: 0 all well, 1 some rows
or checks failed, 2 nothing could be run.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import inspect
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bot.errors import CoachError
from bot.logbook import open_logbook
from bot.settings import Settings, read_settings


def run_command(module: str, options: argparse.Namespace) -> int:
    """Run a command; errors that we raise on purpose become one message on standard error and exit code 2."""
    _log_to_stderr(options)
    try:
        command = importlib.import_module(f"bot.commands.{module}")
        result = command.run(options)
        if not inspect.iscoroutine(result):
            return int(result)
        with asyncio.Runner(loop_factory=_quick_loop() if getattr(command, "SERVES", False) else None) as runner:
            return int(runner.run(result))
    except CoachError as error:
        print(f"coach: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"coach: {error.filename or 'input/output'}: {error.strerror or error}. {_cure(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _quick_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """The event loop of programs that serve many people; None (Python's own) where uvloop does not exist."""
    try:
        import uvloop
    except ImportError:  # Windows
        return None
    return uvloop.new_event_loop


def _cure(error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return "Check the path."
    if isinstance(error, PermissionError):
        return "Check who may read or write it."
    return "Free some disk space or check the device." if error.errno == 28 else ""


def _log_to_stderr(options: argparse.Namespace) -> None:
    open_logbook("WARNING", "text", verbose=getattr(options, "verbose", False))


def settings_of(options: argparse.Namespace) -> Settings:
    """Settings with what the command line overrides: --data, --model."""
    overrides: dict[str, Any] = {}
    if model := getattr(options, "model", None):
        overrides["llm"] = None if model == "none" else model
    data: Path | None = getattr(options, "data", None)
    return read_settings(data, **overrides)


class ProgressLine:
    """Progress of long work on standard error: a bar in a terminal, a line per tenth elsewhere."""

    def __init__(self) -> None:
        self._told = ("", -1)

    def __call__(self, what: str, done: int, total: int) -> None:
        tenth = 10 * done // max(1, total)
        if sys.stderr.isatty():
            end = "\n" if done >= total else ""
            print(f"\r{what} {'█' * tenth}{'░' * (10 - tenth)} {done}/{total}", end=end, file=sys.stderr, flush=True)
        elif (what, tenth) != self._told:
            print(f"{what} {done}/{total}", file=sys.stderr, flush=True)
        self._told = (what, tenth)


def lines_of(path: Path) -> Iterator[tuple[int, str]]:
    """Non-empty lines of a UTF-8 file with their 1-based numbers; undecodable bytes are replaced."""
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                yield number, line
