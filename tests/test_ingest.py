"""`coach ingest`: folders, archives and rows come in once, bad files are named, and a kill leaves old or new."""

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from decks import DECK

from bot.__main__ import main
from bot.store.database import open_engine
from knowledge.ingest import Source, compose, find_sources, is_unchanged, prepare_all, sha256_of
from knowledge.passages import Page
from knowledge.problems import ContentProblem
from knowledge.shelf import Edition, Shelf

NOW = datetime(2026, 11, 23, tzinfo=UTC)
ROOT = Path(__file__).parents[1]


def edition(name: str, text: str) -> Edition:
    return compose(Source(name, Path(name)), [Page("", text)], str(hash(text)), False).edition


async def on_shelf(shelf: Shelf) -> dict[str, str]:
    """Document → its text, from the passages that a search would see."""
    found: dict[str, str] = {}
    for item in await shelf.passages():
        found[item.document] = f"{found.get(item.document, '')}{item.text}"
    return found


def test_folders_patterns_and_archives_become_sources(tmp_path: Path) -> None:
    (tmp_path / "a" / ".hidden").mkdir(parents=True)
    for name in ("a/one.txt", "a/two.md", "a/~$lock.docx", "a/.hidden/x.txt", "a/picture.png"):
        (tmp_path / name).write_text("先问价值", encoding="utf-8")
    sources, problems = find_sources([str(tmp_path / "a"), str(tmp_path / "a" / "*.md"), str(tmp_path / "nothing*")])
    assert [source.name for source in sources] == ["one.txt", "two.md"]
    assert [problem.what for problem in problems] == ["there is no such file"]


async def test_files_are_prepared_side_by_side_and_bad_ones_are_named(tmp_path: Path) -> None:
    for i in range(6):
        (tmp_path / f"{i}.txt").write_text(f"先问第{i}个人。", encoding="utf-8")
    (tmp_path / "bad.pdf").write_bytes(b"%PDF-1.4 nothing")
    sources, _ = find_sources([str(tmp_path)])
    results = {source.name: result async for source, result in prepare_all(sources)}
    assert len(results) == 7
    assert [name for name, result in results.items() if isinstance(result, ContentProblem)] == ["bad.pdf"]


def test_an_unchanged_file_is_not_read_again(tmp_path: Path) -> None:
    from knowledge.shelf import Published

    path = tmp_path / "deck.txt"
    path.write_text(DECK, encoding="utf-8")
    source = Source("deck.txt", path)
    made = compose(source, [Page("", DECK)], sha256_of(path), False).edition
    here = {source.id: Published(1, source.id, "document", "team", made.title, "", made.sha256, "x", NOW, made.details)}
    assert is_unchanged(source, sha256_of(path), here, accept=False)
    assert not is_unchanged(source, sha256_of(path), here, accept=True)  # corrections were proposed, not taken
    assert not is_unchanged(source, "other", here, accept=False)


def test_dry_run_json_and_exit_codes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"id": "p1", "text": "先问价值"}\nbroken\n', encoding="utf-8")
    data = ["--data", str(tmp_path / "data"), "--no-playbook", "--json"]
    assert main(["ingest", *data, "--dry-run", "--passages", str(rows)]) == 1
    summary = json.loads(capsys.readouterr().out)
    assert summary["passages"] == 1
    assert [(row["line"], row["fix"]) for row in summary["refused"]] == [(2, "write one object a line")]
    assert summary["version"] == 0
    assert main(["ingest", *data, str(tmp_path / "missing.txt")]) == 2
    assert main(["ingest", *data]) == 2


async def edits(shelf: Shelf, chance: random.Random, documents: list[str], steps: int) -> None:
    """A random sequence of edits; after each one the shelf shows exactly what was published last."""
    wanted: dict[str, str] = {}
    for step in range(steps):
        name = chance.choice(documents)
        made = edition(name, f"# 标题\n第{chance.randrange(10**6)}稿的内容在这里。")
        before = {item.document: item for item in await shelf.documents()}
        match chance.choice(["publish", "publish", "draft", "retire", "rollback", "draft then publish"]):
            case "publish":
                await shelf.publish([made], at=NOW, author="t")
                wanted[made.id] = made.passages[0].text
            case "draft":
                await shelf.draft(made, at=NOW, author="t")
            case "draft then publish":
                await shelf.publish_draft(await shelf.draft(made, at=NOW, author="t"), at=NOW, author="t")
                wanted[made.id] = made.passages[0].text
            case "retire" if made.id in before:
                await shelf.publish(retire=[made.id], at=NOW, author="t")
                wanted.pop(made.id, None)
            case "rollback" if (version := await shelf.version()) > 1:
                target = chance.randrange(1, version)
                await shelf.rollback(target, at=NOW, author="t")
                wanted = {item.document: item.text for item in await shelf.passages(target)}
        assert await on_shelf(shelf) == wanted, step
        ids = [item.id for item in await shelf.passages()]
        assert len(ids) == len(set(ids))


@pytest.mark.parametrize("seed", range(int(os.environ.get("EDIT_SEQUENCES", "12"))))  # `make edits`: 1,000
async def test_after_random_edits_only_current_text_is_there(seed: int, tmp_path: Path) -> None:
    await _sequence(seed, tmp_path)


async def _sequence(seed: int, folder: Path) -> None:
    engine = await open_engine(None, folder)
    try:
        await edits(Shelf(engine), random.Random(seed), ["a.txt", "b.txt", "c.txt"], 6)
    finally:
        await engine.dispose()


PUBLISHING = """
import asyncio, sys
from datetime import UTC, datetime
from pathlib import Path
sys.path.insert(0, {tests!r})
from test_ingest import edition
from bot.store.database import open_engine
from knowledge.shelf import Shelf

async def run():
    shelf = Shelf(await open_engine(None, Path({folder!r})))
    for n in range(1, 10_000):
        both = [edition(f"{{name}}.txt", "# T\\n" + "\\n\\n".join(f"第{{n}}稿第{{i}}句的内容。" for i in range(40))) for name in "ab"]
        await shelf.publish(both, at=datetime.now(UTC), author="t")
        print(n, flush=True)

asyncio.run(run())
"""


def test_a_kill_in_the_middle_of_publishing_leaves_old_or_new(tmp_path: Path) -> None:
    """Two documents are published together again and again; whenever the process dies, both are of the same draft."""
    script = PUBLISHING.format(tests=str(Path(__file__).parent), folder=str(tmp_path))
    for round_ in range(3):
        process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})
        assert process.stdout
        assert process.stdout.readline()
        time.sleep(0.11 * (round_ + 1))
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        asyncio.run(_same_draft(tmp_path))


async def _same_draft(folder: Path) -> None:
    engine = await open_engine(None, folder)
    try:
        texts = await on_shelf(Shelf(engine))
        assert len(texts) == 2
        drafts = {part.split("稿")[0] for text in texts.values() for part in text.replace("\n", "").split("。") if part}
        assert len(drafts) == 1
    finally:
        await engine.dispose()
