"""What can be wrong with content or set-up, said so that the reader can mend it: the thing, the reason, the cure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class CoachError(Exception):
    """The root of every error that we raise on purpose."""


@dataclass(eq=True)
class ContentProblem(CoachError):
    """For the trainer: a mistake in a file. `line` is 1-based, 0 = the file as a whole."""

    path: str
    line: int
    what: str
    fix: str

    __hash__ = Exception.__hash__

    def __str__(self) -> str:
        where = f"{self.path}:{self.line}" if self.line else self.path
        return f"{where}: {self.what} → {self.fix}"


class ContentProblems(CoachError):
    """Several mistakes found in one go."""

    def __init__(self, problems: Sequence[ContentProblem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = tuple(problems)


class SetupProblem(CoachError):
    """For the operator: settings, data directory, database, views. The text names thing, reason and cure."""
