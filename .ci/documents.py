"""`make documents`: finding passages of public sales texts, ours beside a plain LangChain + Chroma quickstart.

    python .ci/documents.py [--part report] [--package FILE.tgz] [--out docs/reports/documents.md]

The texts come from a pinned package of the npm registry (they are not in this repository); the questions and their
relevant passages are in tests/labels/documents.jsonl, written by somebody who had not seen this program. Both systems
get the same passages and the same embedder, and each language is asked in both languages.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import re
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / ".ci")]
for _key in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
    os.environ.setdefault(_key, "1")

from bench import compass_of, quickstart  # noqa: E402

from knowledge.compass import Compass  # noqa: E402
from knowledge.embedders import Embedder, open_embedder  # noqa: E402
from knowledge.keywords import normalise  # noqa: E402
from knowledge.passages import Passage  # noqa: E402
from knowledge.retrieval import Library  # noqa: E402

PACKAGE, SHA256 = "agency-orchestrator@0.19.2", "98ae42f2947dcfb073f49dc02ecd5e51da8e50d160193c73eb7a4a30dd4105df"  # Apache-2.0
FOLDER = "package/website/dist/prompts"
SUBJECTS = ("sales", "marketing", "support", "finance", "product", "project-management", "specialized", "company", "legal")
LENGTHS = {"zh": (25, 400), "en": (60, 900)}  # shortest and longest passage in characters
PAIRS = (("zh", "zh"), ("en", "en"), ("zh", "en"), ("en", "zh"), ("zh", "both"), ("en", "both"))  # question, passages
Rank = Callable[[str], Sequence[str]]


def fetch(folder: Path, package: Path | None) -> Path:
    """The package's texts, unpacked; anything but the pinned file is refused."""
    if package is None:
        done = subprocess.run(["npm", "pack", PACKAGE, "--silent"], cwd=folder, capture_output=True, text=True, check=True)
        package = folder / done.stdout.split()[-1]
    if hashlib.sha256(package.read_bytes()).hexdigest() != SHA256:
        raise SystemExit(f"{package.name} is not the pinned file: its SHA-256 differs.")
    with tarfile.open(package) as archive:
        archive.extractall(folder, [item for item in archive if item.name.startswith(FOLDER)], filter="data")
    return folder / FOLDER


def sections(text: str) -> Iterator[tuple[list[str], str]]:
    """(headings, body) of a Markdown text; code is left out, its words are not."""
    path: list[str] = []
    lines: list[str] = []
    fenced = False
    for line in text.split("\n"):
        if line.startswith("```"):
            fenced = not fenced
            continue
        heading = None if fenced else re.match(r"(#{1,4})\s+(.*)", line)
        if heading is None:
            lines.append(line)
            continue
        if lines:
            yield path, "\n".join(lines).strip()
        lines, path = [], [*path[: len(heading[1]) - 1], heading[2].strip()]
    if lines:
        yield path, "\n".join(lines).strip()


def pieces(body: str, limit: int) -> Iterator[str]:
    """A section in pieces of about `limit` characters, cut between paragraphs and list items."""
    piece = ""
    for paragraph in re.split(r"\n(?=[\n*\-\d#|])", body):
        if piece and len(piece) + len(paragraph) > limit:
            yield piece.strip()
            piece = ""
        piece += paragraph + "\n"
    if piece.strip():
        yield piece.strip()


def passages_of(folder: Path) -> list[Passage]:
    found = []
    for language, (least, limit) in LENGTHS.items():
        for subject in SUBJECTS:
            for path in sorted((folder / language / subject).glob("*.md")):
                if not all((folder / other / subject / path.name).exists() for other in LENGTHS):
                    continue
                for i, (headings, body) in enumerate(sections(path.read_text(encoding="utf-8"))):
                    for k, piece in enumerate(pieces(body, limit)):
                        if len(piece) >= least:
                            title = " › ".join(headings)
                            found.append(Passage(f"{language}/{path.stem}/{i}.{k}", piece, title, language, title, path.stem, heading=title))  # type: ignore[arg-type]
    return found


def ndcg(ranked: Sequence[str], relevant: Mapping[str, int], depth: int = 10) -> float:
    """Gain 2^grade - 1, discounted by rank, over the best order there is."""
    gains = [(2 ** relevant.get(name, 0) - 1) / math.log2(place + 2) for place, name in enumerate(ranked[:depth])]
    best = sorted(relevant.values(), reverse=True)[:depth]
    return sum(gains) / sum((2**grade - 1) / math.log2(place + 2) for place, grade in enumerate(best))


def systems(passages: Sequence[Passage], vectors: Mapping[str, Any], embedder: Embedder, compass: Compass, folder: Path) -> dict[str, Rank]:
    """Each system over the same passages: from a question to passage ids, best first."""
    places = compass.places(passages, vectors["features"])
    library = Library(1, passages, vectors["whole"], {}, embedder, features=vectors["features"], compass=compass, places=places)
    texts = quickstart(folder / "texts", passages, vectors["text"], embedder)
    titled = quickstart(folder / "titled", passages, vectors["whole"], embedder)
    return {
        "quickstart (text)": lambda text: [passages[i].id for i in texts(text, 10)],
        "quickstart (title and text)": lambda text: [passages[i].id for i in titled(text, 10)],
        "ours": lambda text: [hit.passage.id for hit in library.search(text, limit=10).hits],
    }


