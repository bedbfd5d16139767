"""What the bot remembers of one conversation between two turns: a small value, stored as JSON.

A session is never changed in place: a turn returns a new one. `activity` says who hears the next line.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal

from pydantic import TypeAdapter

from bot.turns import Exchange, Language, Reply

HISTORY = 12  # lines kept for follow-ups; older ones are in the database, not in the session


@dataclass(frozen=True, slots=True)
class Idle:
    """Nothing is going on; plain text is a question."""

    kind: Literal["idle"] = "idle"


@dataclass(frozen=True, slots=True)
class Advising:
    """A situation is being worked on.

    `situation`: what the rep has said about it so far; `asked`: causes asked about (at most two questions);
    `topic`/`cause`: what was recognised; `learned`: facts kept for follow-ups (roles, stage, next date).
    `shown`: steps and sentences already given, so that a follow-up brings the next ones.
    """

    situation: str = ""
    topic: str | None = None
    cause: str | None = None
    topics: tuple[tuple[str, float], ...] = ()
    asked: tuple[str, ...] = ()
    shown: tuple[str, ...] = ()
    learned: dict[str, str] = field(default_factory=dict)
    kind: Literal["advising"] = "advising"


@dataclass(frozen=True, slots=True)
class Rehearsing:
    """A role-play is on. `state` is the engine's own small JSON, one entry per turn so that each can be returned to."""

    run: str = ""
    scenario: str = ""
    state: dict[str, Any] = field(default_factory=dict)
    kind: Literal["rehearsing"] = "rehearsing"


@dataclass(frozen=True, slots=True)
class Quizzing:
    """A quiz session is on: question ids still to ask, and what was answered."""

    run: str = ""
    state: dict[str, Any] = field(default_factory=dict)
    kind: Literal["quizzing"] = "quizzing"


@dataclass(frozen=True, slots=True)
class Publishing:
    """A trainer is looking at a preview or editing a draft."""

    draft: str = ""
    state: dict[str, Any] = field(default_factory=dict)
    kind: Literal["publishing"] = "publishing"


@dataclass(frozen=True, slots=True)
class Asking:
    """The bot waits for one short free-text answer (a reason for 👎, a name …); `about` says which."""

    about: str = ""
    state: dict[str, Any] = field(default_factory=dict)
    before: Advising | None = None  # what goes on if the answer doesn't come
    kind: Literal["asking"] = "asking"


Activity = Idle | Advising | Rehearsing | Quizzing | Publishing | Asking


@dataclass(frozen=True, slots=True)
class Session:
    """One chat's memory. `version` counts writes: a turn that started from an older one is not kept."""

    chat: str
    person: str
    language: Language | None = None  # chosen with /language; None = follow platform, then message
    activity: Activity = Idle()
    history: tuple[Exchange, ...] = ()
    version: int = 0

    def heard(self, said: str, reply: Reply, shown: str) -> Session:
        """The session after an exchange (`shown` = the visible text of the reply)."""
        lines = (*self.history, Exchange("rep", said[:2000]), Exchange("coach", shown[:2000]))
        return replace(self, history=lines[-HISTORY:])

    def doing(self, activity: Activity) -> Session:
        return replace(self, activity=activity)

    def resumed(self) -> Session:
        """The session without the question for a reason, which may be left unanswered."""
        if not isinstance(self.activity, Asking) or self.activity.about != "vote":
            return self
        return self.doing(self.activity.before or Idle())


_SESSION: TypeAdapter[Session] = TypeAdapter(Session)


def session_to_json(session: Session) -> str:
    return _SESSION.dump_json(session).decode()


def session_from_json(text: str) -> Session:
    return _SESSION.validate_json(text)
