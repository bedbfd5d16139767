"""PowerPoint: one page a slide, its title as heading; lists, tables, groups, charts and SmartArt; notes apart."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from knowledge.passages import Page
from knowledge.readers.office import BROKEN_OFFICE, inspect, row_line
from knowledge.readers.refusals import Unreadable

_A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"


def read(path: Path) -> Iterator[Page]:
    from lxml.etree import LxmlError
    from pptx import Presentation
    from pptx.exc import PythonPptxError

    remarks = inspect(path)
    try:
        deck = Presentation(str(path))
        slides = deck.slides
        for number, slide in enumerate(slides, 1):
            yield from _slide(slide, number, remarks if number == 1 else ())
    except (PythonPptxError, LxmlError, *BROKEN_OFFICE) as error:
        raise Unreadable(path.name, "damaged") from error


def _slide(slide: Any, number: int, remarks: tuple[str, ...]) -> Iterator[Page]:
    title_shape = slide.shapes.title
    title = _one_line(title_shape.text_frame.text) if title_shape is not None and title_shape.has_text_frame else ""
    lines: list[str] = []
    pictures = 0
    for shape in _in_reading_order(slide.shapes):
        if title_shape is not None and shape.shape_id == title_shape.shape_id:
            continue
        pictures += shape.shape_type is not None and "PICTURE" in str(shape.shape_type)
        if found := _shape_lines(shape, slide):
            lines += ["", *found] if lines else found
    notes = _notes(slide)
    if slide._element.get("show") == "0":
        remarks = (*remarks, "hidden")
    if pictures and not lines:
        remarks = (*remarks, "scan")
    yield Page(f"slide {number}", "\n".join(lines), heading=title, number=number, remarks=remarks)
    if notes:
        yield Page(f"slide {number}", notes.replace("\v", "\n"), heading=title, kind="notes", number=number)


def _notes(slide: Any) -> str:
    """What the presenter says. LibreOffice writes notes into an ordinary text box instead of the notes placeholder."""
    if not slide.has_notes_slide:
        return ""
    if slide.notes_slide.notes_text_frame is not None:
        return str(slide.notes_slide.notes_text_frame.text).strip()
    boxes = [shape for shape in slide.notes_slide.shapes if shape.has_text_frame and not shape.is_placeholder]
    return "\n".join(shape.text_frame.text.strip() for shape in boxes).strip()


def _one_line(text: str) -> str:
    return " ".join(text.replace("\v", " ").split())


def _in_reading_order(shapes: Any) -> Iterator[Any]:
    """Top to bottom, then left to right; the members of a group stay together."""
    for shape in sorted(shapes, key=lambda item: ((item.top or 0) // 300_000, item.left or 0)):
        if shape.shape_type is not None and "GROUP" in str(shape.shape_type):
            yield from _in_reading_order(shape.shapes)
        else:
            yield shape


def _shape_lines(shape: Any, slide: Any) -> list[str]:
    if shape.has_text_frame:
        return [line for line in (_paragraph(item, shape) for item in shape.text_frame.paragraphs) if line]
    if getattr(shape, "has_table", False) and shape.has_table:
        rows = [row_line([cell.text for cell in row.cells]) for row in shape.table.rows]
        return [row for row in rows if row]
    if getattr(shape, "has_chart", False) and shape.has_chart:
        return _chart(shape.chart)
    return _smart_art(shape, slide)


def _paragraph(paragraph: Any, shape: Any) -> str:
    text = _one_line("".join(run.text for run in paragraph.runs) or paragraph.text)
    if not text:
        return ""
    bulleted = paragraph.level > 0 or _has_bullet(paragraph) or (shape.is_placeholder and "BODY" in str(shape.placeholder_format.type))
    return f"{'  ' * paragraph.level}- {text}" if bulleted or _is_list(shape) else text


def _has_bullet(paragraph: Any) -> bool:
    properties = paragraph._p.pPr
    return properties is not None and any(child.tag in (f"{_A}buChar", f"{_A}buAutoNum") for child in properties)


def _is_list(shape: Any) -> bool:
    """An object placeholder with several paragraphs is PowerPoint's ordinary bullet list."""
    if not shape.is_placeholder or "OBJECT" not in str(shape.placeholder_format.type):
        return False
    return sum(bool(item.text.strip()) for item in shape.text_frame.paragraphs) > 1


def _chart(chart: Any) -> list[str]:
    title = [_one_line(chart.chart_title.text_frame.text)] if chart.has_title and chart.chart_title.has_text_frame else []
    try:
        plot = chart.plots[0]
        names = [str(item) for item in plot.categories]
        rows = [row_line([series.name or "", *(f"{value:g}" if value is not None else "" for value in series.values)]) for series in plot.series]
    except (IndexError, KeyError, ValueError, TypeError):
        return title
    return [*title, *(row for row in (row_line(["", *names]), *rows) if row)]


def _smart_art(shape: Any, slide: Any) -> list[str]:
    """The texts of a SmartArt diagram stand in a part of their own."""
    from lxml import etree

    if b"drawingml/2006/diagram" not in etree.tostring(shape._element):
        return []
    found = []
    for relation in slide.part.rels.values():
        if relation.reltype.endswith("/diagramData") and not relation.is_external:
            root = etree.fromstring(relation.target_part.blob, etree.XMLParser(resolve_entities=False, no_network=True))
            points = root.iter("{http://schemas.openxmlformats.org/drawingml/2006/diagram}pt")
            texts = ("".join(item.text or "" for item in point.iter(f"{_A}t")) for point in points)
            found += [f"- {_one_line(text)}" for text in texts if text.strip()]
    return found
