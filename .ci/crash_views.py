"""`make crash-views`: kill -9 while an index is built or served, and damaged files, at random instants.

    python .ci/crash_views.py [--instants 100] [--out docs/reports/crash-views.md]

Each instant is a process that answers questions while it lets Chroma catch up with one of three versions. At a
random moment we kill a helper (build, probe or serve), or the answering process itself with all of them; before
every third start we truncate or delete a file of an index. Counted: answering processes that died of anything but
our own kill, answers from another version, questions without an answer.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
SIZE = 7000
VERSIONS = 3


def version(number: int) -> Any:
    """A library whose passages and vectors belong to one version only."""
    from knowledge.passages import Passage
    from knowledge.retrieval import Library

    vectors = np.random.default_rng(number).standard_normal((SIZE, 32)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    passages = [Passage(f"v{number}/{i}", f"word{i}", "", ("zh", "en")[i % 2], "", f"v{number}") for i in range(SIZE)]  # type: ignore[arg-type]
    return Library(number, passages, vectors, {}, None, index_above=0)  # type: ignore[arg-type]


def answer(folder: Path, number: int, seconds: float) -> None:
    """Ask and ask while the index catches up; print how it went as JSON."""
    from knowledge.retrieval import Question
    from knowledge.vectors import ChromaIndex, key_of

    library, index, told = version(number), ChromaIndex(folder), Counter[str]()
    key = key_of("crash", [item.id for item in library.passages])

    def catch_up() -> None:
        if index.catch_up(key, library.groups()):
            library.nearest = index.at(key)

    worker = threading.Thread(target=catch_up, daemon=True)
    worker.start()
    print("asking", flush=True)
    chance, end = random.Random(number), time.monotonic() + seconds
    while time.monotonic() < end:
        row = chance.randrange(SIZE)
        found = library.ranked(Question("", library.vectors[row], library.vectors[row], (), "zh"), limit=3, language="zh")
        told["answered"] += bool(found.hits)
        told["unanswered"] += not found.hits
        told["wrong"] += bool(found.hits) and found.hits[0].passage.id != f"v{number}/{row}"
        told["with index"] += index.serving
        time.sleep(0.002)
    index.close()
    print(json.dumps(told), flush=True)


def build_whole(folder: Path, number: int) -> None:
    from knowledge.vectors import ChromaIndex, key_of

    library, index = version(number), ChromaIndex(folder)
    assert index.catch_up(key_of("crash", [item.id for item in library.passages]), library.groups())
    index.close()


def damage(folder: Path, chance: random.Random) -> str:
    files = [path for path in folder.rglob("*") if path.suffix in (".bin", ".sqlite3")]
    if not files:
        return "nothing to damage"
    victim = chance.choice(sorted(files))
    if chance.random() < 0.5:
        os.truncate(victim, victim.stat().st_size // 2)
        return "truncated a file"
    victim.unlink()
    return "deleted a file"


def helpers_of(pid: int) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/status"):
        try:
            fields = dict(line.split(":", 1) for line in path.read_text().splitlines() if ":" in line)
        except OSError:
            continue
        if fields.get("PPid", "").strip() == str(pid):
            found.append(int(path.parent.name))
    return found


def instant(folder: Path, number: int, chance: random.Random, told: Counter[str]) -> None:
    """One process, one blow."""
    if number % 3 == 2:
        told[damage(folder, chance)] += 1
    whole = chance.random() < 0.35
    process = subprocess.Popen([sys.executable, __file__, "--answer", str(folder), str(chance.randrange(VERSIONS))], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert process.stdout is not None
    process.stdout.readline()  # it is asking
    time.sleep(chance.uniform(0.1, 9.0))
    victims = helpers_of(process.pid)
    if whole:
        for pid in [process.pid, *victims]:
            _kill(pid)
        process.wait()
        told["killed while answering"] += 1
        return
    for pid in victims:
        _kill(pid)
    told["killed a helper" if victims else "no helper at that moment"] += 1
    out, _ = process.communicate(timeout=120)
    if process.returncode != 0:
        told["CRASHED"] += 1
        return
    for key, value in json.loads(out.splitlines()[-1]).items():
        told[key] += value


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--instants", type=int, default=100)
    parser.add_argument("--out", type=Path, default=ROOT / "docs/reports/crash-views.md")
    parser.add_argument("--answer", nargs=2)
    options = parser.parse_args()
    if options.answer:
        answer(Path(options.answer[0]), int(options.answer[1]), 10.0)
        return 0
    chance, told = random.Random(20261123), Counter[str]()
    with tempfile.TemporaryDirectory() as name:
        for number in range(VERSIONS):  # so that serving, proving and damage are met from the start, not building only
            build_whole(Path(name), number)
        for number in range(options.instants):
            instant(Path(name), number, chance, told)
            print(number + 1, dict(told), file=sys.stderr, flush=True)
    bad = told["CRASHED"] + told["wrong"] + told["unanswered"]
    names = ["killed a helper", "killed while answering", "no helper at that moment", "truncated a file", "deleted a file", "answered", "with index", "unanswered", "wrong", "CRASHED"]
    meaning = {"wrong": "answers from another version, or wrong", "CRASHED": "answering processes that died by themselves", "with index": "… of which while the index was served"}
    lines = ["# Views under kill -9", "", f"Made by `make crash-views`: {options.instants} random instants, {SIZE:,} passages, {VERSIONS} versions (what is done: `.ci/crash_views.py`).", "", "| what | count |", "|---|---|"]
    lines += [f"| {meaning.get(item, item)} | {told[item]:,} |" for item in names]
    options.out.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
