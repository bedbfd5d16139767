"""Search views of the published version: built from the shelf, swapped in whole, rebuilt when it moves on."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
import sys
import zipfile
import zlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from knowledge.cards import Card
from knowledge.embedders import Embedder, Vectors, open_embedder
from knowledge.keywords import normalise
from knowledge.passages import Found, Kind, Language, Passage, Reading
from knowledge.retrieval import SMALL, Library, cause_texts
from knowledge.shelf import Shelf
from knowledge.topics import Example, Linear, load, load_examples, save, train_all
from knowledge.vectors import ChromaIndex, key_of

Progress = Callable[[str, int, int], None]
BATCH = 256


class ViewSettings(Protocol):
    """The settings that views depend on."""

    @property
    def data_dir(self) -> Path: ...

    @property
    def embedding_model(self) -> str: ...

    @property
    def chroma_url(self) -> str | None: ...


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
        self._indexing: asyncio.Task[None] | None = None

    @property
    def library(self) -> Library:
        assert self._library is not None, "refresh() comes first"
        return self._library

    @property
    def version(self) -> int:
        return self.library.version

    async def refresh(self) -> None:
        """Catch up with the shelf's published version."""
        version = await self._shelf.version()
        if self._library is not None and self._library.version == version:
            return
        if self._embedder is None:
            self._embedder = await asyncio.to_thread(open_embedder, self._embedder_name)
        passages, cards = await self._shelf.passages(version), await self._shelf.cards(version)
        vectors = await self.embed([(item.content_hash, item.search_text) for item in passages])
        models = await self._models(cards)
        library = Library(version, passages, vectors, cards, self._embedder, models, await self._causes(cards))
        await asyncio.to_thread(library.warm)
        self._library = library  # answers exactly until the index is there
        if len(passages) > SMALL:
            self._indexing = asyncio.create_task(self._index_in_background(library))

    async def _index_in_background(self, library: Library) -> None:
        """Let Chroma catch up with a library; it is used by that library only, so versions never mix."""
        key = key_of(library.embedder.fingerprint, [item.content_hash for item in library.passages])
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

    async def embed(self, texts: Sequence[tuple[str, str]], what: str = "passages", *, features: bool = False) -> Vectors:
        """Vectors (or features) for (hash, text) pairs; only what the shelf doesn't know is computed."""
        assert self._embedder is not None
        encode = self._embedder.features if features else self._embedder.documents
        model = self._embedder.fingerprint + ("/features" if features else "")
        known = await self._shelf.known_vectors(model, [key for key, _ in texts])
        if shared := {key: row for key, row in _shared_vectors(model, len(texts) - len(known)).items() if key not in known}:
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

    async def trial(self, new: Sequence[Passage], replaced: Collection[str] = ()) -> Library:
        """The current library with `new` passages (they come last) in the place of the `replaced` documents'."""
        library = self.library
        kept = [i for i, item in enumerate(library.passages) if item.document not in replaced]
        vectors = await self.embed([(item.content_hash, item.search_text) for item in new])
        passages = [*(library.passages[i] for i in kept), *new]
        return replace(library, nearest=None, passages=passages, vectors=np.concatenate([library.vectors[kept], vectors]))

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
        rows = await self.embed([(_key(item.text), item.text) for item in examples], "examples", features=True)
        by_text = dict(zip((item.text for item in examples), rows, strict=True))

        def features(chosen: Sequence[Example]) -> Vectors:
            return np.stack([by_text[item.text] for item in chosen])

        self._progress("topics", 0, 3)
        models = await asyncio.to_thread(train_all, examples, features, lambda done, total: self._progress("topics", done, total))
        save(own, models, fingerprint)
        return models

    # the Retriever port: every call is answered by one library
    def cards(self) -> Mapping[str, Card]:
        return self.library.cards()

    def search(self, text: str, *, limit: int = 10, language: Language | None = None, kind: Kind | None = None) -> Found:
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
        if count <= SMALL:
            return "search", True, f"exact over {count} passages ({self.embedding})"
        return "search", True, f"{'Chroma' if self._index.serving else 'exact, until Chroma is built'}, {count} passages ({self.embedding})"

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
    if (trained := views.folder / "topics.npz").exists():
        shutil.copyfile(trained, SHARED / "topics.tmp")
        (SHARED / "topics.tmp").replace(SHARED / "topics.npz")
    library = views.library
    keys = [item.content_hash for item in library.passages] + [_key(text) for _, _, text in cause_texts(library.cards())]
    known = await shelf.known_vectors(views.embedding, keys)
    rows = np.stack([np.frombuffer(known[key], np.float32) for key in known])
    np.savez(SHARED / "vectors.tmp.npz", model=np.array(views.embedding), keys=np.array(list(known)), rows=rows)
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


def _key(text: str) -> str:
    return "e" + hashlib.sha256(text.encode()).hexdigest()[:31]
