"""`make bench`: our search beside a plain LangChain + Chroma quickstart and BM25, on the same passages and embedder.

    python .ci/bench.py [--sizes 1000 10000 100000] [--out docs/reports/retrieval-bench.md]

Part 1 ranks the cards for the report part of the golden set. Part 2 measures time and memory by size; its passages
are made of the cards' lines, three by three, and their vectors of the lines' vectors, so that all systems share one
vector cache and nobody's time is spent on embedding passages. Each system and size runs in a process of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
for _key in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
    os.environ.setdefault(_key, "1")

from knowledge.cards import card_passages, load_cards  # noqa: E402
from knowledge.compass import Compass  # noqa: E402
from knowledge.embedders import Embedder, open_embedder  # noqa: E402
from knowledge.keywords import Keywords, normalise  # noqa: E402
from knowledge.passages import Passage  # noqa: E402

SYSTEMS = ("ours", "ours, exact", "quickstart")


def golden(part: str) -> list[dict[str, Any]]:
    rows = [json.loads(line) for path in sorted((ROOT / "tests/golden").glob("batch-*.jsonl")) for line in path.read_text("utf-8").splitlines()]
    return [row for row in rows if row["part"] == part and row["topics"] and row["action"] in ("coach", "clarify") and not row.get("context")]


# ------------------------------------------------------------------ part 1: which card


def cards_in_order(ranked: Sequence[Passage]) -> list[str]:
    return list(dict.fromkeys(item.document for item in ranked))


def hits(rank: Callable[[str], list[str]], rows: Sequence[dict[str, Any]]) -> str:
    orders = [(rank(row["text"]), row) for row in rows]
    shares = []
    for language in (None, "zh", "en"):
        mine = [pair for pair in orders if language in (None, pair[1]["lang"])]
        for k in (1, 3):
            shares.append(sum(any(card in row["topics"] for card in order[:k]) for order, row in mine) / len(mine))
    return " | ".join(f"{share:.3f}" for share in shares)


def which_card(part: str = "report") -> list[str]:
    """hit@1 and hit@3 of the systems on the golden set, all and by language."""
    rows, cards, embedder = golden(part), load_cards(), open_embedder("bundled")
    passages = [item for card in cards.values() for item in card_passages(card)]
    words = Keywords([item.search_text for item in passages])
    pooled_ids = list(cards)
    pooled = Keywords(["\n".join(item.text for item in card_passages(card)) for card in cards.values()])
    vectors = embedder.documents([normalise(item.search_text) for item in passages])

    def bm25(text: str) -> list[str]:
        return cards_in_order([passages[i] for i in np.argsort(-words.scores(text), kind="stable")[:200]])

    def bm25_pooled(text: str) -> list[str]:
        return [pooled_ids[i] for i in np.argsort(-pooled.scores(text), kind="stable")[:10]]

    with tempfile.TemporaryDirectory() as folder:
        search = quickstart(Path(folder), passages, vectors, embedder)

        def plain(text: str) -> list[str]:
            return cards_in_order([passages[i] for i in search(text, 60)])

        lines = ["| system | hit@1 | hit@3 | hit@1 zh | hit@3 zh | hit@1 en | hit@3 en |", "|---|---|---|---|---|---|---|"]
        lines.append(f"| BM25 over card passages | {hits(bm25, rows)} |")
        lines.append(f"| BM25 over whole cards | {hits(bm25_pooled, rows)} |")
        lines.append(f"| quickstart: LangChain embeddings + Chroma | {hits(plain, rows)} |")
    lines.append(f"| ours | {hits(_ours(), rows)} |")
    return [f"Golden set, part {part}, {len(rows)} messages that a card treats (follow-ups left out):", "", *lines]


def _ours() -> Callable[[str], list[str]]:
    from bot.app import open_app
    from bot.settings import Settings

    folder = Path(tempfile.mkdtemp())

    async def ready() -> Any:
        async with open_app(Settings(data_dir=folder, _env_file=None), model=False) as app:  # type: ignore[call-arg]
            return app.retriever.library  # type: ignore[attr-defined]

    library = asyncio.run(ready())
    shutil.rmtree(folder)
    return lambda text: [item.card for item in library.read(text).topics]


def quickstart(folder: Path, passages: Sequence[Passage], vectors: Any, embedder: Embedder) -> Callable[[str, int], list[int]]:
    """What a tutorial builds: one collection, embeddings through LangChain's interface, the nearest k."""
    import chromadb  # noqa: TID251 (this is the other side of the comparison)

    collection = chromadb.PersistentClient(str(folder)).create_collection(
        "passages", embedding_function=None, configuration={"hnsw": {"space": "cosine"}}
    )
    for start in range(0, len(passages), 5000):
        part = slice(start, start + 5000)
        collection.add(
            ids=[str(i) for i in range(start, min(start + 5000, len(passages)))],
            embeddings=vectors[part], documents=[item.text for item in passages[part]], metadatas=[{"title": item.title} for item in passages[part]],
        )  # fmt: skip
    model: Any = embedder.model

    def search(text: str, count: int) -> list[int]:
        found = collection.query(query_embeddings=[model.embed_query(text)], n_results=count)
        return [int(row) for row in found["ids"][0]]

    return search


