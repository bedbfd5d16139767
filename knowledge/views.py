"""Search views of the published version: built from the shelf, swapped in whole, rebuilt when it moves on."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
import sys
import time
import zipfile
import zlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from knowledge.cards import Card
from knowledge.compass import (
    Compass,
    card_texts,
    centres_of,
    keep_places,
    kept_places,
    load_centres,
    save_centres,
    shipped,
    texts_mark,
)
from knowledge.embedders import Embedder, Vectors, open_embedder
from knowledge.keywords import normalise
from knowledge.passages import Found, Kind, Language, Passage, Reading
from knowledge.retrieval import Library, cause_texts
from knowledge.shelf import Shelf
from knowledge.topics import Example, Linear, load, load_examples, save, train_all
from knowledge.vectors import ChromaIndex, key_of

Progress = Callable[[str, int, int], None]
BATCH = 256
EXPECTED_PASSAGES = 2000  # whose words questions are expected to be made of
MEND_AFTER = 10.0  # seconds between two tries to have the index again, doubled each time


class ViewSettings(Protocol):
    """The settings that views depend on."""

    @property
    def data_dir(self) -> Path: ...

    @property
    def embedding_model(self) -> str: ...

    @property
    def chroma_url(self) -> str | None: ...

    @property
    def index_above(self) -> int: ...


class Views:
    """The current `Library`, and how it comes to be. Answers every search from one version."""

    def __init__(self, shelf: Shelf, settings: ViewSettings, progress: Progress) -> None:
        self._shelf = shelf
        self.folder = settings.data_dir / "views"
        self._progress = progress
        self._embedder_name = settings.embedding_model
        self._embedder: Embedder | None = None
        self._library: Library | None = None
        self._index = ChromaIndex(self.folder / "chroma", settings.chroma_url)
        self._index_above = settings.index_above
        self._indexing: asyncio.Task[None] | None = None
        self._refreshing = asyncio.Lock()
        self._mend_at, self._mend_wait = 0.0, MEND_AFTER
        self._expects = -1  # the version whose words the embedder is ready for

    @property
    def library(self) -> Library:
        assert self._library is not None, "refresh() comes first"
        return self._library

    @property
    def version(self) -> int:
        return self.library.version

    async def refresh(self) -> None:
        """Catch up with the shelf's published version."""
        async with self._refreshing:
            await self._refresh()

    async def keep_up(self) -> None:
        """What a serving process does now and then: notice a version published elsewhere, and a Chroma that came back."""
        await self.refresh()
        await self._expect(self.library)
        if self._index.serving:
            self._mend_wait = MEND_AFTER
        elif self._indexing is not None and self._indexing.done() and time.monotonic() > self._mend_at:
            self._mend_at, self._mend_wait = (
                time.monotonic() + self._mend_wait,
                min(3600.0, 2 * self._mend_wait),
            )
            self._indexing = asyncio.create_task(self._index_in_background(self.library))

    async def _expect(self, library: Library) -> None:
        """Let the embedder get ready for the words of this version: a single question on the command line needn't wait for it."""
        if library.version != self._expects:
            self._expects = library.version
            await asyncio.to_thread(lambda: library.embedder.expect(library.words(EXPECTED_PASSAGES)))

    async def _refresh(self) -> None:
        version = await self._shelf.version()
        if self._library is not None and self._library.version == version:
            return
        if self._embedder is None:
            self._embedder = await asyncio.to_thread(open_embedder, self._embedder_name)
        passages, cards = await self._shelf.passages(version), await self._shelf.cards(version)
        documents = [item for item in passages if item.kind == "document"]
        await self._embed_both(documents)
        vectors = await self.embed([(item.content_hash, item.search_text) for item in passages])
        models = await self._models(cards)
        library = Library(
            version,
            passages,
            vectors,
            cards,
            self._embedder,
            models,
            await self._causes(cards),
            index_above=self._index_above,
        )
        if documents:
            library = await self._with_compass(library, await self.compass(cards, models))
        await asyncio.to_thread(library.warm)
        self._library = library  # answers exactly until the index is there
        if len(documents) > self._index_above:
            self._indexing = asyncio.create_task(self._index_in_background(library))

    async def _index_in_background(self, library: Library) -> None:
        """Let Chroma catch up with a library; it is used by that library only, so versions never mix."""
        key = key_of(
            f"{library.embedder.fingerprint}/documents", [item.content_hash for item in library.passages]
        )
        if await asyncio.to_thread(self._index.catch_up, key, library.groups()):
            library.nearest = self._index.at(key)

    async def settle(self) -> None:
        """Wait until the index is built (`coach reindex`, `coach ingest`); searches never have to."""
        if self._indexing is not None:
            await self._indexing

    async def close(self) -> None:
        """Stop building and serving the index."""
        await asyncio.to_thread(self._index.close)
        await self.settle()

    async def _causes(self, cards: Mapping[str, Card]) -> dict[str, tuple[tuple[str, ...], Vectors]]:
        """Per card with causes: the cause of each text that shows one, and the texts' vectors."""
        texts = cause_texts(cards)
        rows = await self.embed([(_key(text), text) for _, _, text in texts], "causes")
        found = {}
        for card in dict.fromkeys(card for card, _, _ in texts):
            mine = [i for i, item in enumerate(texts) if item[0] == card]
            found[card] = tuple(texts[i][1] for i in mine), rows[mine]
        return found

    async def embed(
        self, texts: Sequence[tuple[str, str]], what: str = "passages", *, features: bool = False
    ) -> Vectors:
        """Vectors (or features) for (hash, text) pairs; only what the shelf doesn't know is computed."""
        assert self._embedder is not None
        encode = self._embedder.features if features else self._embedder.documents
        model = self._embedder.fingerprint + ("/features" if features else "")
        known = await self._shelf.known_vectors(model, [key for key, _ in texts])
        if shared := {
            key: row
            for key, row in _shared_vectors(model, len(texts) - len(known)).items()
            if key not in known
        }:
            wanted = {key: shared[key] for key, _ in texts if key in shared}
            await self._shelf.keep_vectors(model, wanted)
            known |= wanted
        missing = list({key: text for key, text in texts if key not in known}.items())
        for start in range(0, len(missing), BATCH):
            batch = missing[start : start + BATCH]
            rows = await asyncio.to_thread(encode, [normalise(text) for _, text in batch])
            new = {key: row.tobytes() for (key, _), row in zip(batch, rows, strict=True)}
            await self._shelf.keep_vectors(model, new)
            known |= new
            self._progress(what, start + len(batch), len(missing))
        if not texts:
            return np.zeros((0, self._embedder.dimension), np.float32)
        return np.frombuffer(b"".join(known[key] for key, _ in texts), np.float32).reshape(len(texts), -1)

    async def _embed_both(self, passages: Sequence[Passage]) -> None:
        """Put vectors and features of documents on the shelf, from one pass over each text."""
        assert self._embedder is not None
        if not self._embedder.layered:
            return
        names = self._embedder.fingerprint, f"{self._embedder.fingerprint}/features"
        known = [
            await self._shelf.known_vectors(name, [item.content_hash for item in passages]) for name in names
        ]
        missing = list(
            {
                item.content_hash: item.search_text
                for item in passages
                if not all(item.content_hash in rows for rows in known)
            }.items()
        )
        for start in range(0, len(missing), BATCH):
            batch = missing[start : start + BATCH]
            both = await asyncio.to_thread(self._embedder.both, [normalise(text) for _, text in batch])
            for name, rows in zip(names, both, strict=True):
                await self._shelf.keep_vectors(
                    name, {key: row.tobytes() for (key, _), row in zip(batch, rows, strict=True)}
                )
            self._progress("passages", start + len(batch), len(missing))

    async def compass(self, cards: Mapping[str, Card], models: Mapping[str, Linear]) -> Compass | None:
        """What lets documents be found by topic: learned from the cards, without cards the bundled ones' from the set-up."""
        assert self._embedder is not None
        if "topics" not in models:
            return await asyncio.to_thread(shipped, SHARED, self._embedder.fingerprint)
        texts, labels = card_texts(cards), models["topics"].labels
        mark = texts_mark(self._embedder.fingerprint, texts)
        for path in (self.folder / "centres.npz", SHARED / "centres.npz"):
            if centres := load_centres(path, mark, labels):
                return Compass(models["topics"], centres)
        rows = await self.embed([(_key(text), text) for _, _, text in texts], "cards", features=True)
        centres = centres_of(labels, texts, rows)
        save_centres(self.folder / "centres.npz", mark, labels, centres)
        return Compass(models["topics"], centres)

    async def _with_compass(self, library: Library, compass: Compass | None, *, keep: bool = True) -> Library:
        """The library with the features of its documents' passages and their places among the topics."""
        at = [i for i, item in enumerate(library.passages) if item.kind == "document"]
        documents = [library.passages[i] for i in at]
        features = library.vectors[at]
        if library.embedder.layered:
            features = await self.embed(
                [(item.content_hash, item.search_text) for item in documents], features=True
            )
            library = replace(library, features=_spaced(features, at, len(library.passages)))
        if compass is None:
            return library
        places = await asyncio.to_thread(self._places, compass, documents, features, keep)
        return replace(library, compass=compass, places=_spaced(places, at, len(library.passages)))

    def _places(
        self, compass: Compass, passages: Sequence[Passage], features: Vectors, keep: bool
    ) -> Vectors:
        """Where passages lie among the topics; only those that changed since the last time are placed."""
        path = self.folder / "places.npz"
        known = kept_places(path, compass.fingerprint)
        missing = [i for i, item in enumerate(passages) if item.content_hash not in known]
        new = compass.places([passages[i] for i in missing], features[missing])
        known |= {passages[i].content_hash: row for i, row in zip(missing, new, strict=True)}
        if missing and keep:
            keep_places(
                path, compass.fingerprint, {item.content_hash: known[item.content_hash] for item in passages}
            )
        return np.stack([known[item.content_hash] for item in passages])

    async def trial(self, new: Sequence[Passage], replaced: Collection[str] = ()) -> Library:
        """The current library with `new` passages (they come last) in the place of the `replaced` documents'."""
        library = self.library
        kept = [i for i, item in enumerate(library.passages) if item.document not in replaced]
        await self._embed_both([item for item in new if item.kind == "document"])
        vectors = await self.embed([(item.content_hash, item.search_text) for item in new])
        passages = [*(library.passages[i] for i in kept), *new]
        both = replace(
            library, nearest=None, passages=passages, vectors=np.concatenate([library.vectors[kept], vectors])
        )
        if not any(item.kind == "document" for item in new):
            return replace(
                both,
                features=_joined(library.features, kept, None, len(new)),
                places=_joined(library.places, kept, None, len(new)),
            )
        compass = library.compass or await self.compass(library.cards(), library.models)
        tail = await self._with_compass(
            replace(library, passages=new, vectors=vectors, features=None, places=None), compass, keep=False
        )
        features, places = (
            _joined(library.features, kept, tail.features, len(new)),
            _joined(library.places, kept, tail.places, len(new)),
        )
        return replace(both, compass=tail.compass, features=features, places=places)

    async def _models(self, cards: Mapping[str, Card]) -> dict[str, Linear]:
        """The learned models over the cards' examples: from the cache of the set-up, from our views, or trained."""
        assert self._embedder is not None
        if not cards:
            return {}
        examples = await asyncio.to_thread(load_examples, cards)
        fingerprint = f"{self._embedder.fingerprint}/{examples.fingerprint}"
        own = self.folder / "topics.npz"
        for path in (own, SHARED / "topics.npz"):
            if found := load(path, fingerprint):
                return found
        rows = await self.embed(
            [(_key(item.text), item.text) for item in examples], "examples", features=True
        )
        by_text = dict(zip((item.text for item in examples), rows, strict=True))

        def features(chosen: Sequence[Example]) -> Vectors:
            return np.stack([by_text[item.text] for item in chosen])

        self._progress("topics", 0, 3)
        models = await asyncio.to_thread(
            train_all, examples, features, lambda done, total: self._progress("topics", done, total)
        )
        save(own, models, fingerprint)
        return models

    # the Retriever port: every call is answered by one library
    def cards(self) -> Mapping[str, Card]:
        return self.library.cards()

    def search(
        self, text: str, *, limit: int = 10, language: Language | None = None, kind: Kind | None = None
    ) -> Found:
        return self.library.search(text, limit=limit, language=language, kind=kind)

    def read(self, text: str, *, context: Sequence[str] = ()) -> Reading:
        return self.library.read(text, context=context)

    def passage(self, passage_id: str, *, version: int | None = None) -> Passage | None:
        return self.library.passage(passage_id)

    def passages_of(self, card_id: str, language: Language) -> Sequence[Passage]:
        return self.library.passages_of(card_id, language)

    def similarity(self, left: Sequence[str], right: Sequence[str]) -> Any:
        return self.library.similarity(left, right)

    def health(self) -> tuple[str, bool, str]:
        """What searches rest on just now, for `coach doctor`: name, is it fine, in words."""
        count = len(self.library.passages)
        if sum(item.kind == "document" for item in self.library.passages) <= self._index_above:
            return "search", True, f"exact over {count} passages ({self.embedding})"
        return (
            "search",
            True,
            f"{'Chroma' if self._index.serving else 'exact, until Chroma is built'}, {count} passages ({self.embedding})",
        )

    @property
    def indexed(self) -> bool:
        return self._indexing is None or self._index.serving

    @property
    def embedding(self) -> str:
        return self.library.embedder.fingerprint

    def features(self, texts: Sequence[str]) -> Any:
        return self.library.embedder.features(texts)


