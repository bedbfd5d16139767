"""Excel: one page for each sheet, a row a line, the first row as the header."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, time
from pathlib import Path
from typing import Any

from knowledge.passages import Page
from knowledge.readers.office import BROKEN_OFFICE, inspect, row_line
from knowledge.readers.refusals import Unreadable

MAX_ROWS = 50_000
MAX_COLUMNS = 100


def read(path: Path) -> Iterator[Page]:
    from lxml.etree import LxmlError
    from openpyxl import load_workbook
    from openpyxl.utils.exceptions import InvalidFileException

    remarks = inspect(path)
    try:
        book = load_workbook(path, read_only=True, data_only=True, keep_links=False)
        for number, sheet in enumerate(book.worksheets, 1):
            sheet.reset_dimensions()  # the stored size of a sheet may be a lie
            lines, more = table_lines(sheet.iter_rows(max_col=MAX_COLUMNS, values_only=True))
            notes = (*(remarks if number == 1 else ()), *(("rows_cut",) if more else ()))
            if sheet.sheet_state != "visible":
                notes = (*notes, "hidden")
            yield Page(f"sheet {sheet.title}", "\n".join(lines), heading=sheet.title, kind="table", number=number, remarks=notes)
    except (InvalidFileException, LxmlError, *BROKEN_OFFICE) as error:
        raise Unreadable(path.name, "damaged") from error


def table_lines(rows: Iterable[Iterable[Any]]) -> tuple[list[str], bool]:
    """Rows as lines, empty ones left out; True if rows were cut off at the limit."""
    lines: list[str] = []
    for row in rows:
        if line := row_line(_trimmed([_shown(value) for value in row])):
            lines.append(line)
        if len(lines) >= MAX_ROWS:
            return lines, True
    return lines, False


def _trimmed(cells: list[str]) -> list[str]:
    while cells and not cells[-1]:
        cells.pop()
    return cells


def _shown(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.date().isoformat() if value.time() == time() else value.isoformat(sep=" ", timespec="minutes")
    return f"{value:g}" if isinstance(value, float) else str(value)
