"""Files and folders become editions for the shelf: read, cleaned, split, ready to be looked at and published."""

from __future__ import annotations

import asyncio
import glob
import hashlib
import json
import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from knowledge.cards import parse_card
from knowledge.cleaning import Cleaned, Correction, Dropped, clean
from knowledge.passages import Page, Passage, language_of, storable
from knowledge.problems import CoachError, ContentProblem
from knowledge.readers import MAX_BYTES, SUFFIXES
from knowledge.readers.archive import unpack
from knowledge.readers.refusals import Unreadable
from knowledge.readers.worker import ReadingWorker
from knowledge.shelf import Edition, Published, card_edition
from knowledge.splitting import split

FORMAT = 2  # raise it when the same file would give other passages: unchanged files are then read again
WORKERS = min(2, os.cpu_count() or 1)
SHOWN = 200  # dropped lines and corrections kept for the preview


@dataclass(frozen=True, slots=True)
class Source:
    """A file to take in. `name` is what people call it (path within the folder or archive), and gives the document's id."""

    name: str
    path: Path

    @property
    def id(self) -> str:
        return document_id(self.name)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A document read, cleaned and split, before anybody decided on it."""

    edition: Edition
    pages: int
    cleaned: Cleaned | None = None  # None for a card: its words are the trainer's own

    @property
    def corrections(self) -> tuple[Correction, ...]:
        return self.cleaned.corrections if self.cleaned else ()

    @property
    def dropped(self) -> tuple[Dropped, ...]:
        return self.cleaned.dropped if self.cleaned else ()


def document_id(name: str) -> str:
    """A stable id from a file's name: the same name replaces its earlier revision."""
    slug = re.sub(r"[^\w]+", "-", unicodedata.normalize("NFKC", name).lower().replace("_", "-")).strip("-")
    if len(slug) > 60:
        slug = f"{slug[:52]}-{hashlib.sha256(name.encode()).hexdigest()[:7]}"
    return f"doc-{slug or hashlib.sha256(name.encode()).hexdigest()[:10]}"


def find_sources(paths: Iterable[str]) -> tuple[list[Source], list[ContentProblem]]:
    """Files, folders (with all below them) and patterns, in a fixed order; what cannot be found is a problem."""
    found: dict[Path, Source] = {}
    problems: list[ContentProblem] = []
    for given in paths:
        here = [Path(given)] if Path(given).exists() else _matching(given)
        if not here:
            problems.append(Unreadable(given, "missing"))
        for path in here:
            for source in _below(path):
                found.setdefault(source.path.resolve(), source)
    return list(found.values()), problems


def _matching(pattern: str) -> list[Path]:
    return [Path(item) for item in sorted(glob.glob(pattern, recursive=True))]  # noqa: PTH207 (it may be absolute)


def _below(path: Path) -> Iterator[Source]:
    if not path.is_dir():
        yield Source(path.name, path)
        return
    for file in sorted(path.rglob("*")):
        relative = file.relative_to(path)
        if file.is_file() and file.suffix.lower() in SUFFIXES and not any(part.startswith((".", "~$")) for part in relative.parts):
            yield Source(str(relative), file)


def open_archives(sources: Sequence[Source], folder: Path) -> tuple[list[Source], list[ContentProblem]]:
    """The sources with the files of their archives (unpacked below `folder`) in the archives' places."""
    found: list[Source] = []
    problems: list[ContentProblem] = []
    for i, source in enumerate(sources):
        if not _is_archive(source.path):
            found.append(source)
            continue
        inside = folder / str(i)
        inside.mkdir()
        try:
            found += [Source(f"{source.name}/{name}", path) for name, path in unpack(source.path, inside)]
        except Unreadable as problem:
            problems.append(Unreadable(source.name, problem.code, **problem.values))
    return found, problems


def _is_archive(path: Path) -> bool:
    from knowledge.readers import kind_of

    try:
        return path.is_file() and kind_of(path) == "zip"
    except CoachError:
        return False  # its reader says what is wrong with it


