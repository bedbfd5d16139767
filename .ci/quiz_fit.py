"""Learn the weights of the quiz checker from our own development items; reports what cross-validation says of them."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold
from sklearn.preprocessing import StandardScaler

from knowledge.embedders import open_embedder
from knowledge.keywords import normalise
from knowledge.quiz_checks import traits
from knowledge.quiz_evidence import FITTED, Evidence, Item

ROOT = Path(__file__).parents[1]
REGULAR = {"support": 1.0, "verdict": 0.1}
FOLDS = 10


def similarity() -> Any:
    embedder, known = open_embedder("bundled"), {}

    def rows(texts: Any) -> Any:
        new = [text for text in dict.fromkeys(map(normalise, texts)) if text not in known]
        known.update(zip(new, embedder.documents(new), strict=True))
        return np.stack([known[normalise(text)] for text in texts])

    return lambda left, right: rows(left) @ rows(right).T


def development() -> list[tuple[Item, str, int]]:
    """(item, label, group): items of one passage are one group, so that no passage is on both sides of a fold."""
    found, group = [], 0
    for path in sorted((ROOT / "tests/development").glob("quiz_items*.yaml")):
        for block in yaml.safe_load(path.read_text("utf-8")):
            group += 1
            found += [
                (Item(row["stem"], tuple(row["options"]), row["key"], block["passage"], block["lang"]), row["kind"], group)
                for row in block["items"]
            ]
    return found


def right(item: Item, kind: str, i: int) -> int:
    """Is option i a right answer? -1 = not known. In items with two right answers they are the first two."""
    if kind in ("good", "giveaway_option"):
        return int(i == item.key)
    if kind == "two_right_answers":
        return int(i < 2)
    if kind == "miskeyed":
        return 0 if i == item.key else -1
    return -1 if kind == "ambiguous_stem" else 0


def main() -> int:
    rows, near = development(), similarity()
    evidence = [Evidence(item, near) for item, _, _ in rows]
    names = list(evidence[0].features[0])
    flat = [(n, i) for n, found in enumerate(evidence) for i in range(len(found.item.options))]
    x = np.array([[evidence[n].features[i][name] for name in names] for n, i in flat])
    y = np.array([right(rows[n][0], rows[n][1], i) for n, i in flat])
    groups = np.array([rows[n][2] for n, _ in flat])
    unseen = np.zeros(len(flat))  # support of each option by weights that never saw its passage
    for train, test in GroupKFold(FOLDS).split(x, y, groups):
        known = train[y[train] >= 0]
        unseen[test] = LogisticRegression(C=REGULAR["support"], max_iter=5000).fit(x[known], y[known]).decision_function(x[test])
    support: dict[int, list[float]] = {}
    for (n, _), value in zip(flat, unseen, strict=True):
        support.setdefault(n, []).append(float(value))
    table = [traits(found, support[n]) for n, found in enumerate(evidence)]
    z = np.array([[row[name] for name in table[0]] for row in table])
    labels, item_groups = np.array([kind for _, kind, _ in rows]), np.array([group for _, _, group in rows])
    beliefs, classes = np.zeros((len(rows), len(set(labels)))), np.unique(labels)
    for train, test in GroupKFold(FOLDS).split(z, labels, item_groups):
        scaler = StandardScaler().fit(z[train])
        model = LogisticRegression(C=REGULAR["verdict"], max_iter=5000).fit(scaler.transform(z[train]), labels[train])
        beliefs[test] = model.predict_proba(scaler.transform(z[test]))
    accept = _report(beliefs, classes, labels)
    known = y >= 0
    options = LogisticRegression(C=REGULAR["support"], max_iter=5000).fit(x[known], y[known])
    scaler = StandardScaler().fit(z)
    model = LogisticRegression(C=REGULAR["verdict"], max_iter=5000).fit(scaler.transform(z), labels)
    fitted = {
        "support": {"weights": dict(zip(names, _round(options.coef_[0]), strict=True)), "bias": round(float(options.intercept_[0]), 3)},
        "verdict": {
            "names": list(table[0]), "mean": _round(scaler.mean_), "scale": _round(scaler.scale_), "classes": list(classes),
            "weights": [_round(row) for row in model.coef_], "bias": _round(model.intercept_), "accept": accept,
        },
    }  # fmt: skip
    FITTED.parent.mkdir(parents=True, exist_ok=True)
    FITTED.write_text(json.dumps(fitted, indent=1) + "\n", "utf-8")
    return 0


def _report(beliefs: Any, classes: Any, labels: Any) -> float:
    """Cross-validated figures by threshold; the one that refuses at most one good item in eight is kept."""
    good = list(classes).index("good")
    flawed, chosen = labels != "good", 0.3
    others = beliefs.copy()
    others[:, good] = -1
    for accept in np.arange(0.16, 0.6, 0.02):
        named = np.where(beliefs[:, good] >= accept, "good", classes[others.argmax(1)])
        refused = (named[~flawed] != "good").mean()
        print(f"accept {accept:.2f}: caught {(named[flawed] != 'good').mean():.2f} refused {refused:.2f} kind {(named[flawed] == labels[flawed]).mean():.2f}")
        if refused <= 0.14:
            chosen = round(float(accept), 2)
    print("kept", chosen)
    return chosen


def _round(values: Any) -> list[float]:
    return [round(float(value), 4) for value in values]


if __name__ == "__main__":
    sys.exit(main())
