"""What there is to learn and how far a person is: the bank of questions, the path, memory by objective, mastery by module."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bot import memory
from bot.people import Person
from bot.ports import App
from bot.store.learning import skill_of
from knowledge.path import Module, load_path
from knowledge.questions import Bank

# SQL on `persons p`: the people of the trainer's team, or everybody if the trainer has none
LOOKED_AT = "p.active AND p.id <> :me AND (:team = '' OR p.team = :team)"
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


async def skills_of_team(app: App, trainer: Person) -> dict[str, dict[str, memory.Skill]]:
    """The memories of everybody whom a trainer looks at, by person and objective, in one query."""
    rows = await app.store.rows(f"SELECT s.* FROM skills s JOIN persons p ON p.id = s.person WHERE {LOOKED_AT}", me=trainer.id, team=trainer.team)
    return await asyncio.to_thread(_by_person, rows)


def _by_person(rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, memory.Skill]]:
    found: dict[str, dict[str, memory.Skill]] = {}
    for row in rows:
        found.setdefault(row["person"], {})[row["objective"]] = skill_of(row)
    return found


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
    return standings_of_all(app, {"": skills}, at)[""]


def standings_of_all(app: App, skills: Mapping[str, Mapping[str, memory.Skill]], at: datetime) -> dict[str, list[Standing]]:
    """By person, one per module."""
    goals: dict[str, list[str]] = {}
    for goal in bank_of(app).objectives():
        goals.setdefault(goal.rpartition(":")[0], []).append(goal)
    modules = modules_of(app)
    return {person: [_standing(module, goals, known, at) for module in modules] for person, known in skills.items()}


def _standing(module: Module, goals: Mapping[str, Sequence[str]], skills: Mapping[str, memory.Skill], at: datetime) -> Standing:
    marks = {card: [memory.mastery(skills[goal], at) if goal in skills else 0.0 for goal in goals.get(card, ())] for card in module.cards}
    every = [mark for found in marks.values() for mark in found]
    mastered = sum(bool(found) and all(mark >= memory.MASTERED for mark in found) for found in marks.values())
    started = sum(any(goal in skills for goal in goals.get(card, ())) for card in module.cards)
    return Standing(module, sum(every) / len(every) if every else 0.0, mastered, started, sum(map(bool, marks.values())))
