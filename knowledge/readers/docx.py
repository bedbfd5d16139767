"""Word: headings, paragraphs, lists and tables in the order of the document."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from knowledge.passages import Page
from knowledge.readers.office import BROKEN_OFFICE, inspect, row_line
from knowledge.readers.refusals import Unreadable

_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"


def read(path: Path) -> Iterator[Page]:
    from docx import Document
    from docx.opc.exceptions import OpcError
    from lxml.etree import LxmlError

    remarks = inspect(path)
    try:
        document = Document(str(path))
        levels = _heading_levels(document)
        lines = list(_lines(document.element.body, levels))
        title = (document.core_properties.title or "").strip()
    except (OpcError, LxmlError, *BROKEN_OFFICE) as error:
        raise Unreadable(path.name, "damaged") from error
    yield Page("", "\n".join(lines), heading=title, remarks=remarks)


def _heading_levels(document: Any) -> dict[str, int]:
    """Style id → heading level, from the styles' names and outline levels (also through their base style)."""
    levels: dict[str, int] = {}
    for style in document.styles.element.iter(f"{_W}style"):
        name = style.find(f"{_W}name")
        match = re.fullmatch(r"(?:heading|标题)\s*(\d)", (name.get(f"{_W}val") or "").lower() if name is not None else "")
        outline = style.find(f"{_W}pPr/{_W}outlineLvl")
        if match:
            levels[style.get(f"{_W}styleId")] = int(match[1])
        elif outline is not None and int(outline.get(f"{_W}val") or 9) < 9:
            levels[style.get(f"{_W}styleId")] = int(outline.get(f"{_W}val") or 0) + 1
        elif name is not None and (name.get(f"{_W}val") or "").lower() == "title":
            levels[style.get(f"{_W}styleId")] = 1
    return levels


def _lines(body: Any, levels: dict[str, int]) -> Iterator[str]:
    for child in body:
        if child.tag == f"{_W}p":
            yield from _paragraph(child, levels)
        elif child.tag == f"{_W}tbl":
            yield from ("", *_table(child), "")
        elif child.tag == f"{_W}sdt":
            for content in child.iter(f"{_W}sdtContent"):
                yield from _lines(content, levels)


def _paragraph(element: Any, levels: dict[str, int]) -> Iterator[str]:
    text = _text(element)
    if text.strip():
        style = element.find(f"{_W}pPr/{_W}pStyle")
        own = element.find(f"{_W}pPr/{_W}outlineLvl")
        name = style.get(f"{_W}val") if style is not None else ""
        level = levels.get(name, 0)
        if own is not None and (own.get(f"{_W}val") or "9").isdigit() and int(own.get(f"{_W}val") or 9) < 9:
            level = int(own.get(f"{_W}val") or 0) + 1
        listed = element.find(f"{_W}pPr/{_W}numPr") is not None or name.lower().startswith("list")
        mark = f"{'#' * min(level, 6)} " if level else "- " if listed else ""
        yield from (("",) if level else ())
        yield mark + (" ".join(text.split()) if mark else text)
        if not listed:
            yield ""
    for box in element.iter(f"{_W}txbxContent"):
        yield from _lines(box, levels)


def _text(element: Any) -> str:
    """The paragraph's own text: no deleted text, no text boxes (they follow), one copy of alternate content."""
    pieces: list[str] = []
    skip = {f"{_W}del", f"{_W}txbxContent", f"{_W}instrText", "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"}
    stack = list(reversed(element))
    while stack:
        node = stack.pop()
        if node.tag in skip:
            continue
        if node.tag == f"{_W}t":
            pieces.append(node.text or "")
        elif node.tag in (f"{_W}tab", f"{_W}br", f"{_W}cr"):
            pieces.append(" " if node.tag == f"{_W}tab" else "\n")
        stack.extend(reversed(node))
    return "".join(pieces)


def _table(table: Any) -> list[str]:
    """One line a row; a table inside a cell is read into that cell."""
    rows = []
    for row in table.iterchildren(f"{_W}tr"):
        cells = [" ".join(_text(item) for item in cell.iter(f"{_W}p")) for cell in row.iterchildren(f"{_W}tc")]
        if line := row_line(cells):
            rows.append(line)
    return rows