def measure(folder: Path, rows: Sequence[Mapping[str, Any]], passages: Sequence[Passage]) -> dict[str, dict[str, list[float]]]:
    """nDCG@10 of every question, by direction and system."""
    embedder = open_embedder("bundled")
    compass = compass_of(folder / "playbook")
    whole, features = embedder.both([normalise(item.search_text) for item in passages])
    vectors = {"text": embedder.documents([normalise(item.text) for item in passages]), "whole": whole, "features": features}
    ranks: dict[str, dict[str, Rank]] = {}
    for target in ("zh", "en", "both"):
        chosen = [i for i, item in enumerate(passages) if target in (item.language, "both")]
        ranks[target] = systems([passages[i] for i in chosen], {name: rows[chosen] for name, rows in vectors.items()}, embedder, compass, folder / target)
    found: dict[str, dict[str, list[float]]] = {}
    for asked, target in PAIRS:
        mine = [row for row in rows if row["lang"] == asked]
        for name, rank in ranks[target].items():
            scores = [ndcg(rank(row["text"]), {key: grade for key, grade in row["relevant"].items() if target in (key[:2], "both")}) for row in mine]
            found.setdefault(f"{asked} → {target}", {})[name] = scores
    return found


def interval(ours: Sequence[float], theirs: Sequence[float], seed: int = 1) -> tuple[float, float, float]:
    """How much better in per cent, with its 95 % interval over questions (paired bootstrap)."""
    pairs = np.array([ours, theirs])
    chance = np.random.default_rng(seed)
    drawn = pairs[:, chance.integers(0, pairs.shape[1], (4000, pairs.shape[1]))].mean(2)
    gains = 100 * (drawn[0] / drawn[1] - 1)
    low, high = np.percentile(gains, [2.5, 97.5])
    return 100 * float(pairs[0].mean() / pairs[1].mean() - 1), float(low), float(high)


def table(found: Mapping[str, Mapping[str, Sequence[float]]]) -> list[str]:
    names = list(next(iter(found.values())))
    lines = [f"| question → passages | questions | {' | '.join(names)} | gain over the better quickstart (95 %) |", "|---|---|" + "---|" * (len(names) + 1)]
    for direction, scores in found.items():
        best = max((name for name in names if name != "ours"), key=lambda name: float(np.mean(scores[name])))
        gain, low, high = interval(scores["ours"], scores[best])
        cells = " | ".join(f"{np.mean(scores[name]):.3f}" for name in names)
        lines.append(f"| {direction} | {len(scores['ours'])} | {cells} | {gain:+.0f} % ({low:+.0f} to {high:+.0f}) |")
    return lines


def by_writer(rows: Sequence[Mapping[str, Any]], found: Mapping[str, Mapping[str, Sequence[float]]]) -> list[str]:
    """The same table for each writer's questions alone; the first letter of an id names the writer."""
    lines: list[str] = []
    writers = sorted({row["id"][0] for row in rows})
    for writer in writers if len(writers) > 1 else ():
        part = {}
        for direction, scores in found.items():
            mine = [row["id"][0] == writer for row in rows if row["lang"] == direction[:2]]
            part[direction] = {name: [score for score, own in zip(values, mine, strict=True) if own] for name, values in scores.items()}
        lines += ["", f"## Questions {writer}… alone", "", *table(part)]
    return lines


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--part", default="report")
    parser.add_argument("--package", type=Path, help="the package's file, if it is here already")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    rows = [json.loads(line) for line in (ROOT / "tests/labels/documents.jsonl").read_text("utf-8").splitlines()]
    rows = [row for row in rows if row["part"] == options.part]
    with tempfile.TemporaryDirectory() as name:
        passages = passages_of(fetch(Path(name), options.package))
        found = measure(Path(name) / "views", rows, passages)
    lines = [
        "# Finding passages in public sales texts", "",
        f"Made by `make documents`: nDCG@10 over {len(passages):,} passages of the package `{PACKAGE}` (npm, Apache-2.0, pinned by its SHA-256);",
        f"{len(rows)} paraphrased questions of the part “{options.part}”, written with their relevant passages by readers of the texts who had not seen",
        "this program (the other part was for tuning). Same passages, same embedder (`bundled`). “→” crosses languages. No card is among the",
        "passages; ours reads questions and passages with what was learned from the bundled cards (`knowledge/compass.py`) and with the layer",
        "below the encoder's head, which comes from the same pass. The quickstart has neither.", "", *table(found), *by_writer(rows, found),
    ]  # fmt: skip
    print("\n".join(lines))
    if options.out:
        options.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
