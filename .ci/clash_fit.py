"""Learn the weights that tell duplicates from contradictions, from our own pairs; docs/reports/contradictions.md by cross-validation."""

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold
from sklearn.preprocessing import StandardScaler

from knowledge.checks import PAIRS, sentences
from knowledge.embedders import open_embedder
from knowledge.keywords import normalise
from knowledge.statements import FITTED, KINDS, signs

ROOT = Path(__file__).parents[1]
REGULAR, ACCEPT, FOLDS, ROUNDS = 0.2, 0.35, 10, 4
SAME_STORY = 0.5  # cosine from which two rows (often a translation) must not be parted by a fold


def main() -> int:
    rows = [json.loads(line) for line in (ROOT / "tests/development/contradictions.jsonl").read_text("utf-8").splitlines()]
    vectors, names, table = open_embedder("bundled").documents, [], []
    for row in rows:
        left, right = sentences(row["a"]), sentences(row["b"])
        cosines = vectors([normalise(text) for text in left]) @ vectors([normalise(text) for text in right]).T
        order = [divmod(int(i), len(right)) for i in np.argsort(-cosines, axis=None)[:PAIRS]]
        found = [signs(left[i], right[j], float(cosines[i, j])) for i, j in order]
        names = list(found[0])
        table.append(np.array([[item[name] for name in names] for item in found], float))
    kinds = np.array([KINDS.index(row["kind"]) for row in rows])
    beliefs = np.zeros((len(rows), len(KINDS)))
    for train, test in GroupKFold(FOLDS).split(kinds, kinds, _stories(rows, vectors)):
        scaler, model = _fit(table, kinds, train)
        for i in test:
            beliefs[i] = model.predict_proba(scaler.transform(table[i])).max(axis=0)
    scaler, model = _fit(table, kinds, np.arange(len(rows)))
    fitted = {
        "names": names, "accept": ACCEPT, "mean": _round(scaler.mean_), "scale": _round(scaler.scale_),
        "weights": [_round(row) for row in model.coef_], "bias": _round(model.intercept_),
    }  # fmt: skip
    FITTED.write_text(json.dumps(fitted, indent=1, ensure_ascii=False) + "\n", "utf-8")
    for line in _figures(kinds, beliefs):
        print(line)
    return 0


def _fit(table: list[Any], kinds: Any, rows: Any) -> tuple[Any, Any]:
    """Which pair of statements a row's label means is not written down: the likeliest one, found in a few rounds."""
    scaler = StandardScaler().fit(np.vstack([table[i] for i in rows]))
    scaled, chosen = {i: scaler.transform(table[i]) for i in rows}, dict.fromkeys(rows, 0)
    for _ in range(ROUNDS):
        x, y, weight = [], [], []
        for i in rows:
            count = len(scaled[i])
            for n, pair in enumerate(scaled[i]):
                meant = bool(kinds[i]) and n == chosen[i]
                x.append(pair)
                y.append(kinds[i] if meant else 0)
                weight.append(1.0 if meant or count == 1 else 0.5 / (count - 1) if kinds[i] else 1.5 / count)
        model = LogisticRegression(C=REGULAR, max_iter=3000).fit(np.array(x), y, sample_weight=weight)
        chosen = {i: int(model.predict_proba(scaled[i])[:, kinds[i]].argmax()) for i in rows}
    return scaler, model


def _stories(rows: list[dict[str, str]], vectors: Any) -> list[int]:
    left, right = (vectors([row[side] for row in rows]) for side in "ab")
    near, story = (left @ left.T + right @ right.T) / 2, list(range(len(rows)))
    for i in range(len(rows)):
        for j in range(i):
            if near[i, j] >= SAME_STORY:
                old, new = story[i], story[j]
                story = [new if number == old else number for number in story]
    return story


def _figures(kinds: Any, beliefs: Any) -> list[str]:
    named = np.where(beliefs[:, 1:].max(axis=1) >= ACCEPT, 1 + beliefs[:, 1:].argmax(axis=1), 0)
    counts = Counter(zip(kinds.tolist(), named.tolist(), strict=True))
    lines = []
    for k, kind in enumerate(KINDS[1:], 1):
        right = counts[k, k]
        lines.append(f"| {kind} | {right / max(1, (kinds == k).sum()):.2f} | {right / max(1, (named == k).sum()):.2f} |")
    return lines


def _round(values: Any) -> list[float]:
    return [round(float(value), 4) for value in values]


if __name__ == "__main__":
    sys.exit(main())
