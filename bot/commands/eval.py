"""`coach eval`: measure answers against a golden set, on the same path as `coach ask --batch`."""

from __future__ import annotations

import argparse
import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bot.advice import CAP
from bot.commands import ProgressLine, lines_of, settings_of
from bot.commands.ask import answer_row
from bot.commands.batch import BadRow
from bot.errors import CoachError, SetupProblem
from bot.ports import App
from knowledge.passages import language_of

ANSWERED = ("coach", "clarify")
# measure → whether a floor is a smallest value (else it is a largest one)
HIGHER = {
    "hit@1": True, "hit@3": True, "mrr": True, "abstain": True, "decline": True, "chat": True, "language": True,
    "quotes": True, "length": True, "contains": True, "false_abstain": False, "false_decline": False,
    "honest_declined": False, "twins": False,
}  # fmt: skip


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("golden", nargs="+", type=Path, metavar="GOLDEN.jsonl", help="rows of `ask` with what is expected of them")
    parser.add_argument("--part", help='only rows with this "part" (such as tune or report)')
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--report", type=Path, metavar="FILE.md", help="write the report as Markdown, too")
    parser.add_argument("--no-failures", action="store_true", help="don't list the failures one by one")


async def run(options: argparse.Namespace) -> int:
    from bot.app import open_app

    floors, rows = read_golden(options.golden, options.part)
    progress = ProgressLine()
    async with open_app(settings_of(options), progress=progress, purpose="coach eval") as app:
        judged = []
        for done, row in enumerate(rows, 1):
            judged.append(judge(app, row, await _answer(app, row)))
            progress("rows", done, len(rows))
    result = measure(judged, floors)
    if options.report:
        options.report.parent.mkdir(parents=True, exist_ok=True)
        options.report.write_text(markdown(result, judged, failures=not options.no_failures), encoding="utf-8")
    print(json.dumps(as_json(result, judged), ensure_ascii=False, indent=2) if options.json else markdown(result, judged, failures=not options.no_failures))
    return 1 if result.below else 0


async def _answer(app: App, row: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return await answer_row(app, row)
    except CoachError as error:
        return {"reply": "", "lang": None, "action": "error", "topics": [], "citations": [], "error": str(error)}


def read_golden(paths: Sequence[Path], part: str | None = None) -> tuple[dict[str, float], list[dict[str, Any]]]:
    """Floors (of a first line without an id) and rows of golden files. Raises BadRow with file, line and cure."""
    floors: dict[str, float] = {}
    rows: list[dict[str, Any]] = []
    for path in paths:
        for number, line in lines_of(path):
            try:
                row = json.loads(line)
            except json.JSONDecodeError as error:
                raise BadRow(f"{path}:{number}: not JSON ({error.msg}); write one object a line") from None
            if not isinstance(row, dict):
                raise BadRow(f"{path}:{number}: not a JSON object; write {{\"id\": …, \"text\": …}}")
            if "floors" in row and "text" not in row:
                floors |= _checked(row["floors"], f"{path}:{number}")
            elif part is None or row.get("part") == part:
                rows.append(row)
    if not rows:
        raise SetupProblem(f"{', '.join(map(str, paths))}: no rows" + (f' with "part": "{part}"' if part else "") + ". Check file and --part.")
    return floors, rows


def _checked(floors: Any, where: str) -> dict[str, float]:
    for name, value in floors.items() if isinstance(floors, dict) else [("floors", None)]:
        if name.split("/")[0] not in HIGHER or not isinstance(value, int | float):
            raise BadRow(f"{where}: floor {name!r}: {value!r}; use numbers for {', '.join(HIGHER)} (or such as hit@1/zh)")
    return dict(floors)


@dataclass(frozen=True)
class Judged:
    """A row with its answer and what holds of it (None = not asked of this row)."""

    row: Mapping[str, Any]
    answer: Mapping[str, Any]
    holds: Mapping[str, float | None]

    @property
    def language(self) -> str:
        return str(self.row.get("lang") or language_of(str(self.row.get("text", ""))))

    @property
    def kind(self) -> str:
        return str(self.row.get("kind") or self.row.get("action") or "all")


def judge(app: App, row: Mapping[str, Any], answer: Mapping[str, Any]) -> Judged:
    """What holds of one answer: 1.0, 0.0, or None where the row does not ask for it."""
    wanted, action = row.get("topics") or [], answer["action"]
    expected = row.get("action") or ("coach" if wanted else None)
    ours = expected in ANSWERED
    place = next((i for i, topic in enumerate(answer["topics"]) if topic["id"] in wanted), None)
    found = wanted and ours

    def when(asked: Any, value: Any) -> float | None:
        return float(value) if asked else None

    return Judged(
        row,
        answer,
        {
            "hit@1": when(found, place == 0),
            "hit@3": when(found, place is not None and place < 3),
            "mrr": when(found, 0 if place is None else 1 / (place + 1)),
            "abstain": when(expected == "abstain", action == "abstain"),
            "false_abstain": when(ours, action == "abstain"),
            "decline": when(expected == "decline", action == "decline"),
            "false_decline": when(ours, action == "decline"),
            "honest_declined": when(row.get("kind") == "honest", action == "decline"),
            "chat": when(expected == "chat", action == "chat"),
            "language": when(row.get("lang"), answer["lang"] == row.get("lang")),
            "quotes": when(answer["citations"], all(_exact(app, item) for item in answer["citations"])),
            "length": when(answer["lang"], len(answer["reply"]) <= CAP.get(answer["lang"] or "", 0)),
            "contains": when(row.get("must_contain") or row.get("must_not_contain"), _contains(row, answer["reply"])),
        },
    )


def _exact(app: App, citation: Mapping[str, Any]) -> bool:
    passage = app.retriever.passage(citation["passage_id"])
    return passage is not None and citation["quote"] in passage.text


def _contains(row: Mapping[str, Any], reply: str) -> bool:
    text = reply.lower()
    return all(item.lower() in text for item in row.get("must_contain") or []) and not any(
        item.lower() in text for item in row.get("must_not_contain") or []
    )


@dataclass(frozen=True)
class Measure:
    """A share (or mean) with its 95 % interval and the number of rows behind it."""

    value: float
    low: float
    high: float
    count: int

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}] ({self.count})"


