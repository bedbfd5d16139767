"""The reliability diagram of the topic belief: how often a belief of p is right (docs/reports/reliability.png).

    python .ci/reliability.py DATA_DIR PART

Reads the golden set's PART (messages without context that a card treats) with the models of DATA_DIR.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))


async def beliefs(folder: Path, part: str) -> dict[str, list[tuple[float, bool]]]:
    """Per language: the belief in the first topic, and whether it is an accepted one."""
    from bot.app import open_app
    from bot.settings import Settings

    found: dict[str, list[tuple[float, bool]]] = {"zh": [], "en": []}
    async with open_app(Settings(data_dir=folder, _env_file=None), model=False) as app:  # type: ignore[call-arg]
        for path in sorted((ROOT / "tests/golden").glob("batch-*.jsonl")):
            for row in map(json.loads, path.read_text("utf-8").splitlines()):
                if row["part"] == part and row["topics"] and row["action"] in ("coach", "clarify") and not row.get("context"):
                    first = app.retriever.read(row["text"]).topics[0]
                    found[row["lang"]].append((first.score, first.card in row["topics"]))
    return found


def bins(pairs: list[tuple[float, bool]], count: int = 10) -> list[tuple[float, float, int]]:
    """(mean belief, share right, rows) of each tenth that has rows."""
    rows = []
    for i in range(count):
        mine = [pair for pair in pairs if i / count <= pair[0] < (i + 1) / count or (i == count - 1 and pair[0] == 1)]
        if mine:
            rows.append((float(np.mean([p for p, _ in mine])), float(np.mean([right for _, right in mine])), len(mine)))
    return rows


def main(folder: str, part: str) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(9, 4.4), sharey=True)
    for axis, (language, pairs) in zip(axes, asyncio.run(beliefs(Path(folder), part)).items(), strict=True):
        rows: list[Any] = bins(pairs)
        error = sum(abs(belief - right) * count for belief, right, count in rows) / len(pairs)
        axis.plot([0, 1], [0, 1], color="0.7", linewidth=1)
        axis.plot([row[0] for row in rows], [row[1] for row in rows], marker="o", color="#1f5a92")
        for belief, right, count in rows:
            axis.annotate(str(count), (belief, right), textcoords="offset points", xytext=(6, -12), fontsize=8)
        axis.set(title=f"{language}: expected calibration error {error:.3f}", xlabel="belief in the first topic", xlim=(0, 1), ylim=(0, 1.03))
        print(f"{language}: ECE {error:.3f} over {len(pairs)} messages")
    axes[0].set_ylabel("share of messages for which it is right")
    figure.tight_layout()
    figure.savefig(ROOT / "docs/reports/reliability.png", dpi=110)


if __name__ == "__main__":
    main(*sys.argv[1:])
