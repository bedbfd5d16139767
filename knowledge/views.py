"""Search views of the published version: built from the shelf, swapped in whole, rebuilt when it moves on."""

from __future__ import annotations

import asyncio
import hashlib
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from knowledge.cards import Card
from knowledge.embedders import Embedder, Vectors, open_embedder
from knowledge.keywords import normalise
from knowledge.passages import Found, Language, Passage, Reading
from knowledge.retrieval import Library
from knowledge.shelf import Shelf
from knowledge.topics import Example, Linear, load, load_examples, save, train_all

Progress = Callable[[str, int, int], None]
BATCH = 256


class ViewSettings(Protocol):
    """The settings that views depend on."""

    data_dir: Path
    embedding_model: str


class Views:
    """The current `Library`, and how it comes to be. Answers every search from one version."""

    def __init__(self, shelf: Shelf, settings: ViewSettings, progress: Progress) -> None:
        self._shelf = shelf
        self._folder = settings.data_dir / "views"
        self._progress = progress
        self._embedder_name = settings.embedding_model
        self._embedder: Embedder | None = None
        self._library: Library | None = None

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
        library = Library(version, passages, vectors, cards, self._embedder, models)
        await asyncio.to_thread(library.warm)
        self._library = library

    async def embed(self, texts: Sequence[tuple[str, str]], what: str = "passages", *, features: bool = False) -> Vectors:
        """Vectors (or features) for (hash, text) pairs; only what the shelf doesn't know is computed."""
        assert self._embedder is not None
        encode = self._embedder.features if features else self._embedder.documents
        model = self._embedder.fingerprint + ("/features" if features else "")
        known = await self._shelf.known_vectors(model, [key for key, _ in texts])
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
        return replace(library, passages=passages, vectors=np.concatenate([library.vectors[kept], vectors]))

    async def _models(self, cards: Mapping[str, Card]) -> dict[str, Linear]:
        """The learned models over the cards' examples: from the cache of the set-up, from our views, or trained."""
        assert self._embedder is not None
        if not cards:
            return {}
        examples = await asyncio.to_thread(load_examples, cards)
        fingerprint = f"{self._embedder.fingerprint}/{examples.fingerprint}"
        own = self._folder / "topics.npz"
        for path in (own, SHARED / "topics.npz"):
            if found := load(path, fingerprint):
                return found
        rows = await self.embed([(_key(item), item.text) for item in examples], "examples", features=True)
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

    def search(self, text: str, *, limit: int = 10, language: Language | None = None) -> Found:
        return self.library.search(text, limit=limit, language=language)

    def read(self, text: str, *, context: Sequence[str] = ()) -> Reading:
        return self.library.read(text, context=context)

    def passage(self, passage_id: str, *, version: int | None = None) -> Passage | None:
        return self.library.passage(passage_id)

    def passages_of(self, card_id: str, language: Language) -> Sequence[Passage]:
        return self.library.passages_of(card_id, language)

    def similarity(self, left: Sequence[str], right: Sequence[str]) -> Any:
        return self.library.similarity(left, right)

    @property
    def embedding(self) -> str:
        return self.library.embedder.fingerprint

    def features(self, texts: Sequence[str]) -> Any:
        return self.library.embedder.features(texts)


# Models trained at set-up (`coach reindex --shared`), so that a new data directory starts at once.
SHARED = Path(sys.prefix) / "share" / "key-account-coach"


def _key(example: Example) -> str:
    return "e" + hashlib.sha256(example.text.encode()).hexdigest()[:31]