def compass_of(folder: Path) -> Compass:
    """The compass of the bundled playbook, as the set-up leaves it; learned anew if the set-up's is of other cards."""
    from bot.app import open_app
    from bot.settings import Settings

    async def ready() -> Compass | None:
        async with open_app(Settings(data_dir=folder, _env_file=None), model=False) as app:  # type: ignore[call-arg]
            views: Any = app.retriever
            return await views.compass(views.library.cards(), views.library.models)  # type: ignore[no-any-return]

    found = asyncio.run(ready())
    assert found is not None
    return found


# ------------------------------------------------------------------ part 2: how long, how large


def embed_lines(folder: Path) -> None:
    """Vectors and features of the cards' lines, of which passages are made (`lines.npy`, `features.npy`)."""
    texts = [line for card in load_cards().values() for item in card_passages(card) for line in item.text.split("\n")]
    for made, rows in zip(("lines", "features"), open_embedder("bundled").both([normalise(text) for text in texts]), strict=True):
        np.save(folder / f"{made}.npy", rows)


def made_passages(size: int, folder: Path) -> tuple[list[Passage], Any, Any]:
    """Passages of three lines each, with vectors and features that are the lines' mean."""
    lines = [(line, item) for card in load_cards().values() for item in card_passages(card) for line in item.text.split("\n")]
    base = np.load(folder / "lines.npy")
    by_language = {language: [i for i, (_, item) in enumerate(lines) if item.language == language] for language in ("zh", "en")}
    chance = np.random.default_rng(size)
    passages, chosen = [], np.zeros((size, 3), np.int64)
    for number in range(size):
        language = ("zh", "en")[number % 2]
        chosen[number] = chance.choice(by_language[language], 3)
        text = "\n".join(lines[i][0] for i in chosen[number])
        passages.append(Passage(f"p{number}", text, f"p. {number}", language, "Made", "made"))  # type: ignore[arg-type]
    made = []
    for rows in (base, np.load(folder / "features.npy")):
        mixed = rows[chosen].mean(1) + 0.02 * chance.standard_normal((size, rows.shape[1])).astype(np.float32)
        made.append((mixed / np.linalg.norm(mixed, axis=1, keepdims=True)).astype(np.float32))
    return passages, made[0], made[1]


