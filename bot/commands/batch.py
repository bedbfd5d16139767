"""The batch form: JSON Lines in and out, answered in order; a bad row gets an error and the rest go on."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import IO, Any

from bot.commands import ProgressLine, lines_of
from bot.errors import CannotHelp, CoachError, SetupProblem
from bot.phrases import say

Answer = Callable[[Mapping[str, Any]], Awaitable[dict[str, Any]]]


class BadRow(CoachError):
    """A row that cannot be answered; the text names the key, the reason and the cure."""


def add_batch_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--batch", type=Path, metavar="IN", help="JSON Lines file with one row a line (- for standard input)")
    parser.add_argument("--out", type=Path, metavar="OUT", help="where the answers go (default: standard output)")


async def run_batch(source: Path, target: Path | None, answer: Answer) -> int:
    """Answer every row of `source`; 0 if all were answered, 1 if some had errors."""
    rows = list(lines_of(Path("/dev/stdin") if str(source) == "-" else source))
    progress, failed = ProgressLine(), 0
    with _open_out(target) as out:
        for done, (number, line) in enumerate(rows, 1):
            result = await _answer_line(number, line, answer)
            failed += "error" in result
            out.write(json.dumps(result, ensure_ascii=False) + "\n")
            out.flush()
            if len(rows) > 20:
                progress("rows", done, len(rows))
    return 1 if failed else 0


def _open_out(target: Path | None) -> IO[str]:
    if target is None:
        return open(sys.stdout.fileno(), "w", encoding="utf-8", closefd=False)
    if not target.parent.is_dir():
        raise SetupProblem(f"{target}: the folder {target.parent} does not exist. Create it or choose another --out.")
    return target.open("w", encoding="utf-8")


async def _answer_line(number: int, line: str, answer: Answer) -> dict[str, Any]:
    row_id: Any = None
    try:
        row = json.loads(line)
        if not isinstance(row, dict):
            raise BadRow(f"line {number} is not a JSON object; write {{\"id\": …, …}}")
        row_id = row.get("id")
        started = time.perf_counter()
        result = await answer(row)
        return {"id": row_id, **result, "ms": round((time.perf_counter() - started) * 1000, 2)}
    except json.JSONDecodeError as error:
        return {"id": None, "error": f"line {number} is not JSON ({error.msg}); write one object a line"}
    except CannotHelp as error:
        return {"id": row_id, "error": say("en", error.phrase, **error.values)}
    except CoachError as error:
        return {"id": row_id, "error": str(error)}


def text_of(row: Mapping[str, Any], key: str = "text") -> str:
    """A required, non-empty text of a row."""
    value = row.get(key)
    if not isinstance(value, str):
        raise BadRow(f"{key!r} is missing or not a text; give the row a {key!r} with the message")
    if not value.strip():
        raise BadRow(f"{key!r} is empty; write a message in it")
    return value
