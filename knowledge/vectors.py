"""The nearest passages from Chroma, and what happens when Chroma is missing, stale, damaged or still being built.

Chroma's files can crash the process that opens them (a kill at the wrong moment is enough). So no process that
answers people ever opens them: a helper process builds a new directory, a second one proves that it answers, and a
third one serves it through a pipe. If that one dies or falls silent, the answer is None and the caller searches the
stored vectors exactly. Small collections need no index: `views.py` asks for one above COACH_INDEX_ABOVE passages.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import secrets
import select
import shutil
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
from numpy.typing import NDArray

from knowledge.passages import Language

log = logging.getLogger(__name__)

Rows = NDArray[np.int64]
Vectors = Mapping[Language, NDArray[np.float32]]  # per language what is looked for
Answer = Callable[[], Mapping[Language, Rows] | None]
Groups = Mapping[Language, tuple[Rows, NDArray[np.float32]]]  # per language: row numbers and their vectors

SHARED = "server"  # the end of directories whose collections stand on a server
KEPT = 3  # directories: the current one and two to go back to
BATCH = 2000  # large batches: small ones made Chroma write its index files often, and a kill hit them
PATIENCE = 0.25  # seconds a search waits for the helper before it goes without
OPENING = 60.0  # seconds the helper may take to open an index
_PARTS = struct.Struct("<I")  # how many languages are asked for
_ASK = struct.Struct("<4sII")  # for each: language, how many, dimension; then the vector
_TOLD = struct.Struct("<i")  # how many rows follow as int64; -1: cannot say


def key_of(fingerprint: str, hashes: Sequence[str]) -> str:
    """What an index depends on: embedding model and passages, in order. Another order is another index."""
    return hashlib.sha256("\n".join([fingerprint, *hashes]).encode()).hexdigest()[:24]


class ChromaIndex:
    """One published version's vectors in Chroma, embedded in `folder` or on a server (`url`)."""

    def __init__(self, folder: Path, url: str | None = None) -> None:
        self._folder, self._url = folder, url
        self._lock = threading.Lock()
        self._helper: Helper | None = None
        self._key = ""
        self._work: subprocess.Popen[bytes] | None = None
        self._closed = False

    def catch_up(self, key: str, groups: Groups) -> bool:
        """Serve the index of `key`: one that was built before, else a new one. False if that did not work out."""
        self._folder.mkdir(parents=True, exist_ok=True)
        if self._url:
            return self._catch_up_on_server(self._folder / f"{key}-{SHARED}", key, groups)
        for path in sorted(self._folder.glob(f"{key}-*")):
            if (path / "built.json").exists() and self._serve(path, key):
                return True
            shutil.rmtree(path, ignore_errors=True)  # half-built or damaged
        path = self._folder / f"{key}-{secrets.token_hex(4)}"
        return self._build(path, groups) and self._serve(path, key)

    def _catch_up_on_server(self, path: Path, key: str, groups: Groups) -> bool:
        """On a server all replicas use the same collections, named by the key: whoever comes first fills them.

        Two that fill them at once write the same rows. Nothing is thrown away: a server that is away comes back.
        """
        built = (path / "built.json").exists() and self._serve(path, key)
        return built or (self._build(path, groups) and self._serve(path, key))

    def at(self, key: str) -> ServedVersion:
        """The index as the library of `key` may use it: as soon as another version is served, it says None."""
        return ServedVersion(self, key)

    @contextlib.contextmanager
    def asked(self, key: str, vectors: Vectors, count: int) -> Iterator[Answer]:
        """Send a question off; the caller does other work and then reads the answer. None: search exactly."""
        if self._helper is None or not self._lock.acquire(
            blocking=False
        ):  # busy with another question: exact is fine
            yield lambda: None
            return
        try:
            if self._helper is None or key != self._key or not vectors:
                yield lambda: None
                return
            asked = _Asked(self._helper, vectors, count)
            try:
                yield asked.answer
            finally:
                if (
                    asked.answer() is None
                ):  # read also what the caller left: the next question must not get this one's answer
                    log.warning(
                        "the Chroma helper is gone; exact search takes over until the index is rebuilt"
                    )
                    self._helper.close()
                    self._helper = None
        finally:
            self._lock.release()

    @property
    def serving(self) -> bool:
        return self._helper is not None

    def close(self) -> None:
        self._closed = True
        if self._work is not None and self._work.poll() is None:
            self._work.kill()
        with self._lock:
            if self._helper is not None:
                self._helper.close()
            self._helper = None

    def _build(self, path: Path, groups: Groups) -> bool:
        path.mkdir(exist_ok=bool(self._url))
        for language, (rows, vectors) in groups.items():
            _save(path / f"{language}.rows.npy", rows)
            _save(path / f"{language}.vectors.npy", vectors)
        if not self._run("build", path):
            if not self._url:
                shutil.rmtree(path, ignore_errors=True)
            return False
        counts = {language: len(rows) for language, (rows, _) in groups.items()}
        for file in path.glob("*.vectors.npy"):
            file.unlink(missing_ok=True)
        temporary = path / "built.tmp"
        temporary.write_text(json.dumps(counts))
        temporary.replace(path / "built.json")  # from here on it counts as built
        return True

    def _serve(self, path: Path, key: str) -> bool:
        """Prove in a process of its own that the index answers, then let a helper serve it."""
        if self._closed or not self._run("probe", path):
            return False
        helper = Helper(_command("serve", path, self._url))
        if not helper.ready():
            helper.close()
            return False
        with self._lock:
            old, self._helper, self._key = self._helper, helper, key
        if old is not None:
            old.close()
        self._point_at(path)
        return True

    def _point_at(self, path: Path) -> None:
        """Swap the pointer, keep the last few directories."""
        temporary = self._folder / f"current.{os.getpid()}.tmp"
        temporary.write_text(path.name)
        temporary.replace(self._folder / "current")
        os.utime(path)
        if self._url:
            return  # the directory may be shared; its few small files cost nothing
        others = sorted(
            (item for item in self._folder.iterdir() if item.is_dir()),
            key=lambda item: item.stat().st_mtime,
            reverse=True,
        )
        for old in others[KEPT:]:
            shutil.rmtree(old, ignore_errors=True)

    def _run(self, task: str, path: Path) -> bool:
        with subprocess.Popen(
            _command(task, path, self._url),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        ) as work:
            self._work = work
            _, errors = work.communicate()
        if work.returncode and not self._closed:
            last = errors.decode(errors="replace").strip().splitlines()[-1:]
            log.warning("Chroma %s of %s failed (exit %s) %s", task, path.name, work.returncode, last)
        return work.returncode == 0


