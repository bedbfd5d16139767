"""What is in a file: one reader per file type, each `read(path) -> Iterator[Page]`.

The type is told by content, not by the name alone. A page's text is light Markdown: `# ` starts a heading, `- ` a
list item, `| a | b |` a table row. Whatever cannot be read is an `Unreadable` with the reason and the cure.
"""

from __future__ import annotations

import importlib
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

from knowledge.passages import Page
from knowledge.readers.refusals import Unreadable

# kind of file → the module that reads it
READERS: dict[str, str] = {
    "text": "knowledge.readers.text",
    "markdown": "knowledge.readers.markdown",
    "html": "knowledge.readers.html",
    "pdf": "knowledge.readers.pdf",
    "pptx": "knowledge.readers.pptx",
    "docx": "knowledge.readers.docx",
    "xlsx": "knowledge.readers.xlsx",
    "csv": "knowledge.readers.csv",
    "zip": "knowledge.readers.archive",
}
SUFFIXES = frozenset(
    [".txt", ".text", ".md", ".markdown", ".html", ".htm", ".pdf", ".pptx", ".pptm", ".ppsx", ".docx", ".docm", ".xlsx", ".xlsm", ".csv", ".tsv", ".zip"]
)
MAX_BYTES = 100 * 1024 * 1024
MAX_PAGES = 6_000
MAX_CHARS = 4_000_000

_OFFICE = {"ppt/presentation.xml": "pptx", "word/document.xml": "docx", "xl/workbook.xml": "xlsx"}
_MAGIC = (
    (b"{\\rtf", "rtf"), (b"\x89PNG", "picture"), (b"\xff\xd8\xff", "picture"), (b"GIF8", "picture"), (b"BM", "picture"),
    (b"II*\x00", "picture"), (b"MM\x00*", "picture"), (b"\x7fELF", "program"), (b"MZ", "program"), (b"Rar!", "rar"),
    (b"7z\xbc\xaf", "rar"), (b"\x1f\x8b", "rar"), (b"OggS", "sound"), (b"ID3", "sound"), (b"RIFF", "sound"),
)  # fmt: skip


def kind_of(path: Path) -> str:
    """The key of READERS for a file, from its content; its name decides only between kinds of text."""
    size = path.stat().st_size
    if size == 0:
        raise Unreadable(path.name, "empty")
    if size > MAX_BYTES:
        raise Unreadable(path.name, "too_big", megabytes=size // 1_048_576, limit=MAX_BYTES // 1_048_576)
    with path.open("rb") as file:
        head = file.read(4096)
    if b"%PDF-" in head[:1024]:
        return "pdf"
    if head.startswith(b"PK"):
        return _zipped(path)
    if head.startswith(b"\xd0\xcf\x11\xe0"):
        raise Unreadable(path.name, "password" if _encrypted_office(path) else "old_office")
    for magic, what in _MAGIC:
        if head.startswith(magic) and not (what == "picture" and magic == b"BM" and _texty(head)):
            raise Unreadable(path.name, what)
    return _kind_of_text(path, head)


def _zipped(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            names = set(archive.namelist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        raise Unreadable(path.name, "damaged") from None
    for name, kind in _OFFICE.items():
        if name in names:
            return kind
    if "mimetype" in names or "[Content_Types].xml" in names:
        raise Unreadable(path.name, "other_office")
    return "zip"


def _encrypted_office(path: Path) -> bool:
    """A password-protected pptx/docx/xlsx is an OLE file with a stream of this name (UTF-16)."""
    with path.open("rb") as file:
        return "EncryptedPackage".encode("utf-16-le") in file.read(8 * 1_048_576)


def _texty(head: bytes) -> bool:
    return sum(byte < 9 for byte in head[:256]) == 0


def _kind_of_text(path: Path, head: bytes) -> str:
    suffix = path.suffix.lower()
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if suffix in (".html", ".htm") or re.match(rb"<(!doctype html|html|head|body)\b", start):
        return "html"
    if suffix in (".csv", ".tsv"):
        return "csv"
    if suffix in (".md", ".markdown") or start.startswith(b"---\n"):
        return "markdown"
    return "text"


def read(path: Path) -> Iterator[Page]:
    """The pages of any file that we can read, in order, within the limits. Raises Unreadable."""
    kind = kind_of(path)
    chars = 0
    for count, page in enumerate(importlib.import_module(READERS[kind]).read(path), 1):
        chars += len(page.text)
        if count > MAX_PAGES:
            raise Unreadable(path.name, "too_many_pages", limit=MAX_PAGES)
        if chars > MAX_CHARS:
            raise Unreadable(path.name, "too_long", limit=MAX_CHARS)
        yield page
