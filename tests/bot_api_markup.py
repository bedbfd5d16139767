"""Parses message markup as the Bot API server does: text and entities out, its error texts on bad input."""

from __future__ import annotations

import re
from typing import Any

TAGS = {
    "b": "bold", "strong": "bold", "i": "italic", "em": "italic", "u": "underline", "ins": "underline",
    "s": "strikethrough", "strike": "strikethrough", "del": "strikethrough", "code": "code", "pre": "pre",
    "a": "text_link", "blockquote": "blockquote", "tg-spoiler": "spoiler", "span": "spoiler", "tg-emoji": "custom_emoji",
}  # fmt: skip
CHARS = {"lt": "<", "gt": ">", "amp": "&", "quot": '"'}
RESERVED = "_*[]()~`>#+-=|{}.!"
STYLES = {"*": "Bold", "_": "Italic", "__": "Underline", "~": "Strikethrough", "||": "Spoiler", "`": "Code", "```": "Pre"}


class BadMarkup(ValueError):
    """The text cannot be parsed; the message is the server's."""


def utf16(text: str) -> int:
    """Length in UTF-16 code units, which entity offsets are counted in."""
    return len(text.encode("utf-16-le")) // 2


def parse(text: str, mode: str | None) -> tuple[str, list[dict[str, Any]]]:
    """Plain text and entities of a text in a parse mode (HTML, Markdown, MarkdownV2 or none)."""
    mode = (mode or "").lower()
    if mode == "html":
        return _html(text)
    if mode == "markdownv2":
        return _markdown_v2(text), []
    if mode == "markdown":
        return _markdown(text), []
    if mode:
        raise BadMarkup("unsupported parse_mode")
    return text, []


def _html(text: str) -> tuple[str, list[dict[str, Any]]]:
    out, entities, stack = "", [], []
    position = 0
    while position < len(text):
        char, offset = text[position], len(text[:position].encode())
        if char == "&":
            found = re.match(r"&(#\d+|#x[0-9a-fA-F]+|\w+);", text[position:])
            known = found and (CHARS.get(found[1]) or _numbered(found[1]))
            out += known or "&"
            position += len(found[0]) if found and known else 1
        elif char != "<":
            out += char
            position += 1
        elif text.startswith("</", position):
            position = _close(text, position, offset, stack, entities, out)
        else:
            position = _open(text, position, offset, stack, out)
    if stack:
        raise BadMarkup(f'Can\'t find end tag corresponding to start tag "{stack[-1][0]}"')
    return out, entities


def _numbered(name: str) -> str | None:
    if not name.startswith("#"):
        return None
    return chr(int(name[2:], 16) if name[1] in "xX" else int(name[1:]))


def _open(text: str, position: int, offset: int, stack: list[Any], out: str) -> int:
    end = text.find(">", position)
    if end < 0:
        raise BadMarkup(f"Unclosed start tag at byte offset {offset}")
    name, _, rest = text[position + 1 : end].partition(" ")
    if name.lower() not in TAGS or (name.lower() == "span" and 'class="tg-spoiler"' not in rest):
        raise BadMarkup(f'Unsupported start tag "{name.lower()}" at byte offset {offset}')
    stack.append((name.lower(), utf16(out), rest))
    return end + 1


def _close(text: str, position: int, offset: int, stack: list[Any], entities: list[Any], out: str) -> int:
    end = text.find(">", position)
    if end < 0:
        raise BadMarkup(f"Unclosed end tag at byte offset {offset}")
    name = text[position + 2 : end].strip().lower()
    if not stack:
        raise BadMarkup(f"Unexpected end tag at byte offset {offset}")
    opened, start, rest = stack.pop()
    if name != opened:
        raise BadMarkup(f'Unmatched end tag at byte offset {offset}, expected "</{opened}>", found "</{name}>"')
    kind = "expandable_blockquote" if opened == "blockquote" and "expandable" in rest else TAGS[opened]
    entity = {"type": kind, "offset": start, "length": utf16(out) - start}
    if opened == "a":
        entity["url"] = (re.search(r'href="([^"]*)"', rest) or ["", ""])[1]
    if entity["length"]:
        entities.append(entity)
    return end + 1


def _markdown_v2(text: str) -> str:
    """Escapes and paired styles; links are checked for their closing bracket."""
    out, opened, position = "", [], 0
    while position < len(text):
        char, offset = text[position], len(text[:position].encode())
        mark = next((m for m in ("```", "__", "||", "*", "_", "~", "`") if text.startswith(m, position)), None)
        if char == "\\" and position + 1 < len(text):
            out += text[position + 1]
            position += 2
        elif mark:
            if opened and opened[-1][0] == mark:
                opened.pop()
            else:
                opened.append((mark, offset))
            position += len(mark)
        elif char == "[":
            link = re.match(r"\[([^\]]*)\]\(([^)]*)\)", text[position:])
            if link is None:
                raise BadMarkup(f"Can't find end of a URL at byte offset {offset}")
            out += link[1]
            position += len(link[0])
        elif char in RESERVED and not (char == ">" and text[position - 1 : position] in ("", "\n")):
            raise BadMarkup(f"Character '{char}' is reserved and must be escaped with the preceding '\\'")
        else:
            out += char
            position += 1
    if opened:
        raise BadMarkup(f"Can't find end of {STYLES[opened[-1][0]]} entity at byte offset {opened[-1][1]}")
    return out


def _markdown(text: str) -> str:
    for mark in ("*", "_", "`"):
        places = [found.start() for found in re.finditer(rf"(?<!\\){re.escape(mark)}", text)]
        if len(places) % 2:
            raise BadMarkup(f"Can't find end of the entity starting at byte offset {len(text[: places[-1]].encode())}")
    return re.sub(r"\\([_*`\[])|[*_`]", lambda found: found[1] or "", text)