@dataclass(frozen=True)
class ServedVersion:
    """An index, for one version only."""

    index: ChromaIndex
    key: str

    def asked(self, vectors: Vectors, count: int) -> AbstractContextManager[Answer]:
        return self.index.asked(self.key, vectors, count)


class _Asked:
    """One question to the helper, for each language, and its answer, read once."""

    def __init__(self, helper: Helper, vectors: Vectors, count: int) -> None:
        self._helper, self._languages = helper, tuple(vectors)
        self._sent = helper.ask(vectors, count)
        self._read = False
        self._found: dict[Language, Rows] = {}

    def answer(self) -> dict[Language, Rows] | None:
        """Row numbers of the nearest vectors, by language; None when the helper is dead, slow or unsure."""
        if self._sent and not self._read:
            self._read = True
            for language in self._languages:
                if (rows := self._helper.told()) is None:
                    break
                self._found[language] = rows
        return self._found if len(self._found) == len(self._languages) else None


class Helper:
    """The process that has Chroma's files open, and the pipe to it."""

    def __init__(self, command: Sequence[str]) -> None:
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0
        )

    def ready(self) -> bool:
        return self._read(_TOLD.size, OPENING) == _TOLD.pack(0)

    def ask(self, vectors: Vectors, count: int) -> bool:
        """Send a question; False when the helper is dead."""
        parts = [
            _ASK.pack(language.encode(), count, len(vector)) + vector.tobytes()
            for language, vector in vectors.items()
        ]
        try:
            cast(IO[bytes], self._process.stdin).write(_PARTS.pack(len(parts)) + b"".join(parts))
        except OSError:
            return False
        return True

    def told(self) -> Rows | None:
        """The rows of the next answer, or None when the helper is dead, slow or unsure (it is not asked again)."""
        head = self._read(_TOLD.size, PATIENCE)
        number = _TOLD.unpack(head)[0] if head else -1
        body = self._read(8 * number, PATIENCE) if number > 0 else None
        return np.frombuffer(body, np.int64) if body else None

    def _read(self, size: int, seconds: float) -> bytes | None:
        pipe, found = cast(IO[bytes], self._process.stdout), b""
        while len(found) < size:
            if not select.select([pipe], [], [], seconds)[0]:
                return None
            piece = pipe.read(size - len(found))
            if not piece:
                return None
            found += piece
        return found

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):
                cast(IO[bytes], pipe).close()


