"""What the Office formats share: a zip of XML that is looked over before any library opens it."""

from __future__ import annotations

import lzma
import zipfile
import zlib
from pathlib import Path

from knowledge.readers.refusals import Unreadable

MAX_UNPACKED = 500 * 1024 * 1024
MAX_RATIO = 300  # of a part larger than 10 MB: ordinary XML packs 10 to 40 times
MAX_PARTS = 40_000
# what Python's zipfile raises on archives that are damaged, cut or locked
BROKEN_ZIP = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, OSError, ValueError, EOFError, NotImplementedError, RuntimeError)
# … and what the Office libraries raise, besides errors of their own, when parts are missing or not what they should be
BROKEN_OFFICE = (*BROKEN_ZIP, KeyError, AttributeError, IndexError, TypeError, AssertionError, SyntaxError)


def inspect(path: Path) -> tuple[str, ...]:
    """Refuses zip bombs, entity declarations and broken archives; remarks on macros and external links."""
    try:
        with zipfile.ZipFile(path) as archive:
            check_sizes(archive, path.name)
            for info in archive.infolist():
                if info.filename.endswith((".xml", ".rels")):
                    with archive.open(info) as part:
                        head = part.read(4096).replace(b"\x00", b"").lower()
                    if b"<!doctype" in head or b"<!entity" in head:
                        raise Unreadable(path.name, "dtd")
            names = archive.namelist()
    except BROKEN_ZIP as error:
        raise Unreadable(path.name, "password" if "password" in str(error) else "damaged") from None
    return ("macros",) if any(name.endswith("vbaProject.bin") for name in names) else ()


def check_sizes(archive: zipfile.ZipFile, name: str) -> None:
    parts = archive.infolist()
    if len(parts) > MAX_PARTS or sum(part.file_size for part in parts) > MAX_UNPACKED:
        raise Unreadable(name, "bomb")
    for part in parts:
        if part.file_size > 10 * 1024 * 1024 and part.file_size > MAX_RATIO * max(1, part.compress_size):
            raise Unreadable(name, "bomb")


def row_line(cells: list[str]) -> str:
    """A table row on one line, `| a | b |`; empty when no cell has text."""
    cleaned = [" ".join(cell.split()).replace("|", "/") for cell in cells]
    return "| " + " | ".join(cleaned) + " |" if any(cleaned) else ""
