"""The only place that names concrete classes: settings in, a working `App` out."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import hashlib
import os
import random
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from bot.errors import SetupProblem
from bot.people import Person, Role
from bot.ports import App
from bot.settings import Settings
from bot.store import SqlStore
from bot.store.database import alone, open_engine
from knowledge.shelf import Edition, Shelf, card_edition

Progress = Callable[[str, int, int], None]  # what, done, of


def _silent(what: str, done: int, total: int) -> None:
    """Progress that nobody looks at."""


@contextlib.asynccontextmanager
async def open_app(
    settings: Settings,
    *,
    playbook: bool = True,
    retrieval: bool = True,
    model: bool = True,
    progress: Progress = _silent,
    seed: int | None = None,
    purpose: str = "coach",
) -> AsyncIterator[App]:
    """Open data directory, database, shelf and views; close them at the end.

    `playbook=False`: a new data directory stays empty (`coach ingest --no-playbook`). `retrieval=False`: no search
    views are built (people, reports). `purpose` is told to whoever finds the data directory in use.
    """
    with own(settings, purpose):
        url = settings.database_url.get_secret_value() if settings.database_url else None
        engine = await open_engine(url, settings.data_dir)
        retriever: Any = None
        try:
            shelf, store = Shelf(engine), SqlStore(engine)
            if playbook:
                async with alone(engine):
                    await stock(shelf, settings)
            if retrieval:
                from knowledge.views import Views

                retriever = Views(shelf, settings, progress)
                await retriever.refresh()
            chat_model = None
            if model and settings.llm:
                from bot.chat_models import open_model

                chat_model = open_model(settings)
                if chat_model and settings.llm_mask:
                    from bot.masking import Masked

                    chat_model = Masked(chat_model)
            yield App(
                settings=settings,
                retriever=retriever,
                store=store,
                clock=lambda: datetime.now(UTC),
                chance=random.Random(seed),
                model=chat_model,
                data_dir=settings.data_dir,
                shelf=shelf,
            )
        finally:
            if retriever is not None:
                await retriever.close()
            await engine.dispose()


@contextlib.contextmanager
def own(settings: Settings, purpose: str) -> Any:
    """Hold the data directory: one process at a time, the second one is told what to do.

    With PostgreSQL and a Chroma server several processes may share the work: then nothing is locked.
    """
    make_data_dir(settings.data_dir)
    if settings.database_url and settings.database_url.get_secret_value().startswith("postgres"):
        yield
        return
    with (settings.data_dir / "lock").open("a+") as lock:
        _lock_or_explain(lock, settings.data_dir, purpose)
        yield


def make_data_dir(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe = path / f".probe-{os.getpid()}"
        probe.write_bytes(b"x" * 4096)
        probe.unlink()
    except OSError as error:
        raise SetupProblem(
            f"The data directory {path} cannot be written to ({error.strerror}). "
            "Choose another one with --data DIR or COACH_DATA_DIR, or mend its permissions."
        ) from None


def _lock_or_explain(lock: IO[str], path: Path, purpose: str) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.seek(0)
        holder = lock.read().strip() or "another process"
        raise SetupProblem(
            f"The data directory {path} is in use by {holder}. Stop that one first, work on another directory "
            "(--data DIR), or move to PostgreSQL (COACH_DATABASE_URL) to run several side by side."
        ) from None
    lock.seek(0)
    lock.truncate()
    lock.write(f"{purpose} (process {os.getpid()})")
    lock.flush()


async def stock(shelf: Shelf, settings: Settings) -> None:
    """Bring the bundled cards on the shelf up to date.

    A card comes in only if this very text was never on the shelf, and never over a team card with the same id
    (`desk.newer` shows the difference); what trainers retired stays away, whatever the new text.
    """
    history = await shelf.history()
    if history and not any(item["author"] == "bundled" for item in history):
        return  # filled with other content only (coach ingest --no-playbook)
    here = {item.document: item for item in await shelf.documents()}
    seen, taken_off = await shelf.seen(), await shelf.taken_off()
    sources = {path.stem: path for path in sorted((settings.playbook_dir or bundled_playbook()).glob("*.md"))}
    changed = [
        path
        for card_id, path in sources.items()
        if (card_id, _sha256(path)) not in seen
        and (here[card_id].owner if card_id in here else taken_off.get(card_id, "bundled")) == "bundled"
    ]
    gone = [item.document for item in here.values() if item.owner == "bundled" and item.document not in sources]
    if changed or gone:
        editions = await asyncio.to_thread(read_editions, changed)
        await shelf.publish(editions, retire=gone, at=datetime.now(UTC), author="bundled", note="bundled playbook")


def bundled_playbook() -> Path:
    from knowledge.cards import BUNDLED

    return BUNDLED


def read_editions(paths: Sequence[Path]) -> list[Edition]:
    from knowledge.cards import parse_card, read_source

    found = []
    for path in paths:
        source = read_source(path)
        found.append(card_edition(parse_card(source, str(path)), source, _sha256(path), "bundled"))
    return found


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def local_person(name: str = "local", roles: Sequence[str] = ("admin", "trainer", "rep", "newhire")) -> Person:
    """In the terminal the user is the local admin of the data directory, unless told otherwise."""
    return Person(id=f"local:{name}", roles=frozenset(Role(role) for role in roles), name=name, chat=f"terminal:{name}")


def interactive() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty()
