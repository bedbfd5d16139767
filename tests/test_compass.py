"""Documents found by what they are about: plain words meet words of the trade, in either language."""

import asyncio
import shutil
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from bot.app import open_app
from bot.ports import App
from bot.settings import Settings
from knowledge import retrieval
from knowledge.compass import Compass, kept_places, load_centres, save_centres, shipped
from knowledge.keywords import normalise
from knowledge.passages import Language, Passage
from knowledge.retrieval import Answer, Library
from knowledge.shelf import Edition
from knowledge.topics import save
from knowledge.views import Views

NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)
TEXTS = {
    "zh": [
        "识别经济决策者：确认谁掌握预算的最终审批权，用可验证的问题测试其权限。",
        "回款条款：账期超过六十天的订单须财务会签，逾期分级催收。",
        "样机试用须约定期限、成功标准与转正条件，到期未决即收回。",
        "联系人离职前，与继任者完成三方交接，并向上建立第二、第三层关系。",
    ],
    "en": [
        "Identify the economic buyer: confirm who holds final budget authority and test it with verifiable questions.",
        "Payment terms beyond sixty days need finance approval; overdue invoices follow the dunning ladder.",
        "A proof of concept has an end date, success criteria and conversion terms; undecided units are collected.",
        "Before a champion departs, run a three-way introduction with the successor and build coverage on other levels.",
    ],
}
ASKED = {  # in plain words, by the number of the text that treats it
    "他什么都说好，可我拿不准这笔钱他到底批不批得下来": 0,
    "货早到了，钱一直拖着没给，我去要又怕伤和气": 1,
    "He nods at everything, but I can't tell whether he may really sign for that sum.": 0,
    "The only man I know over there is about to leave and I know nobody else.": 3,
}


def passages() -> list[Passage]:
    return [
        Passage(f"{language}{i}", text, f"p. {i}", language, "Handbook", "handbook")
        for language, texts in TEXTS.items()
        for i, text in enumerate(texts)
    ]  # type: ignore[arg-type]


def views_of(app: App) -> Views:
    assert isinstance(app.retriever, Views)
    return app.retriever


@pytest.fixture(scope="module")
def library(stocked: Path, tmp_path_factory: pytest.TempPathFactory) -> Library:
    """The handbook's passages without any card, found with the bundled playbook's compass."""
    folder = tmp_path_factory.mktemp("compass") / "data"
    shutil.copytree(stocked, folder)  # the shared directory may be open elsewhere

    async def made() -> tuple[Compass | None, Library]:
        async with open_app(Settings(data_dir=folder, _env_file=None), model=False) as app:  # type: ignore[call-arg]
            views = views_of(app)
            return await views.compass(views.cards(), views.library.models), views.library

    compass, other = asyncio.run(made())
    assert compass is not None
    items = passages()
    vectors, features = other.embedder.both([normalise(item.search_text) for item in items])
    return Library(
        1,
        items,
        vectors,
        {},
        other.embedder,
        features=features,
        compass=compass,
        places=compass.places(items, features),
    )


@pytest.mark.parametrize("question", ASKED)
@pytest.mark.parametrize("language", ["zh", "en"])
def test_plain_words_find_words_of_the_trade_in_both_languages(
    library: Library, question: str, language: str
) -> None:
    ranked = [hit.passage.id for hit in library.search(question, limit=8).hits]
    best = next(name for name in ranked if name.startswith(language))
    assert best == f"{language}{ASKED[question]}"


def test_every_passage_of_a_small_library_is_ranked_and_no_card_appears(library: Library) -> None:
    hits = library.search("天气怎么样", limit=20).hits
    assert {hit.passage.id for hit in hits} == {item.id for item in library.passages}
    assert all(0 <= hit.score <= 1 for hit in hits)


def test_a_rare_number_is_found_by_its_words(library: Library) -> None:
    items = [
        *library.passages,
        *(
            Passage(f"n{i}", f"Seal kit GX-{4100 + i} fits pump {i}.", "", "en", "Parts", "parts")
            for i in range(40)
        ),
    ]
    vectors, features = library.embedder.both([normalise(item.search_text) for item in items])
    assert library.compass is not None
    parts = replace(
        library,
        passages=items,
        vectors=vectors,
        features=features,
        places=library.compass.places(items, features),
    )
    assert parts.search("which pump takes GX-4123?").hits[0].passage.id == "n23"
    assert parts.search("GX-4123 配哪台泵？").hits[0].passage.id == "n23"


def test_an_index_proposes_what_exact_search_would_find(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retrieval, "SMALL", 2)

    class Index:
        questions = 0

        def asked(self, vectors: dict[Language, np.ndarray], count: int) -> AbstractContextManager[Answer]:
            Index.questions += len(vectors)
            groups = library.groups()
            return nullcontext(
                lambda: {
                    spoken: groups[spoken][0][np.argsort(-(groups[spoken][1] @ aim))[:count]]
                    for spoken, aim in vectors.items()
                }
            )

    served, exact = replace(library, nearest=Index(), index_above=2), replace(library, nearest=None)
    for question in ASKED:
        assert [hit.passage.id for hit in served.search(question).hits] == [
            hit.passage.id for hit in exact.search(question).hits
        ]
    assert Index.questions == 2 * len(ASKED)


def test_what_the_set_up_left_serves_a_library_without_cards(library: Library, tmp_path: Path) -> None:
    compass, fingerprint = library.compass, library.embedder.fingerprint
    assert compass is not None and shipped(tmp_path, fingerprint) is None
    save(tmp_path / "topics.npz", {"topics": compass.topics}, f"{fingerprint}/x")
    save_centres(tmp_path / "centres.npz", f"{fingerprint}/y", compass.topics.labels, compass.centres)
    found = shipped(tmp_path, fingerprint)
    assert found is not None and np.array_equal(found.centres["zh"], compass.centres["zh"])
    assert shipped(tmp_path, "another-model") is None
    (tmp_path / "centres.npz").write_bytes((tmp_path / "centres.npz").read_bytes()[:500])
    assert (
        shipped(tmp_path, fingerprint) is None
        and load_centres(tmp_path / "centres.npz", "", compass.topics.labels) is None
    )


async def test_published_documents_are_placed_once_and_meet_the_cards_in_their_own_order(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    views, placed = views_of(app), list[str]()
    place = Compass.place

    def counted(self: Compass, features: np.ndarray, text: str, language: str) -> np.ndarray:
        placed.append(text)
        return place(self, features, text, language)  # type: ignore[arg-type]

    monkeypatch.setattr(Compass, "place", counted)
    items = passages()
    trial = await views.trial(items)
    await app.shelf.publish(
        [Edition("handbook", "document", "Handbook", "", "1", tuple(items))], at=NOW, author="t"
    )
    await views.refresh()
    placed.clear()
    changed = [replace(items[0], text=items[0].text + "（修订）"), *items[1:]]
    await app.shelf.publish(
        [Edition("handbook", "document", "Handbook", "", "2", tuple(changed))], at=NOW, author="t"
    )
    await views.refresh()
    assert len(placed) == 1 and views.library.compass is not None
    assert len(kept_places(views.folder / "places.npz", views.library.compass.fingerprint)) == len(items)
    for question in ASKED:
        alone = [hit.passage.id for hit in views.search(question, kind="document").hits]
        mixed = [
            hit.passage.id
            for hit in views.search(question, limit=5000).hits
            if hit.passage.kind == "document"
        ]
        assert alone == mixed and set(alone) == {item.id for item in items}
        assert next(hit.passage.id for hit in trial.search(question, kind="document").hits) == alone[0]
