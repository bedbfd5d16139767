"""What there is to learn and how far a person is: the bank of questions, the path, memory by objective, mastery by module."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from bot import memory
from bot.ports import App
from bot.store.learning import skill_of
from knowledge.path import Module, load_path
from knowledge.questions import Bank

LEARNT = 0.8  # share of a module's cards that must be mastered for the gate to open


def bank_of(app: App) -> Bank:
    """The fair questions over the published cards; made anew when the playbook moves on."""
    version = app.retriever.version
    held = app.extras.get("questions")
    if held is None or held[0] != version:
        held = app.extras["questions"] = (version, Bank(app.retriever.cards()))
    bank: Bank = held[1]
    return bank


def modules_of(app: App) -> tuple[Module, ...]:
    """The path, with the cards that are published."""
    cards = app.retriever.cards()
    here = (Module(item.id, item.title, tuple(card for card in item.cards if card in cards)) for item in load_path())
    return tuple(module for module in here if module.cards)


async def skills_of(app: App, person: str) -> dict[str, memory.Skill]:
    """A person's memory by objective."""
    rows = await app.store.rows("SELECT * FROM skills WHERE person = :p", p=person)
    return {row["objective"]: skill_of(row) for row in rows}


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a person is in a module: mastery 0–1 (mean over its objectives), cards mastered, and whether the gate is open."""

    module: Module
    mastery: float
    mastered: int
    started: int
    cards: int  # those that have questions

    @property
    def passed(self) -> bool:
        return self.cards > 0 and self.mastered >= LEARNT * self.cards


def standings(app: App, skills: Mapping[str, memory.Skill], at: datetime) -> list[Standing]:
    """One per module, in the path's order."""
    goals: dict[str, list[str]] = {}
    for goal in bank_of(app).objectives():
        goals.setdefault(goal.rpartition(":")[0], []).append(goal)
    return [_standing(module, goals, skills, at) for module in modules_of(app)]


def _standing(module: Module, goals: Mapping[str, Sequence[str]], skills: Mapping[str, memory.Skill], at: datetime) -> Standing:
    marks = {card: [memory.mastery(skills[goal], at) if goal in skills else 0.0 for goal in goals.get(card, ())] for card in module.cards}
    every = [mark for found in marks.values() for mark in found]
    mastered = sum(bool(found) and all(mark >= memory.MASTERED for mark in found) for found in marks.values())
    started = sum(any(goal in skills for goal in goals.get(card, ())) for card in module.cards)
    return Standing(module, sum(every) / len(every) if every else 0.0, mastered, started, sum(map(bool, marks.values())))
