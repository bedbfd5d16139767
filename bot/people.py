"""Who takes part, and who may do what: one table, tested for every command and role."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    REP = "rep"
    NEWHIRE = "newhire"
    TRAINER = "trainer"
    ADMIN = "admin"


EVERYBODY = frozenset(Role)
TEACHING = frozenset({Role.TRAINER, Role.ADMIN})
ADMINS = frozenset({Role.ADMIN})

# command → the roles that may give it. A person may hold several roles; one that fits is enough.
# Commands that no one has listed are refused to everybody.
PERMISSIONS: dict[str, frozenset[Role]] = {
    "ask": EVERYBODY,
    "start": EVERYBODY,
    "help": EVERYBODY,
    "topics": EVERYBODY,
    "card": EVERYBODY,
    "history": EVERYBODY,
    "language": EVERYBODY,
    "settings": EVERYBODY,
    "privacy": EVERYBODY,
    "feedback": EVERYBODY,
    "cancel": EVERYBODY,
    "roleplay": EVERYBODY,
    "quiz": EVERYBODY,
    "progress": EVERYBODY,
    "path": EVERYBODY,
    "remind": EVERYBODY,
    "verify": EVERYBODY,
    "leave": EVERYBODY,
    "add": TEACHING,
    "docs": TEACHING,
    "gaps": TEACHING,
    "report": TEACHING,
    "upload": TEACHING,
    "team": TEACHING,
    "assign": TEACHING,
    "certify": TEACHING,
    "appeals": TEACHING,
    "scenarios": TEACHING,
    "questions": TEACHING,
    "invite": ADMINS,
    "people": ADMINS,
    "status": ADMINS,
}


# what concerns one person only (or hands out keys): refused in groups, with a word why
PRIVATE = frozenset({
    "history", "settings", "privacy", "roleplay", "quiz", "progress", "path", "remind", "gaps", "report", "upload", "team", "assign",
    "certify", "appeals", "invite", "people", "status",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who may use the bot. `id` is ours; `chat` is where reminders go."""

    id: str
    roles: frozenset[Role]
    name: str = ""
    team: str = ""
    language: str | None = None
    zone: str | None = None
    chat: str = ""
    active: bool = True

    def may(self, command: str) -> bool:
        return self.active and bool(self.roles & PERMISSIONS.get(command, frozenset()))
