"""Measure `coach check-quiz` against the labels of tests/labels (written by others) and write docs/reports/quiz.md."""

import argparse
import json
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
KINDS = ("ambiguous_stem", "two_right_answers", "giveaway_option", "not_grounded", "miskeyed", "polarity_error")
TARGETS = {"flawed caught": (0.85, 1), "good refused": (0.10, -1), "kind right": (0.70, 1)}


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines() if line.strip()]


def check(rows: Path) -> dict[str, dict[str, Any]]:
    """What the command says of each row; a row with an error counts as refused."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out.jsonl"
        subprocess.run(
            [sys.executable, "-m", "bot", "check-quiz", "--data", folder, "--model", "none", "--batch", str(rows), "--out", str(out)],
            cwd=ROOT, check=False,
        )  # fmt: skip
        return {row["id"]: row for row in read(out)}


def figures(labels: list[dict[str, Any]], found: dict[str, dict[str, Any]]) -> dict[str, float]:
    flawed = [row for row in labels if not row["ok"]]
    good = [row for row in labels if row["ok"]]
    kinds = {row["id"]: [flaw["kind"] for flaw in found[row["id"]].get("flaws", [])] for row in labels}
    return {
        "flawed caught": sum(bool(kinds[row["id"]]) for row in flawed) / len(flawed),
        "good refused": sum(bool(kinds[row["id"]]) for row in good) / len(good),
        "kind right": sum(row["kind"] in kinds[row["id"]] for row in flawed) / len(flawed),
        "kind right, first named": sum(row["kind"] in kinds[row["id"]][:1] for row in flawed) / len(flawed),
    }


def agreement(first: list[dict[str, Any]], second: dict[str, dict[str, Any]]) -> tuple[float, float]:
    """Share of rows with the same label, and Cohen's kappa."""
    pairs = [(row["kind"] or "good", second[row["id"]]["kind"] or "good") for row in first if row["id"] in second]
    same = sum(a == b for a, b in pairs) / len(pairs)
    left, right = Counter(a for a, _ in pairs), Counter(b for _, b in pairs)
    chance = sum(left[kind] * right[kind] for kind in left) / len(pairs) ** 2
    return same, (same - chance) / (1 - chance)


def table(labels: list[dict[str, Any]], found: dict[str, dict[str, Any]]) -> list[str]:
    """Label by label: how many, how many flagged, what was named first."""
    lines = ["| label | items | flagged | kind among those named | named first |", "|---|---|---|---|---|"]
    for kind in ("good", *KINDS):
        rows = [row for row in labels if (row["kind"] or "good") == kind]
        named = [[flaw["kind"] for flaw in found[row["id"]].get("flaws", [])] for row in rows]
        first = Counter(kinds[0] if kinds else "–" for kinds in named)
        told = ", ".join(f"{name} {count}" for name, count in first.most_common())
        lines.append(f"| {kind} | {len(rows)} | {sum(map(bool, named))} | {sum(kind in kinds for kinds in named)} | {told} |")
    return lines


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--note", default="", help="what changed since the last run, for the report's list of runs")
    note = parser.parse_args().note
    path = ROOT / "tests/labels/quiz_items.jsonl"
    labels, second = read(path), {row["id"]: row for row in read(ROOT / "tests/labels/quiz_second.jsonl")}
    found = check(path)
    agreed = [row for row in labels if row["id"] in second and row["kind"] == second[row["id"]]["kind"]]
    whole, sure = figures(labels, found), figures(agreed, found)
    same, kappa = agreement(labels, second)
    report = ROOT / "docs/reports/quiz.md"
    runs = [line for line in report.read_text("utf-8").splitlines() if line.startswith("- run ")] if report.exists() else []
    runs.append(f"- run {len(runs) + 1}: " + ", ".join(f"{name} {value:.2f}" for name, value in whole.items()) + (f" ({note})" if note else ""))
    lines = ["# The quiz checker against labels written by others", ""]
    lines += [f"{len(labels)} items, labelled twice independently before the code: same label for {same:.0%}, kappa {kappa:.2f}. No language model.", ""]
    lines += ["| figure | all | where both labels agree | wanted |", "|---|---|---|---|"]
    for name, value in whole.items():
        wanted, sign = TARGETS.get(name, (None, 1))
        lines.append(f"| {name} | {value:.2f} | {sure[name]:.2f} | {'–' if wanted is None else ('≥ ' if sign > 0 else '≤ ') + f'{wanted:.2f}'} |")
    lines += ["", *table(labels, found), "", "## Runs", "", *runs, ""]
    for language in ("zh", "en"):
        part = figures([row for row in labels if row["lang"] == language], found)
        lines.append(f"{language}: " + ", ".join(f"{name} {value:.2f}" for name, value in part.items()) + "  ")
    report.parent.mkdir(parents=True, exist_ok=True)
    report.write_text("\n".join(lines) + "\n", "utf-8")
    print(report.read_text("utf-8"))
    return int(any(sign * (whole[name] - wanted) < 0 for name, (wanted, sign) in TARGETS.items()))


if __name__ == "__main__":
    sys.exit(main())
