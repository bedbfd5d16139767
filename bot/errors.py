"""Every error we raise on purpose; each branch names who reads it.

CoachError
├── CannotHelp          spoken to the person, in their language (a phrase key with its values)
│   └── NotAllowed      … because their role may not do it
├── ModelFailed         to the log: why a language model's words were not used; the person gets the cards' words
├── ContentProblem      to the trainer: file, line, what is wrong, how to mend it (knowledge/problems.py)
└── SetupProblem        to the operator: the thing, the reason, the cure
Anything else is our bug: the front end says so kindly, logs it with a reference, and raises it under test.
"""

from __future__ import annotations

from knowledge.problems import CoachError, ContentProblem, ContentProblems, SetupProblem

__all__ = ["CannotHelp", "CoachError", "ContentProblem", "ContentProblems", "ModelFailed", "NotAllowed", "SetupProblem"]


class CannotHelp(CoachError):
    """Something the person can act on: `phrase` is a key of `phrases/`, `values` fill its blanks."""

    def __init__(self, phrase: str, **values: object) -> None:
        super().__init__(phrase)
        self.phrase = phrase
        self.values = values


class NotAllowed(CannotHelp):
    """The person's role may not do this."""


class ModelFailed(CoachError):
    """A language model gave nothing that can be used. `kind` is one short word for counting, the text says why."""

    def __init__(self, kind: str, why: str) -> None:
        super().__init__(f"{kind}: {why}")
        self.kind = kind
