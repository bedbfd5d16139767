"""HTML: visible text with headings, lists and tables; scripts, styles and navigation are left out, nothing is fetched."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from knowledge.passages import Page
from knowledge.readers.text import checked, decode

_SILENT = frozenset(["script", "style", "noscript", "template", "nav", "header", "footer", "aside", "svg", "iframe", "object", "form", "button", "head"])
_BLOCKS = frozenset(["p", "div", "section", "article", "main", "ul", "ol", "dl", "dt", "dd", "blockquote", "pre", "figure", "figcaption", "br", "hr", "body"])

# no page that names its encoding in plain letters is written in these; some of them make half characters
_NO_CHARSETS = frozenset(["unicode-escape", "raw-unicode-escape", "utf-7", "idna", "punycode", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])


def read(path: Path) -> Iterator[Page]:
    from selectolax.lexbor import LexborHTMLParser

    data = path.read_bytes()
    declared = re.search(rb"charset=[\"']?([\w-]+)", data[:2048])
    text, remarks = _decode(data, declared.group(1).decode() if declared else "", path.name)
    tree = LexborHTMLParser(text)
    title = tree.css_first("title")
    lines: list[str] = []
    if tree.body is not None:
        _walk(tree.body, lines)
    body = re.sub(r"\n{3,}", "\n\n", "\n".join(re.sub(r"[ \t\xa0]+", " ", line).strip() for line in "".join(lines).split("\n")))
    yield Page("", body.strip(), heading=title.text(strip=True) if title else "", remarks=remarks)


def _decode(data: bytes, declared: str, name: str) -> tuple[str, tuple[str, ...]]:
    if declared and declared.lower() not in ("utf-8", "utf8"):
        try:
            encoding = "gb18030" if declared.lower() in ("gb2312", "gbk") else codecs.lookup(declared).name
            if encoding not in _NO_CHARSETS:
                return checked(data.decode(encoding), name), (f"encoding:{encoding}",)
        except (LookupError, UnicodeError):
            pass
    return decode(data, name)


def _walk(root: Any, out: list[str]) -> None:
    """Text pieces of the tree in order. Iterative: pages in the wild nest thousands of levels deep."""
    stack: list[Any] = [root]
    while stack:
        node = stack.pop()
        if isinstance(node, str):
            out.append(node)
            continue
        tag = node.tag
        if tag == "-text":
            out.append(re.sub(r"\s+", " ", node.text_content or ""))
            continue
        if tag in _SILENT or tag.startswith("-") or tag == "_comment":
            continue
        before, after = _around(node, tag)
        stack.append(after)
        if tag == "table":
            stack.append(_table(node))
        else:
            stack.extend(reversed(list(node.iter(include_text=True))))
        stack.append(before)


def _around(node: Any, tag: str) -> tuple[str, str]:
    if re.fullmatch(r"h[1-6]", tag):
        return f"\n\n{'#' * int(tag[1])} ", "\n\n"
    if tag == "li":
        return "\n- ", "\n"
    return ("\n", "\n") if tag in _BLOCKS or tag == "table" else ("", "")


def _table(table: Any) -> str:
    rows = []
    for row in table.css("tr"):
        cells = [" ".join(cell.text(separator=" ").split()) for cell in row.iter() if cell.tag in ("td", "th")]
        if any(cells):
            rows.append("| " + " | ".join(cells) + " |")
    return "\n".join(rows)
