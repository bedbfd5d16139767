"""Markdown: front matter is left out, underlined headings become `# ` headings, the rest stays as written."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from knowledge.passages import Page
from knowledge.readers.text import decode

_FRONT = re.compile(r"\A---[ \t]*\n.*?\n---[ \t]*(?:\n|\Z)", re.DOTALL)
_UNDERLINED = re.compile(r"^(?![ \t]*(?:[-*+>|#]|\d+\.))(\S[^\n]*)\n(=+|-{2,})[ \t]*$", re.MULTILINE)
_LINK = re.compile(r"!?\[([^\]\n]*)\]\([^)\n]*\)")
_EMPHASIS = re.compile(r"(\*\*|__)(?=\S)([^\n]*?\S)\1")


def read(path: Path) -> Iterator[Page]:
    text, remarks = decode(path.read_bytes(), path.name)
    yield Page("", plain(text), remarks=remarks)


def plain(text: str) -> str:
    """Markdown without front matter, links' targets and emphasis; code fences stay untouched."""
    pieces = re.split(r"(^```.*?^```[ \t]*$)", _FRONT.sub("", text), flags=re.MULTILINE | re.DOTALL)
    return "".join(piece if piece.startswith("```") else _plain(piece) for piece in pieces)


def _plain(text: str) -> str:
    text = _UNDERLINED.sub(lambda match: f"{'#' if match[2][0] == '=' else '##'} {match[1]}", text)
    text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    text = re.sub(r"^(#{1,6} .*?)[ \t]*#*[ \t]*$", r"\1", text, flags=re.MULTILINE)
    text = re.sub(r"^\|?[ \t]*:?-{2,}:?[ \t]*(\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$\n?", "", text, flags=re.MULTILINE)
    return _EMPHASIS.sub(r"\2", _LINK.sub(r"\1", text))
