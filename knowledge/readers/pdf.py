"""PDF: one page a page; wrapped lines are joined, larger type is a heading, ruled tables become rows."""

from __future__ import annotations

import re
import statistics
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from knowledge.passages import Page
from knowledge.readers import MAX_PAGES
from knowledge.readers.office import row_line
from knowledge.readers.refusals import Unreadable

LARGER = 1.18  # a heading's type is this much larger than the page's ordinary type
TABLE_PAGES = 200  # tables are looked for on at most so many pages: it costs a tenth of a second each
_PASSWORD, _UNKNOWN_SECURITY = 4, 5  # pdfium's error numbers
_BULLET = re.compile(r"^\s*(?:[•●○▪■◆◇➢►▶✓✔·–—*-]|[\uf000-\uf0ff])\s*(?=\S)")


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a page: its text, the height of its type, and where it stands (points, y upwards)."""

    text: str
    height: float
    left: float
    right: float
    y: float


def read(path: Path) -> Iterator[Page]:
    import pypdfium2

    try:
        document = pypdfium2.PdfDocument(path)
    except pypdfium2.PdfiumError as error:
        code = getattr(error, "err_code", None)
        raise Unreadable(path.name, "password" if code in (_PASSWORD, _UNKNOWN_SECURITY) or "password" in str(error).lower() else "damaged") from None
    try:
        if len(document) > MAX_PAGES:
            raise Unreadable(path.name, "too_many_pages", limit=MAX_PAGES)
        tables = Tables(path)
        for index in range(len(document)):
            yield _page(document, index, tables)
    except pypdfium2.PdfiumError:
        raise Unreadable(path.name, "damaged") from None
    finally:
        document.close()


def _page(document: Any, index: int, tables: Tables) -> Page:
    page = document[index]
    text_page = page.get_textpage()
    try:
        lines = _lines(text_page)
        drawn, pictures = _objects(page)
        found = tables.of(index, page.get_height()) if drawn >= 4 and lines else []
    finally:
        text_page.close()
        page.close()
    text = "\n".join(_marked(_with_tables(lines, found)))
    remarks = ("scan",) if pictures and not text.strip() else ("garbled",) if _garbled(text) else ()
    return Page(f"p. {index + 1}", text, number=index + 1, remarks=remarks)


def _lines(text_page: Any) -> list[Line]:
    import pypdfium2.raw as pdfium

    text = text_page.get_text_range()
    found: list[Line] = []
    for match in re.finditer(r"[^\r\n]+", text):
        shown = match[0].rstrip().replace("\ufffe", "-")
        if not shown.strip():
            continue
        first = match.start() + len(shown) - len(shown.lstrip())
        start = pdfium.FPDFText_GetCharIndexFromTextIndex(text_page, first)
        end = pdfium.FPDFText_GetCharIndexFromTextIndex(text_page, match.start() + len(shown) - 1)
        left, bottom, _, top = text_page.get_charbox(max(start, 0), loose=True)
        right = text_page.get_charbox(max(end, 0), loose=True)[2]
        found.append(Line(_tidy(shown), top - bottom, left, right, (top + bottom) / 2))
    return found


def _tidy(text: str) -> str:
    """Compatibility forms of Han characters (Kangxi radicals) become the ordinary ones; nothing else changes."""
    return "".join(unicodedata.normalize("NFKC", char) if "\u2e80" <= char <= "\u2fdf" or "\uf900" <= char <= "\ufaff" else char for char in text).strip()


def _objects(page: Any) -> tuple[int, int]:
    """How many drawn paths and pictures a page holds (counted up to 400 objects)."""
    import pypdfium2.raw as pdfium

    paths = pictures = 0
    for index in range(min(pdfium.FPDFPage_CountObjects(page), 400)):
        kind = pdfium.FPDFPageObj_GetType(pdfium.FPDFPage_GetObject(page, index))
        paths += kind == pdfium.FPDF_PAGEOBJ_PATH
        pictures += kind in (pdfium.FPDF_PAGEOBJ_IMAGE, pdfium.FPDF_PAGEOBJ_FORM)
    return paths, pictures


def _marked(lines: Sequence[Line]) -> Iterator[str]:
    """Lines with `# ` and `- ` marks, wrapped ones joined."""
    if not lines:
        return
    weights = [line.height for line in lines for _ in range(max(1, len(line.text) // 10))]
    ordinary = statistics.median(weights)
    margin = max(line.right for line in lines)
    waiting: Line | None = None
    for line in lines:
        if waiting is not None and _goes_on(waiting, line, margin):
            waiting = replace(line, text=_joined(waiting.text, line.text), left=waiting.left)
            continue
        if waiting is not None:
            yield from _mark(waiting, ordinary)
        waiting = line
    if waiting is not None:
        yield from _mark(waiting, ordinary)


def _mark(line: Line, ordinary: float) -> Iterator[str]:
    if line.text.startswith("| "):
        yield line.text
    elif line.height > ordinary * LARGER and len(line.text) <= 120 and not line.text.endswith(("。", "；", "，")):
        yield from ("", f"# {line.text}", "")
    else:
        yield _BULLET.sub("- ", line.text)


def _goes_on(before: Line, after: Line, margin: float) -> bool:
    """Is `after` the rest of a wrapped line? The first part reached the right margin in the same type."""
    if before.text.startswith("| ") or after.text.startswith("| ") or _BULLET.match(after.text):
        return False
    same_type = abs(before.height - after.height) < 0.08 * before.height
    near = 0 < before.y - after.y < 2.2 * before.height
    full = before.right > margin - 2.5 * before.height
    return same_type and near and full and before.text[-1] not in "。！？：；.!?:;" and not re.match(r"\d+[.、)）]", after.text)


def _joined(before: str, after: str) -> str:
    if before.endswith("-") and before[-2:-1].isalpha() and after[:1].islower():
        return before[:-1] + after
    wide = before[-1] > "\u2e7f" or after[0] > "\u2e7f"
    return before + after if wide else f"{before} {after}"


def _garbled(text: str) -> bool:
    """Fonts without a character map give private-use or replacement characters."""
    odd = sum(char == "\ufffd" or unicodedata.category(char) in ("Co", "Cn") for char in text)
    return odd > 0.2 * len(text) > 0


@dataclass(frozen=True, slots=True)
class Table:
    """A ruled table: its upper and lower edge (points, y upwards) and its rows."""

    top: float
    bottom: float
    rows: tuple[str, ...]


class Tables:
    """Ruled tables, found by pdfplumber on the pages that draw lines."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._document: Any = None
        self._left = TABLE_PAGES

    def of(self, index: int, height: float) -> list[Table]:
        if self._left <= 0:
            return []
        self._left -= 1
        try:
            return self._find(index, height)
        except Exception:  # pdfminer raises anything on odd files; the page's plain text stands without its tables
            self._left = 0
            return []

    def _find(self, index: int, height: float) -> list[Table]:
        import pdfplumber

        if self._document is None:
            self._document = pdfplumber.open(self._path)
        page = self._document.pages[index]
        found = []
        for table in page.find_tables():
            rows = [row_line([_tidy(cell or "").replace("\n", " ") for cell in row]) for row in table.extract()]
            rows = [row for row in rows if row]
            if len(rows) >= 2 and max(row.count(" | ") for row in rows) >= 1:
                found.append(Table(height - table.bbox[1], height - table.bbox[3], tuple(rows)))
        page.close()
        return found


def _with_tables(lines: Sequence[Line], tables: Sequence[Table]) -> list[Line]:
    """The lines inside a table's edges give way to its rows."""
    found: list[Line] = []
    shown: set[int] = set()
    for line in lines:
        inside = next((i for i, table in enumerate(tables) if table.bottom - 1 <= line.y <= table.top + 1), None)
        if inside is None:
            found.append(line)
        elif inside not in shown:
            shown.add(inside)
            found += [replace(line, text=row) for row in tables[inside].rows]
    return found