def sha256_of(path: Path) -> str:
    """The file's hash; files beyond the size limit are not read at all (their reader refuses them)."""
    if not path.is_file() or path.stat().st_size > MAX_BYTES:
        return ""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_unchanged(source: Source, sha256: str, shelf: Mapping[str, Published], accept: bool) -> bool:
    """Was this very file taken in before, in the same way? (A card stands under the id in its file, so by hash.)"""
    here = shelf.get(source.id)
    if here is None:
        return any(item.kind == "card" and item.owner == "team" and item.sha256 == sha256 for item in shelf.values())
    same_way = here.details.get("format") == FORMAT and (not accept or here.details.get("accepted") or not here.details.get("corrections"))
    return bool(sha256) and here.sha256 == sha256 and bool(same_way)


async def prepare_all(
    sources: Sequence[Source], *, accept: bool = False, workers: int = WORKERS
) -> AsyncIterator[tuple[Source, Prepared | ContentProblem]]:
    """Every source prepared or refused, as they get ready; `workers` files are read side by side."""
    waiting = iter(sources)
    async with AsyncExitStack() as stack:
        readers = [await stack.enter_async_context(ReadingWorker()) for _ in range(min(workers, len(sources)))]

        def start(reader: ReadingWorker) -> asyncio.Task[tuple[ReadingWorker, Source, Prepared | ContentProblem]] | None:
            source = next(waiting, None)
            return None if source is None else asyncio.create_task(_one(reader, source, accept))

        running = {task for task in map(start, readers) if task}
        while running:
            done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                reader, source, result = task.result()
                if following := start(reader):
                    running.add(following)
                yield source, result


async def _one(reader: ReadingWorker, source: Source, accept: bool) -> tuple[ReadingWorker, Source, Prepared | ContentProblem]:
    try:
        return reader, source, await prepare(source, reader, accept=accept)
    except ContentProblem as problem:
        return reader, source, problem
    except CoachError as error:  # several mistakes in a card
        return reader, source, _first(error, source)


def _first(error: CoachError, source: Source) -> ContentProblem:
    problems: Sequence[ContentProblem] = getattr(error, "problems", ())
    if not problems:
        return ContentProblem(source.name, 0, str(error), "correct it")
    more = f" (and {len(problems) - 1} more: coach lint {source.name})" if len(problems) > 1 else ""
    return ContentProblem(source.name, problems[0].line, problems[0].what + more, problems[0].fix)


async def prepare(source: Source, reader: ReadingWorker, *, accept: bool = False) -> Prepared:
    """One file as an edition. Raises ContentProblem(s)."""
    sha256 = await asyncio.to_thread(sha256_of, source.path)
    if (card := await asyncio.to_thread(_card_source, source.path)) is not None:
        return Prepared(card_edition(parse_card(card, source.name), card, sha256, "team"), 1)
    pages = await reader.read(source.path, source.name)
    return await asyncio.to_thread(compose, source, pages, sha256, accept)


def _card_source(path: Path) -> str | None:
    """The text of a playbook card; None for any other file."""
    if path.suffix.lower() not in (".md", ".markdown") or path.stat().st_size > 1_000_000:
        return None
    text = path.read_bytes().decode("utf-8-sig", "replace")
    is_card = text.startswith("---") and re.search(r"^(situations|aliases|polarity):", text[:20_000], re.MULTILINE)
    return text if is_card else None


