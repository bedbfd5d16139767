"""Derive tests/bot_api_schema.json (names, types, required, limits of the Telegram Bot API) from aiogram's sdist.

Run once per Bot API version, with network:
    pip download --no-binary :all: --no-deps aiogram==3.31.0
    python .ci/bot_api_schema.py aiogram-3.31.0.tar.gz
"""

import json
import re
import sys
import tarfile
from pathlib import Path

TARGET = Path(__file__).parents[1] / "tests" / "bot_api_schema.json"
LIMITS = (
    (re.compile(r"(\d+)[-–](\d+) (characters|bytes)"), lambda m: [m[3], int(m[1]), int(m[2])]),
    (re.compile(r"[Vv]alues between (\d+)[-–](\d+)"), lambda m: ["value", int(m[1]), int(m[2])]),
)


def limit(description: str) -> list[object] | None:
    """The first limit that a description names, as [what, low, high]."""
    for pattern, shape in LIMITS:
        if found := pattern.search(description):
            return shape(found)
    return None


def fields(annotations: list[dict]) -> dict[str, list[object]]:
    """Field name → [type, required] or [type, required, limit]."""
    table = {}
    for item in annotations:
        row = [item["type"], item["required"]]
        if found := limit(item["description"]):
            row.append(found)
        table[item["name"]] = row
    return table


def union(entity: dict) -> list[str] | None:
    """The members of a type that is "one of" others."""
    if entity["annotations"]:
        return None
    return re.findall(r"^ ?- (\w+)$", entity["description"], re.M) or None


def derive(archive: Path) -> dict[str, object]:
    with tarfile.open(archive) as tar:
        member = {name.split("/", 1)[-1]: name for name in tar.getnames()}
        schema = json.load(tar.extractfile(member[".butcher/schema/schema.json"]))
        licence = tar.extractfile(member["LICENSE"]).read().decode()
    methods, types, unions = {}, {}, {}
    for entity in (child for item in schema["items"] for child in item["children"]):
        if entity["category"] == "methods":
            methods[entity["name"]] = fields(entity["annotations"])
        elif members := union(entity):
            unions[entity["name"]] = members
        else:
            types[entity["name"]] = fields(entity["annotations"])
    return {
        "api": schema["api"]["version"],
        "source": f"{archive.name} .butcher/schema/schema.json, derived by .ci/bot_api_schema.py",
        "notice": licence.strip(),
        "methods": methods,
        "types": types,
        "unions": unions,
    }


def write(table: dict[str, object]) -> None:
    """One method or type a line, so that a new API version gives a readable diff."""
    lines = []
    for key, value in table.items():
        if isinstance(value, dict):
            rows = ",\n".join(f"{json.dumps(name)}:{json.dumps(row, separators=(',', ':'))}" for name, row in value.items())
            lines.append(f"{json.dumps(key)}:{{\n{rows}\n}}")
        else:
            lines.append(f"{json.dumps(key)}:{json.dumps(value)}")
    TARGET.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    print(f"{TARGET}: {TARGET.stat().st_size // 1024} KB, Bot API {table['api']}")


write(derive(Path(sys.argv[1])))
