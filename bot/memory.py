"""What a person still remembers: FSRS per objective, and when it is time to ask again.

Pure values: a review makes a new `Skill`. An objective counts as mastered only after right answers on several days.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import cache

from fsrs import Card, Rating, Scheduler

RETENTION = 0.85  # recall that reviews aim at: with five questions a day more points are kept than with 0.9 (make simulate)
SOON = timedelta(minutes=10)  # a lapse comes back the same day
CAPS = (0.0, 0.5, 0.8)  # mastery that no, one, two days with right answers can reach at most
MASTERED = 0.75


@dataclass(frozen=True, slots=True)
class Skill:
    """One person's memory of one objective ("buck-passing:1"). `state` is FSRS's own JSON, None before the first review.

    `right_days` counts the days on which it was answered right since the last lapse, `last_right` is the newest of them.
    """

    objective: str
    due: datetime
    state: str | None = None
    last: datetime | None = None
    reviews: int = 0
    right: int = 0
    lapses: int = 0
    right_days: int = 0
    last_right: date | None = None

    @property
    def card(self) -> str:
        return self.objective.rpartition(":")[0]


@cache
def scheduler() -> Scheduler:
    return Scheduler(desired_retention=RETENTION, learning_steps=(SOON,), relearning_steps=(SOON,), maximum_interval=365, enable_fuzzing=False)


def new(objective: str, at: datetime) -> Skill:
    """An objective that was never reviewed, due at once."""
    return Skill(objective, at)


def reviewed(skill: Skill, right: bool, at: datetime) -> Skill:
    """The skill after an answer at that time (aware). A clock that went back counts as the last review's time."""
    at = max(at.astimezone(UTC), skill.last or at.astimezone(UTC))
    card = _card(skill, at)
    card, _ = scheduler().review_card(card, Rating.Good if right else Rating.Again, review_datetime=at)
    newly = right and skill.last_right != at.date()
    return replace(
        skill, state=card.to_json(), due=card.due, last=at, reviews=skill.reviews + 1, right=skill.right + right,
        lapses=skill.lapses + (not right and skill.right > 0),
        right_days=skill.right_days + newly if right else 0, last_right=at.date() if right else skill.last_right,
    )  # fmt: skip


def _card(skill: Skill, at: datetime) -> Card:
    if skill.state is not None:
        return Card.from_json(skill.state)
    number = int(hashlib.sha256(skill.objective.encode()).hexdigest()[:12], 16)
    return Card(card_id=number, due=at)


def recall(skill: Skill, at: datetime) -> float:
    """The probability that it is remembered at that time; 0 before the first review."""
    if skill.state is None or skill.last is None:
        return 0.0
    return float(scheduler().get_card_retrievability(_card(skill, at), max(at.astimezone(UTC), skill.last)))


def mastery(skill: Skill, at: datetime) -> float:
    """0–1: what is remembered now, held down until it was right on several days (one lucky answer never suffices)."""
    cap = CAPS[skill.right_days] if skill.right_days < len(CAPS) else 1.0
    return min(cap, recall(skill, at)) if cap else 0.0


def is_mastered(skill: Skill, at: datetime) -> bool:
    return mastery(skill, at) >= MASTERED


def in_turn(skills: Iterable[Skill], at: datetime) -> list[Skill]:
    """What is due, in the order in which it should be asked: today's lapses, then the longest due."""
    due = [skill for skill in skills if skill.due <= at]
    return sorted(due, key=lambda skill: (not (skill.right_days == 0 and skill.last and at - skill.last < timedelta(hours=12)), skill.due))


def room_for_new(skills: Iterable[Skill]) -> int:
    """How many of five questions may be new while others are due: the more somebody forgets, the fewer (2, 1, 0)."""
    known = list(skills)
    again = sum(skill.reviews - 1 for skill in known)
    if len(known) < 10 or not again:
        return 2
    forgotten = sum(skill.lapses for skill in known) / again
    return 2 if forgotten < 0.12 else 1 if forgotten < 0.25 else 0


def stability(skill: Skill) -> float:
    """Days until recall falls to 90 % (FSRS's measure of how firm a memory is)."""
    return float(json.loads(skill.state)["stability"] or 0.0) if skill.state else 0.0