# Models trained at set-up (`coach reindex --shared`), so that a new data directory starts at once.
SHARED = Path(sys.prefix) / "share" / "key-account-coach"


async def share(views: Views, shelf: Shelf) -> None:
    """Put trained models and vectors of the playbook where every data directory finds them (set-up)."""
    SHARED.mkdir(parents=True, exist_ok=True)
    library = views.library
    await views.compass(library.cards(), library.models)
    for name in ("topics", "centres"):
        if (made := views.folder / f"{name}.npz").exists():
            shutil.copyfile(made, SHARED / f"{name}.tmp")
            (SHARED / f"{name}.tmp").replace(SHARED / f"{name}.npz")
    keys = [item.content_hash for item in library.passages] + [
        _key(text) for _, _, text in cause_texts(library.cards())
    ]
    known = await shelf.known_vectors(views.embedding, keys)
    rows = np.stack([np.frombuffer(known[key], np.float32) for key in known])
    np.savez(
        SHARED / "vectors.tmp.npz", model=np.array(views.embedding), keys=np.array(list(known)), rows=rows
    )
    (SHARED / "vectors.tmp.npz").replace(SHARED / "vectors.npz")


def _shared_vectors(model: str, missing: int) -> dict[str, bytes]:
    """The playbook's vectors from the set-up, if many are missing and they are this model's."""
    if missing < 100:
        return {}
    try:
        with np.load(SHARED / "vectors.npz", allow_pickle=False) as arrays:
            if str(arrays["model"]) != model:
                return {}
            return {str(key): row.tobytes() for key, row in zip(arrays["keys"], arrays["rows"], strict=True)}
    except (OSError, ValueError, KeyError, zipfile.BadZipFile, zlib.error):  # not there, half-written
        return {}


def _spaced(rows: Vectors, at: Sequence[int], count: int) -> Vectors:
    """The rows at their numbers among `count`, zeros between them."""
    found = np.zeros((count, rows.shape[1]), np.float32)
    found[at] = rows
    return found


def _joined(rows: Vectors | None, kept: Sequence[int], new: Vectors | None, count: int) -> Vectors | None:
    """The kept rows, then the `count` new ones; what one side lacks is zero, and None when both lack it."""
    if rows is None and new is None:
        return None
    width = (rows if rows is not None else new).shape[1]  # type: ignore[union-attr]
    first = rows[kept] if rows is not None else np.zeros((len(kept), width), np.float32)
    return np.concatenate([first, new if new is not None else np.zeros((count, width), np.float32)])


def _key(text: str) -> str:
    return "e" + hashlib.sha256(text.encode()).hexdigest()[:31]
