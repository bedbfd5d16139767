"""The bot's own words, in Chinese and English: one folder a language, one file a room, the same keys in both.

A key is `<file>.<key>`; blanks are `{named}` and must be filled exactly.
"""

from __future__ import annotations

import string
from functools import cache
from pathlib import Path

import yaml

from bot.turns import LANGUAGES, Language

FOLDER = Path(__file__).parent


@cache
def phrases(language: Language) -> dict[str, str]:
    """All phrases of a language by key. Read once, at the first phrase that is said."""
    table: dict[str, str] = {}
    for path in sorted((FOLDER / language).glob("*.yaml")):
        data = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader) or {}
        table |= {f"{path.stem}.{key}": str(text).rstrip("\n") for key, text in data.items()}
    return table


def blanks(template: str) -> frozenset[str]:
    """The named blanks of a phrase."""
    return frozenset(name for _, name, _, _ in string.Formatter().parse(template) if name)


def say(language: Language, key: str, /, **values: object) -> str:
    """A phrase with its blanks filled. A wrong key or wrong set of blanks is our bug and raises KeyError."""
    template = phrases(language)[key]
    if blanks(template) != values.keys():
        raise KeyError(f"{key}: blanks {sorted(blanks(template))}, given {sorted(values)}")
    return template.format(**values)


__all__ = ["LANGUAGES", "blanks", "phrases", "say"]
