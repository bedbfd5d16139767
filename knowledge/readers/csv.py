"""CSV and TSV: like one Excel sheet; the delimiter is detected."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

from knowledge.passages import Page
from knowledge.readers.refusals import Unreadable
from knowledge.readers.text import decode
from knowledge.readers.xlsx import table_lines


def read(path: Path) -> Iterator[Page]:
    text, remarks = decode(path.read_bytes(), path.name)
    csv.field_size_limit(1_000_000)
    try:
        lines, more = table_lines(csv.reader(io.StringIO(text), _dialect(text, path.suffix.lower())))
    except csv.Error as error:
        raise Unreadable(path.name, "damaged") from error
    yield Page("", "\n".join(lines), heading=path.stem, kind="table", remarks=(*remarks, *(("rows_cut",) if more else ())))


def _dialect(text: str, suffix: str) -> type[csv.Dialect] | csv.Dialect:
    if suffix == ".tsv":
        return csv.excel_tab()
    try:
        return csv.Sniffer().sniff(text[:10_000], delimiters=",;\t，")
    except csv.Error:
        return csv.excel()