def _save(path: Path, rows: NDArray[Any]) -> None:
    """Whole or not at all: another replica may share the directory."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with temporary.open("wb") as file:
        np.save(file, rows)
    temporary.replace(path)


def _command(task: str, path: Path, url: str | None) -> list[str]:
    return [sys.executable, "-m", "knowledge.vectors", task, str(path), url or ""]


# ------------------------------------------------------------------ in the helper processes


def _client(path: Path, url: str) -> Any:
    import chromadb
    from chromadb.config import Settings

    settings = Settings(anonymized_telemetry=False)
    if not url:
        return chromadb.PersistentClient(str(path / "chroma"), settings=settings)
    host, _, port = url.removeprefix("https://").removeprefix("http://").rstrip("/").partition(":")
    secure = url.startswith("https://")
    return chromadb.HttpClient(host, int(port or (443 if secure else 80)), ssl=secure, settings=settings)


def _name(path: Path, language: str) -> str:
    return f"coach-{path.name}-{language}"


def _languages(path: Path) -> dict[str, Rows]:
    return {file.name.split(".")[0]: np.load(file) for file in sorted(path.glob("*.rows.npy"))}


def build(path: Path, url: str = "") -> None:
    """Fill new collections, one for each language, from the arrays in `path`."""
    client = _client(path, url)
    for language, rows in _languages(path).items():
        vectors = np.load(path / f"{language}.vectors.npy", mmap_mode="r")
        collection = client.get_or_create_collection(
            _name(path, language), embedding_function=None, metadata={"made": time.time()},
            configuration={"hnsw": {"space": "cosine", "ef_search": 200, "sync_threshold": max(1000, len(rows))}},
        )  # fmt: skip
        for start in range(0, len(rows), BATCH):
            batch = slice(start, start + BATCH)
            collection.upsert(ids=[str(row) for row in rows[batch]], embeddings=np.asarray(vectors[batch]))
    if url:
        _retire_others(client)


def _retire_others(client: Any) -> None:
    """On a server: keep the collections of the newest few versions, whichever replica made them."""
    made: dict[str, float] = {}
    ours = [item for item in client.list_collections() if str(item.name).startswith("coach-")]
    for item in ours:
        key = str(item.name).rsplit("-", 1)[0]
        made[key] = max(made.get(key, 0.0), float((item.metadata or {}).get("made", 0.0)))
    old = sorted(made, key=lambda key: made[key], reverse=True)[KEPT:]
    for item in ours:
        if str(item.name).rsplit("-", 1)[0] in old:
            with contextlib.suppress(Exception):  # another replica was quicker
                client.delete_collection(str(item.name))


def probe(path: Path, url: str = "") -> None:
    """Open the index, compare the counts, ask it. Any doubt is an error (or a crash, which says the same)."""
    client = _client(path, url)
    for language, rows in _languages(path).items():
        collection = client.get_collection(_name(path, language), embedding_function=None)
        if collection.count() != len(rows):
            raise SystemExit(f"{language}: {collection.count()} of {len(rows)} vectors")
        if len(rows):
            sample = collection.get(ids=[str(rows[0]), str(rows[-1])], include=["embeddings"])["embeddings"]
            for vector, row in zip(sample, (rows[0], rows[-1]), strict=False):
                near = collection.query(
                    query_embeddings=[vector], n_results=min(20, len(rows)), include=["distances"]
                )
                if near["distances"][0][0] > 0.001 or len(near["ids"][0]) != min(20, len(rows)):
                    raise SystemExit(f"{language}: row {row} does not find itself")


def serve(path: Path, url: str, questions: IO[bytes], answers: IO[bytes]) -> None:
    """Answer questions from the pipe until it closes; languages are looked through side by side."""
    client = _client(path, url)
    collections = {
        language: client.get_collection(_name(path, language), embedding_function=None)
        for language in _languages(path)
    }
    sizes = {language: len(rows) for language, rows in _languages(path).items()}

    def told(part: tuple[str, int, NDArray[np.float32]]) -> bytes:
        name, count, vector = part
        wanted = min(count, sizes[name])
        near = collections[name].query(query_embeddings=[vector], n_results=wanted, include=[])
        rows = np.array(near["ids"][0], np.int64)
        return _TOLD.pack(len(rows)) + rows.tobytes() if len(rows) == wanted else _TOLD.pack(-1)

    for name, rows in _languages(path).items():  # Chroma reads its files at the first question: nobody shall wait for that
        if len(rows):
            told((name, 1, collections[name].get(ids=[str(rows[0])], include=["embeddings"])["embeddings"][0]))
    answers.write(_TOLD.pack(0))
    answers.flush()
    with ThreadPoolExecutor(max(1, len(collections))) as side_by_side:
        while head := questions.read(_PARTS.size):
            for answer in side_by_side.map(told, [_part(questions) for _ in range(_PARTS.unpack(head)[0])]):
                answers.write(answer)
            answers.flush()


def _part(questions: IO[bytes]) -> tuple[str, int, NDArray[np.float32]]:
    """One language's name, how many rows are wanted, and the vector."""
    language, count, dimension = _ASK.unpack(questions.read(_ASK.size))
    return language.rstrip(b"\0").decode(), count, np.frombuffer(questions.read(4 * dimension), np.float32)


def main(arguments: Sequence[str]) -> None:
    task, path, url = arguments
    if task == "serve":
        answers = os.fdopen(os.dup(1), "wb")
        os.dup2(2, 1)  # whatever a library prints must not end up between the answers
        serve(Path(path), url, sys.stdin.buffer, answers)
    else:
        tasks: dict[str, Callable[[Path, str], None]] = {"build": build, "probe": probe}
        tasks[task](Path(path), url)


if __name__ == "__main__":
    main(sys.argv[1:])
