"""How well the desk finds duplicates and contradictions: precision and recall per kind over a file of labelled pairs.

    python .ci/clashes.py tests/labels/contradictions.jsonl [MORE.jsonl …]

Rows {"id", "lang", "a", "b", "kind": duplicate | number | polarity | none}; each pair is read as the preview reads it.
"""

import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
from knowledge.checks import compare
from knowledge.embedders import open_embedder
from knowledge.keywords import normalise
from knowledge.passages import Passage

KINDS = ("duplicate", "number", "polarity")


def main(paths: Sequence[str]) -> int:
    if not paths:
        print(__doc__)
        return 2
    rows = [
        json.loads(line)
        for path in paths
        for line in Path(path).read_text("utf-8").splitlines()
        if line.strip()
    ]
    for line in table(Counter(zip((row["kind"] for row in rows), judged(rows), strict=True))):
        print(line)
    return 0


def judged(rows: Iterable[dict[str, str]]) -> Iterator[str]:
    """The kind that a preview of `a` beside the published `b` names first; "none" when it names nothing."""
    encode = open_embedder("bundled").documents

    def similarity(left: Sequence[str], right: Sequence[str]) -> Any:
        return encode([normalise(text) for text in left]) @ encode([normalise(text) for text in right]).T

    for row in rows:
        mine, theirs = (Passage(f"{side}/1", row[side], "§1", row["lang"], side, side) for side in "ab")  # type: ignore[arg-type]
        vectors = encode([mine.search_text]), encode([theirs.search_text])
        found = compare([mine], [theirs], vectors, similarity)
        yield found[0].kind if found else "none"


def table(counts: Counter[tuple[str, str]]) -> Iterator[str]:
    """Lines "kind, precision, recall"; `counts` of (wanted, found)."""
    for kind in KINDS:
        named = sum(count for (_, found), count in counts.items() if found == kind)
        there = sum(count for (wanted, _), count in counts.items() if wanted == kind)
        right = counts[kind, kind]
        shares = f"{right} of {named} named, {right} of {there} there"
        yield f"{kind:<10} precision {right / max(1, named):.2f}  recall {right / max(1, there):.2f}  ({shares})"
    yield f"pairs {counts.total()}, right {sum(n for (wanted, found), n in counts.items() if wanted == found) / max(1, counts.total()):.2f}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