def compose(source: Source, pages: Sequence[Page], sha256: str, accept: bool) -> Prepared:
    """Read pages as an edition: cleaned, split, with everything the preview tells about them."""
    cleaned = clean(pages)
    accepted = {item.before: item.after for item in cleaned.corrections} if accept else {}
    made = split(cleaned.pages, source.id, Path(source.name).stem, accepted)
    if not made.passages:
        raise Unreadable(source.name, "no_text")
    details = {
        "format": FORMAT,
        "file": source.name,
        "pages": len({page.place for page in pages}),
        "accepted": accept,
        "remarks": [[page.place, remark] for page in pages for remark in page.remarks][:SHOWN],
        "dropped": [[item.place, item.text, item.why] for item in cleaned.dropped][:SHOWN],
        "corrections": [[item.place, item.before, item.after] for item in cleaned.corrections],
        "bylines": list(made.bylines),
    }
    content = "\n\f\n".join(page.text for page in cleaned.pages)
    edition = Edition(source.id, "document", made.title, content, sha256, made.passages, source=source.name, details=details)
    return Prepared(edition, details["pages"], cleaned)  # type: ignore[arg-type]


def with_corrections(edition: Edition, accepted: Mapping[str, str]) -> Edition:
    """The edition with exactly these corrections (line as it stands → as corrected), whatever it carried before."""
    from knowledge.splitting import correct

    passages = tuple(correct(item, accepted) for item in edition.passages)
    title = passages[0].title if passages else edition.title
    details = {**edition.details, "accepted": bool(accepted)}
    return replace(edition, title=title, passages=passages, details=details)


# ------------------------------------------------------------------ passages as rows (coach ingest --passages)


def passage_rows(lines: Iterable[tuple[int, str]], name: str) -> tuple[list[Passage], list[ContentProblem]]:
    """Rows `{id, text, lang?, title?, source?}` as passages under their own ids; bad rows are problems with their line."""
    found: list[Passage] = []
    problems: list[ContentProblem] = []
    seen: set[str] = set()
    for number, line in lines:
        try:
            passage = _passage_row(json.loads(line), name)
        except json.JSONDecodeError as error:
            problems.append(ContentProblem(name, number, f"not JSON ({error.msg})", "write one object a line"))
            continue
        except ValueError as error:
            problems.append(ContentProblem(name, number, str(error), "correct this row"))
            continue
        if passage.id in seen:
            problems.append(ContentProblem(name, number, f"the id {passage.id!r} stands here twice", "give every passage its own id"))
            continue
        seen.add(passage.id)
        found.append(passage)
    return found, problems


def _passage_row(row: Any, name: str) -> Passage:
    if not isinstance(row, dict):
        raise ValueError("not an object")
    for key in ("id", "text"):
        if not isinstance(row.get(key), str | int) or isinstance(row.get(key), bool) or not str(row[key]).strip():
            raise ValueError(f"{key!r} is missing or empty")
    if wrong := next((key for key in ("id", "text", "title", "source") if not storable(str(row.get(key) or ""))), None):
        raise ValueError(f"{wrong!r} holds a zero or half a character")
    language = row.get("lang") or language_of(str(row["text"]))
    if language not in ("zh", "en"):
        raise ValueError(f"'lang' is {language!r}; use zh or en")
    if len(str(row["id"])) > 300:
        raise ValueError("'id' is longer than 300 characters")
    title = str(row.get("title") or row.get("source") or Path(name).stem)
    source = str(row.get("source") or "")
    place = title if source in ("", title) else f"{title} › {source}"
    heading = str(row.get("title") or "")
    return Passage(str(row["id"]), str(row["text"]), place, language, title, "", heading=heading)


def passage_editions(passages: Sequence[Passage], name: str) -> list[Edition]:
    """One document for each title among the passages; taking the same file in again replaces them."""
    groups: dict[str, list[Passage]] = defaultdict(list)
    for passage in passages:
        groups[passage.title].append(passage)
    made = []
    for title, members in groups.items():
        document = f"rows-{hashlib.sha256(f'{Path(name).name}/{title}'.encode()).hexdigest()[:16]}"
        rows = tuple(replace(item, document=document) for item in members)
        content = "\n\f\n".join(item.text for item in rows)
        sha256 = hashlib.sha256("\n".join(f"{item.id}\t{item.place}\t{item.text}" for item in rows).encode()).hexdigest()
        made.append(Edition(document, "document", title, content, sha256, rows, source=Path(name).name, details={"format": FORMAT, "file": Path(name).name}))
    return made
