"""Tables that people open in a spreadsheet: what somebody wrote must never run there as a formula."""

from __future__ import annotations

import unicodedata

_FORMULA = ("=", "+", "-", "@")


def cell(text: str) -> str:
    """A text that no spreadsheet takes for a formula: one that might be gets an apostrophe in front.

    Spreadsheets skip blanks and control characters before a formula, and some read full-width signs as plain ones.
    """
    seen = unicodedata.normalize("NFKC", text).lstrip()
    seen = "".join(char for char in seen if unicodedata.category(char) not in ("Cc", "Cf")).lstrip()
    return f"'{text}" if seen.startswith(_FORMULA) or text[:1] in ("\t", "\r", "\n") else text