def measure(system: str, size: int, folder: Path) -> dict[str, float]:
    """Times in ms and memory in MB of one system at one size (runs in a process of its own)."""
    from knowledge.retrieval import EXACT, Library
    from knowledge.vectors import ChromaIndex, key_of
    from knowledge.views import EXPECTED_PASSAGES

    passages, vectors, features = made_passages(size, folder)
    compass = compass_of(folder / "playbook")
    asked = [row["text"] for row in golden("tune")]
    questions, others = asked[:300], asked[300:600]
    embedder = open_embedder("bundled")
    embedder.query("warm up")
    embedder.expect(Library(1, passages, vectors, {}, embedder).words(EXPECTED_PASSAGES))  # as a serving process does; for all systems
    before, started = memory(), time.perf_counter()
    index = None
    search: Callable[[str], Any]
    if system == "quickstart":
        near = quickstart(folder / f"quick-{size}", passages, vectors, embedder)
        search = lambda text: near(text, 10)  # noqa: E731
    else:
        places = compass.places(passages, features)
        library = Library(1, passages, vectors, {}, embedder, features=features, compass=compass, places=places)
        library.warm()
        if system == "ours" and size > EXACT:  # below that (COACH_INDEX_ABOVE) the product asks no index
            index = ChromaIndex(folder / f"ours-{size}")
            key = key_of(embedder.fingerprint, [item.content_hash for item in passages])
            if index.catch_up(key, library.groups()):
                library.nearest = index.at(key)
        search = lambda text: library.search(text, limit=10)  # noqa: E731
    built = time.perf_counter() - started
    first = _timed(search, questions[0])
    for text in others:  # other people's questions: a program that has run for a while
        search(text)
    times, work = [], []
    for text in questions[1:]:
        before_cpu = time.process_time()
        times.append(_timed(search, text))
        work.append((time.process_time() - before_cpu) * 1000)
    result = {
        "build s": built, "first ms": first, "p50 ms": float(np.percentile(times, 50)), "p95 ms": float(np.percentile(times, 95)),
        "cpu p50 ms": float(np.percentile(work, 50)), "cpu p95 ms": float(np.percentile(work, 95)),
        "memory MB": memory() - before, "index still served": float(index.serving) if index else float("nan"),
    }  # fmt: skip
    if index:
        index.close()
    return result


def _timed(search: Callable[[str], Any], text: str) -> float:
    started = time.perf_counter()
    search(text)
    return (time.perf_counter() - started) * 1000


def memory() -> float:
    """Resident memory of this process and its children in MB."""
    gc.collect()
    found = 0.0
    for path in Path("/proc").glob("[0-9]*/status"):
        try:
            fields = dict(line.split(":", 1) for line in path.read_text().splitlines() if ":" in line)
        except OSError:
            continue
        if str(os.getpid()) in (fields.get("Pid", "").strip(), fields.get("PPid", "").strip()):
            found += int(fields.get("VmRSS", "0 kB").split()[0]) / 1024
    return found


def how_long(sizes: Sequence[int]) -> list[str]:
    lines = ["| passages | system | build s | first question ms | p50 ms | p95 ms | CPU p50 ms | CPU p95 ms | memory MB |", "|---|---|---|---|---|---|---|---|---|"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        embed_lines(folder)
        for size in sizes:
            for system in SYSTEMS:
                done = subprocess.run(
                    [sys.executable, __file__, "--one", system, str(size), name], capture_output=True, text=True, check=True, cwd=ROOT
                )
                found = json.loads(done.stdout.splitlines()[-1])
                cells = " | ".join(f"{found[key]:.1f}" for key in ("build s", "first ms", "p50 ms", "p95 ms", "cpu p50 ms", "cpu p95 ms", "memory MB"))
                lines.append(f"| {size:,} | {system} | {cells} |")
                print(lines[-1], file=sys.stderr, flush=True)
    return lines


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 10_000, 100_000])
    parser.add_argument("--out", type=Path, default=ROOT / "docs/reports/retrieval-bench.md")
    parser.add_argument("--one", nargs=3)
    options = parser.parse_args()
    if options.one:
        system, size, folder = options.one
        print(json.dumps(measure(system, int(size), Path(folder))))
        return
    load = os.getloadavg()[0]
    lines = ["# Search beside a plain quickstart", "", "Made by `make bench`. Same passages, same embedder (`bundled`), same questions, one run.", ""]
    lines += ["## Which card", "", *which_card(), "", "## Time and memory", ""]
    lines += ["A search as a person waits for it, the embedding of the question included, after 300 questions of other people (the", "first one of all stands in a column of its own). Memory: growth of the process and its helper while the search is built. CPU: of the asking process, which other work on the machine does not stretch. \"ours\" ranks by meaning and words; the quickstart by meaning only.", ""]
    lines += how_long(options.sizes)
    lines += ["", f"Load average before / after on {os.cpu_count()} cores: {load:.1f} / {os.getloadavg()[0]:.1f} (other work on the machine makes times longer)."]
    options.out.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
