"""Checks every call that the bot makes against the table of the Bot API (bot_api_schema.json)."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

TABLE = Path(__file__).with_name("bot_api_schema.json")
Field = list[Any]  # [type, required] or [type, required, [what, low, high]]


@cache
def schema() -> dict[str, Any]:
    return json.loads(TABLE.read_text(encoding="utf-8"))  # type: ignore[no-any-return]


def violations(method: str, given: dict[str, Any], files: dict[str, Any]) -> list[str]:
    """What is wrong with a call: unknown method or parameter, missing, of a wrong type, beyond a limit.

    `given`: parameters as they came over HTTP (text, or JSON values). `files`: uploaded parts by name.
    """
    if method not in schema()["methods"]:
        return [f"unknown method {method}"]
    values = {name: _opened(value) for name, value in given.items()} | dict.fromkeys(files, "attach://file")
    attached = {name for name in files if name not in schema()["methods"][method]}
    values = {name: value for name, value in values.items() if name not in attached}
    return _record(method, schema()["methods"][method], values)


def _opened(value: Any) -> Any:
    """Nested values arrive as JSON text; ids and texts stay as they are."""
    if isinstance(value, str) and value[:1] in "[{":
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


def _record(where: str, fields: dict[str, Field], values: dict[str, Any]) -> list[str]:
    found = [f"{where}: unknown field {name}" for name in values if name not in fields]
    for name, (kind, required, *limit) in fields.items():
        if name not in values:
            found += [f"{where}: {name} is missing"] if required else []
            continue
        found += _value(f"{where}.{name}", kind, values[name])
        found += _limit(f"{where}.{name}", limit[0], values[name]) if limit and name != "text" else []
    return found


def _value(where: str, kind: str, value: Any) -> list[str]:
    """A value against a type expression: `Array of X`, `A or B`, `A, B and C`, a name."""
    if kind.startswith("Array of "):
        if not isinstance(value, list):
            return [f"{where}: not an array: {value!r:.60}"]
        return [issue for i, item in enumerate(value) for issue in _value(f"{where}[{i}]", kind[9:], item)]
    options = re.split(r" or |, | and ", kind)
    options = [name for option in options for name in schema()["unions"].get(option, [option])]
    tries = [_single(where, option, value) for option in options]
    return min(tries, key=len)


def _single(where: str, kind: str, value: Any) -> list[str]:
    basic = {
        "String": lambda: isinstance(value, str),
        "Integer": lambda: re.fullmatch(r"-?\d+", str(value)) is not None,
        "Float": lambda: re.fullmatch(r"-?\d+(\.\d+)?", str(value)) is not None,
        "Boolean": lambda: str(value).lower() in ("true", "false"),
        "True": lambda: str(value).lower() == "true",
        "InputFile": lambda: isinstance(value, str) and value.startswith("attach://"),
    }
    if kind in basic:
        return [] if basic[kind]() else [f"{where}: not a {kind}: {value!r:.60}"]
    if not isinstance(value, dict):
        return [f"{where}: not a {kind}: {value!r:.60}"]
    return _record(f"{where}<{kind}>", schema()["types"][kind], value)


def _limit(where: str, limit: list[Any], value: Any) -> list[str]:
    """Lengths of plain values; texts with markup are measured by the server after parsing."""
    what, low, high = limit
    if isinstance(value, (list, dict)):
        return []
    size = {"characters": lambda: len(str(value)), "bytes": lambda: len(str(value).encode()), "value": lambda: int(value)}
    measured = size[what]()
    if where.endswith(("caption", "explanation")):
        high *= 4  # markup included
    return [] if low <= measured <= high else [f"{where}: {measured} {what}, allowed {low}-{high}"]