@dataclass(frozen=True)
class Result:
    """All measures by group ("all", "zh", "en", "kind/zh" …), the twins' difference, the confusions, missed floors."""

    groups: Mapping[str, Mapping[str, Measure]]
    twins: Measure | None
    actions: Counter[tuple[str, str]] = field(default_factory=Counter)
    topics: Counter[tuple[str, str]] = field(default_factory=Counter)
    floors: Mapping[str, float] = field(default_factory=dict)
    below: tuple[str, ...] = ()


def measure(judged: Sequence[Judged], floors: Mapping[str, float]) -> Result:
    groups: dict[str, list[Judged]] = {"all": list(judged)}
    for item in judged:
        groups.setdefault(item.language, []).append(item)
        groups.setdefault(f"{item.kind}/{item.language}", []).append(item)
    measures = {name: _measures(items) for name, items in sorted(groups.items(), key=lambda pair: (len(pair[0]) > 3, pair[0]))}
    twins = twin_difference(judged)
    actions = Counter((str(item.row.get("action") or "-"), str(item.answer["action"])) for item in judged)
    topics = Counter(
        (item.row["topics"][0], item.answer["topics"][0]["id"] if item.answer["topics"] else "–") for item in judged if item.holds["hit@1"] == 0
    )
    return Result(measures, twins, actions, topics, floors, tuple(_below(measures, twins, floors)))


def _measures(items: Sequence[Judged]) -> dict[str, Measure]:
    found = {}
    for name in HIGHER:
        values = [value for item in items if (value := item.holds.get(name)) is not None]
        if values:
            found[name] = interval(values)
    return found


def interval(values: Sequence[float]) -> Measure:
    """Mean with its 95 % interval (Wilson's for shares; it is honest near 0 and 1, too)."""
    count, mean = len(values), sum(values) / len(values)
    z = 1.96
    centre = (mean + z * z / (2 * count)) / (1 + z * z / count)
    half = z * math.sqrt(mean * (1 - mean) / count + z * z / (4 * count * count)) / (1 + z * z / count)
    return Measure(mean, max(0.0, centre - half), min(1.0, centre + half), count)


def twin_difference(judged: Sequence[Judged], name: str = "hit@1") -> Measure | None:
    """zh minus en over rows that are each other's twin, with the interval of paired differences."""
    by_id = {item.row.get("id"): item for item in judged}
    differences = []
    for item in judged:
        twin = by_id.get(item.row.get("twin"))
        if item.language == "zh" and twin is not None and twin.language == "en":
            mine, other = item.holds[name], twin.holds[name]
            if mine is not None and other is not None:
                differences.append(mine - other)
    if len(differences) < 2:
        return None
    mean = sum(differences) / len(differences)
    spread = math.sqrt(sum((value - mean) ** 2 for value in differences) / (len(differences) - 1) / len(differences))
    return Measure(mean, mean - 1.96 * spread, mean + 1.96 * spread, len(differences))


def _below(groups: Mapping[str, Mapping[str, Measure]], twins: Measure | None, floors: Mapping[str, float]) -> Iterable[str]:
    for floor, limit in floors.items():
        name, _, group = floor.partition("/")
        if name == "twins":
            found = abs(twins.value) if twins else None
        else:
            group_measure = groups.get(group or "all", {}).get(name)
            found = group_measure.value if group_measure else None
        if found is None:
            yield f"{floor}: no row measures it (wanted {limit:g})"
        elif (found < limit) if HIGHER[name] else (found > limit):
            yield f"{floor}: {found:.3f}, wanted {'at least' if HIGHER[name] else 'at most'} {limit:g}"


