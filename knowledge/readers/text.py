"""Plain text as found in the wild: the encoding is detected, form feeds are page breaks."""

from __future__ import annotations

import codecs
import unicodedata
from collections.abc import Iterator
from pathlib import Path

from knowledge.passages import Page
from knowledge.readers.refusals import Unreadable

_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"),
)  # fmt: skip


def read(path: Path) -> Iterator[Page]:
    text, remarks = decode(path.read_bytes(), path.name)
    parts = text.split("\f")
    for number, part in enumerate(parts, 1):
        place = f"p. {number}" if len(parts) > 1 else ""
        yield Page(place, part, number=number if len(parts) > 1 else None, remarks=remarks if number == 1 else ())


def decode(data: bytes, name: str) -> tuple[str, tuple[str, ...]]:
    """The text of a file, and remarks (`encoding:gb18030`, `replaced:3` for bytes that belong to no character)."""
    for bom, encoding in _BOMS:
        if data.startswith(bom):
            text = data.decode(encoding, "replace")
            return checked(text, name), (f"encoding:{encoding.removesuffix('-sig')}",)
    try:
        return checked(data.decode("utf-8"), name), ()
    except UnicodeDecodeError:
        pass
    for encoding in ("utf-16-le", "utf-16-be"):
        if _looks_like_utf16(data, encoding):
            return checked(data.decode(encoding, "replace"), name), (f"encoding:{encoding}",)
    return _legacy(data, name)


def checked(text: str, name: str) -> str:
    """Text without stray control characters; a file that is full of them is refused."""
    sample = text[:20_000]
    odd = sum(unicodedata.category(char) in ("Cc", "Cn", "Co") and char not in "\t\r\n\f" for char in sample)
    if odd > 0.02 * len(sample) + 2:
        raise Unreadable(name, "binary")
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return "".join(char for char in text if char in "\t\n\f" or unicodedata.category(char) != "Cc") if odd else text


def _looks_like_utf16(data: bytes, encoding: str) -> bool:
    sample = data[: len(data) // 2 * 2][:4000]
    try:
        text = sample.decode(encoding)
    except UnicodeDecodeError:
        return False
    familiar = sum(char in " \r\n" or (char.isascii() and char.isprintable()) or "\u3000" <= char <= "\u9fff" for char in text)
    return b"\x00" in sample and familiar > 0.9 * len(text) > 0


def _legacy(data: bytes, name: str) -> tuple[str, tuple[str, ...]]:
    """GB18030 or another old encoding; UTF-8 with a few broken bytes stays UTF-8."""
    broken = data.decode("utf-8", "replace")
    bad = broken.count("\ufffd")
    if bad <= max(3, 0.002 * len(broken)):
        return checked(broken, name), (f"replaced:{bad}",)
    try:
        text = data.decode("gb18030")
        if _common_han(text) > 0.5:
            return checked(text, name), ("encoding:gb18030",)
    except UnicodeDecodeError:
        pass
    from charset_normalizer import from_bytes

    best = from_bytes(data[:200_000]).best()
    if best is None:
        raise Unreadable(name, "binary")
    text = data.decode(best.encoding, "replace")
    bad = text.count("\ufffd")
    return checked(text, name), (f"encoding:{best.encoding}", *([f"replaced:{bad}"] if bad else []))


def _common_han(text: str) -> float:
    """Share of the non-ASCII characters that GB2312 knows: near 1 for real Chinese, low for a wrong guess."""
    wide = [char for char in text[:20_000] if ord(char) > 127]
    common = sum(len(char.encode("gb2312", "ignore")) == 2 for char in wide)
    return common / len(wide) if wide else 0.0
