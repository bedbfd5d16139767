"""What the Office formats share: a zip of XML that is looked over before any library opens it."""

from __future__ import annotations

import zipfile
from pathlib import Path

from knowledge.readers.refusals import Unreadable

MAX_UNPACKED = 500 * 1024 * 1024
MAX_RATIO = 300  # of a part larger than 10 MB: ordinary XML packs 10 to 40 times
MAX_PARTS = 40_000


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
    except (zipfile.BadZipFile, OSError, ValueError, EOFError, NotImplementedError, RuntimeError) as error:
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