def markdown(result: Result, judged: Sequence[Judged], *, failures: bool = True) -> str:
    """The report: floors, measures with intervals, by language and kind, confusions, failures."""
    whole = result.groups["all"]
    lines = [f"# Golden set: {len(judged)} rows", ""]
    lines += [f"- ✗ {item}" for item in result.below] or [f"All {len(result.floors)} floors hold."] * bool(result.floors)
    lines += ["", "| measure | value [95 % interval] (rows) | zh | en | floor |", "|---|---|---|---|---|"]
    for name in whole:
        sides = [str(result.groups[side][name]) if name in result.groups.get(side, {}) else "–" for side in ("zh", "en")]
        lines.append(f"| {name} | {whole[name]} | {sides[0]} | {sides[1]} | {_floor(result, name)} |")
    if result.twins:
        lines.append(f"| twins (zh − en, hit@1) | {result.twins.value:+.3f} [{result.twins.low:+.3f}, {result.twins.high:+.3f}] ({result.twins.count}) | | | {_floor(result, 'twins')} |")
    lines += ["", *_by_kind(result), "", *_confusions(result)]
    if failures:
        lines += ["", *_failures(judged)]
    return "\n".join(lines) + "\n"


def _floor(result: Result, name: str) -> str:
    if name not in result.floors:
        return ""
    return f"{'≥' if HIGHER[name] else '≤'} {result.floors[name]:g}"


def _by_kind(result: Result) -> list[str]:
    names = ["hit@1", "hit@3", "mrr", "abstain", "false_abstain", "decline", "false_decline"]
    lines = [f"| kind | rows | {' | '.join(names)} |", "|---|---|" + "---|" * len(names)]
    for group, measures in result.groups.items():
        if "/" in group:
            cells = [f"{measures[name].value:.2f}" if name in measures else "" for name in names]
            lines.append(f"| {group} | {measures['length'].count if 'length' in measures else ''} | {' | '.join(cells)} |")
    return lines


def _confusions(result: Result) -> list[str]:
    actions = list(dict.fromkeys([*(pair[0] for pair in sorted(result.actions)), *(pair[1] for pair in sorted(result.actions))]))
    lines = [f"| wanted ↓ answered → | {' | '.join(actions)} |", "|---|" + "---|" * len(actions)]
    for wanted in actions:
        if any(result.actions[wanted, got] for got in actions):
            lines.append(f"| {wanted} | {' | '.join(str(result.actions[wanted, got] or '') for got in actions)} |")
    lines += ["", "Topics most often taken for another:", ""]
    lines += [f"- {wanted} → {got}: {count}" for (wanted, got), count in result.topics.most_common(15)]
    return lines


def _failures(judged: Sequence[Judged]) -> list[str]:
    lines = ["## Failures", ""]
    for item in judged:
        missed = [name for name, value in item.holds.items() if value is not None and (value == 0) == HIGHER[name] and name not in ("mrr", "hit@1")]
        missed = ["hit@1", *missed] if item.holds["hit@1"] == 0 else missed
        if missed:
            first = ", ".join(f"{topic['id']} {topic['score']:.2f}" for topic in item.answer["topics"][:3])
            wanted = f"{item.row.get('action') or ''} {', '.join(item.row.get('topics') or [])}".strip()
            text = str(item.row.get("text", "")).replace("\n", " ")[:120]
            lines.append(f"- `{item.row.get('id')}` {', '.join(missed)} · wanted {wanted} · got {item.answer['action']} {first} · {text}")
    return lines


def as_json(result: Result, judged: Sequence[Judged]) -> dict[str, Any]:
    dump: Callable[[Measure], dict[str, float]] = lambda item: {"value": round(item.value, 4), "low": round(item.low, 4), "high": round(item.high, 4), "rows": item.count}  # noqa: E731
    return {
        "rows": len(judged),
        "floors": dict(result.floors),
        "below": list(result.below),
        "groups": {group: {name: dump(item) for name, item in measures.items()} for group, measures in result.groups.items()},
        "twins": dump(result.twins) if result.twins else None,
        "actions": [{"wanted": wanted, "got": got, "rows": count} for (wanted, got), count in sorted(result.actions.items())],
        "failures": [
            {"id": item.row.get("id"), "wanted": item.row.get("topics"), "got": item.answer["topics"][:3], "action": item.answer["action"]}
            for item in judged
            if any(value == 0 and HIGHER[name] for name, value in item.holds.items() if value is not None)
        ],
    }
