"""What the activities need from outside, as small protocols, and the one object that carries them.

Activities depend on these shapes only; `app.py` is the only place that names concrete classes.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from bot.people import Person
from bot.sessions import Session
from bot.turns import Aside, Incoming, Language, Record, Reply
from knowledge.cards import Card
from knowledge.passages import Found, Kind, Passage, Reading

if TYPE_CHECKING:
    from sqlalchemy import Select

    from bot.settings import Settings

Clock = Callable[[], datetime]


class Retriever(Protocol):
    """Finds what the playbook says. All calls are synchronous and take milliseconds; run long ones in a thread."""

    @property
    def version(self) -> int: ...

    def cards(self) -> Mapping[str, Card]: ...

    def search(self, text: str, *, limit: int = 10, language: Language | None = None, kind: Kind | None = None) -> Found:
        """Passages (of one kind, if given), best first. `Found.found` is False when nothing fits; hits are filled all the same."""

    def read(self, text: str, *, context: Sequence[str] = ()) -> Reading:
        """What a message is about: belief over topics and causes, scope, improper asks. `context`: earlier rep lines."""

    def health(self) -> tuple[str, bool, str]:
        """What searches rest on just now: name, is it fine, in words."""

    @property
    def indexed(self) -> bool:
        """Do searches use the index that they should? (While they don't, they are exact.)"""

    def passage(self, passage_id: str, *, version: int | None = None) -> Passage | None: ...

    def passages_of(self, card_id: str, language: Language) -> Sequence[Passage]: ...

    def similarity(self, left: Sequence[str], right: Sequence[str]) -> Any:
        """Cosine similarities of two lists of texts: float32 array of shape (len(left), len(right))."""

    @property
    def embedding(self) -> str:
        """The name of the embedding model; vectors of different names are never compared."""

    def features(self, texts: Sequence[str]) -> Any:
        """Sentence features for small classifiers: float32 array of shape (len(texts), dimension), rows of length 1."""


@dataclass(frozen=True, slots=True)
class ModelAnswer:
    """What a language model sent back. `data` is the parsed object when a schema was asked for."""

    text: str
    data: dict[str, Any] | None = None
    model: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    seconds: float = 0.0


Listen = Callable[[str], Awaitable[None]]


class ChatModel(Protocol):
    """A language model. Every failure is a `ModelFailed` with its reason: `drafting.py` turns it into None."""

    @property
    def name(self) -> str: ...

    async def answer(
        self,
        prompt: str,
        *,
        system: str = "",
        schema: Mapping[str, Any] | None = None,
        max_tokens: int = 600,
        listen: Listen | None = None,
    ) -> ModelAnswer:
        """`data` is None when a schema was asked for and no JSON object came. `listen` hears the text so far."""


class Typing(Protocol):
    """Shows a reply that is still being written; the finished reply replaces it. Front ends implement it."""

    async def show(self, text: str) -> None:
        """The text so far: plain, already filtered, never an error if it cannot be shown."""


class Unseen:
    """Nobody watches while the reply is written."""

    async def show(self, text: str) -> None:
        """Nothing to show."""


UNSEEN: Typing = Unseen()


class Vitals(Protocol):
    """Counts how the service is doing. Stages: queue, load, respond, search, read, model, keep, deliver."""

    def stage(self, name: str) -> AbstractContextManager[None]: ...

    def took(self, stage: str, seconds: float) -> None: ...

    def turn(self, activity: str, action: str) -> None: ...

    def happened(self, event: str, times: int = 1) -> None: ...

    def model_answered(self, answer: ModelAnswer, cost: float) -> None: ...

    def model_failed(self, model: str, kind: str) -> None: ...


class Uncounted:
    """Nobody looks at the numbers."""

    def stage(self, name: str) -> AbstractContextManager[None]:
        return nullcontext()

    def took(self, stage: str, seconds: float) -> None: ...

    def turn(self, activity: str, action: str) -> None: ...

    def happened(self, event: str, times: int = 1) -> None: ...

    def model_answered(self, answer: ModelAnswer, cost: float) -> None: ...

    def model_failed(self, model: str, kind: str) -> None: ...


UNCOUNTED: Vitals = Uncounted()


class Store(Protocol):
    """State that survives: sessions, people, the inbox and outbox, and what turns leave behind."""

    async def session(self, chat: str, person: str) -> Session: ...

    async def keep(
        self,
        incoming: Incoming,
        session: Session,
        reply: Reply,
        records: Sequence[Record] = (),
        asides: Sequence[Aside] = (),
        *,
        shown: str = "",
        playbook: int = 0,
    ) -> bool:
        """ONE transaction: session (version + 1), records, outbox, inbox row done.

        False if this turn was kept before (a repeated update) or the session has moved on meanwhile.
        """

    async def answered(self, incoming: str) -> bool: ...

    async def person(self, person_id: str) -> Person | None: ...

    async def welcome(self, person: Person, at: datetime) -> None: ...

    async def prune(self, *, history: datetime, letters: datetime) -> None:
        """Delete what is older than the company keeps it."""

    async def rows(self, query: str | Select[Any], **values: Any) -> list[Mapping[str, Any]]:
        """A query that only reads, in SQL with named parameters or as SQLAlchemy's `select`: for reports and screens."""


@dataclass(frozen=True)
class App:
    """Everything a turn may use."""

    settings: Settings
    retriever: Retriever
    store: Store
    clock: Clock
    chance: random.Random
    model: ChatModel | None = None
    typing: Typing = UNSEEN
    vitals: Vitals = UNCOUNTED
    data_dir: Path = Path()
    shelf: Any = None  # knowledge.shelf.Shelf, for the desk
    extras: dict[str, Any] = field(default_factory=dict)  # scenarios, questions …: loaded once, keyed by room


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a turn leads to: nothing has happened yet when it is returned."""

    session: Session
    reply: Reply
    records: tuple[Record, ...] = ()
    asides: tuple[Aside, ...] = ()
