"""What learning leaves behind: questions asked, answers, memory of objectives, assignments, certificates, reminders."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot import memory
from bot.store.tables import Id, When, metadata
from bot.turns import Incoming

asked = sa.Table(
    "quiz_asked",
    metadata,
    sa.Column("token", sa.String(60), primary_key=True),  # the poll's token
    sa.Column("person", sa.String(100), nullable=False, index=True),
    sa.Column("question", sa.String(120), nullable=False),
    sa.Column("snapshot", sa.Text, nullable=False),  # what was shown, as JSON: an edit later changes nothing
    sa.Column("at", When, nullable=False),
    sa.Column("answered", When),
    sa.Column("picked", sa.Integer),
    sa.Column("correct", sa.Boolean),
    sa.Index("quiz_asked_judged", "question", "answered", "correct"),
)
skills = sa.Table(
    "skills",
    metadata,
    sa.Column("person", sa.String(100), primary_key=True),
    sa.Column("objective", sa.String(120), primary_key=True),
    sa.Column("card", sa.String(100), nullable=False),
    sa.Column("due", When, nullable=False, index=True),
    sa.Column("state", sa.Text),
    sa.Column("last", When),
    sa.Column("reviews", sa.Integer, nullable=False),
    sa.Column("correct", sa.Integer, nullable=False),
    sa.Column("lapses", sa.Integer, nullable=False),
    sa.Column("right_days", sa.Integer, nullable=False),
    sa.Column("last_right", sa.String(10)),
)
reviews = sa.Table(
    "reviews",
    metadata,
    sa.Column("id", Id, primary_key=True, autoincrement=True),
    sa.Column("incoming", sa.String(100), nullable=False),
    sa.Column("person", sa.String(100), nullable=False, index=True),
    sa.Column("objective", sa.String(120), nullable=False),
    sa.Column("card", sa.String(100), nullable=False),
    sa.Column("source", sa.String(20), nullable=False),  # quiz | roleplay
    sa.Column("at", When, nullable=False, index=True),
    sa.Column("correct", sa.Boolean, nullable=False),
    sa.Column("forecast", sa.Float, nullable=False),  # recall that memory predicted just before the answer
    sa.UniqueConstraint("incoming", "person", "objective", name="reviews_once"),
)
question_states = sa.Table(
    "question_states",
    metadata,
    sa.Column("question", sa.String(120), primary_key=True),
    sa.Column("state", sa.String(10), nullable=False),  # draft | approved | retired
    sa.Column("reason", sa.Text, nullable=False, server_default=""),
    sa.Column("data", sa.Text),  # a question that is not in a file, as JSON
    sa.Column("by", sa.String(100), nullable=False),
    sa.Column("at", When, nullable=False),
)
assignments = sa.Table(
    "assignments",
    metadata,
    sa.Column("id", Id, primary_key=True, autoincrement=True),
    sa.Column("incoming", sa.String(100), nullable=False),
    sa.Column("person", sa.String(100), nullable=False, index=True),
    sa.Column("module", sa.String(60), nullable=False),
    sa.Column("due", sa.String(10), nullable=False),  # a date, in the person's zone
    sa.Column("by", sa.String(100), nullable=False),
    sa.Column("at", When, nullable=False),
    sa.Column("done", When),
    sa.UniqueConstraint("incoming", "person", "module", name="assignments_once"),
)
certificates = sa.Table(
    "certificates",
    metadata,
    sa.Column("code", sa.String(20), primary_key=True),
    sa.Column("person", sa.String(100), nullable=False, index=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("module", sa.String(60), nullable=False),
    sa.Column("by", sa.String(100), nullable=False),
    sa.Column("at", When, nullable=False),
    sa.Column("revoked", When),
    sa.UniqueConstraint("person", "module", name="certificates_once"),
)
reminders = sa.Table(
    "reminders",
    metadata,
    sa.Column("person", sa.String(100), primary_key=True),
    sa.Column("hour", sa.Integer, nullable=False),  # local hour, 0–23
    sa.Column("weekends", sa.Boolean, nullable=False),
    sa.Column("active", sa.Boolean, nullable=False),
    sa.Column("snoozed", When),  # nothing before this moment
    sa.Column("sent_day", sa.String(10)),  # local date of the last reminder
    sa.Column("sent", When),
)


async def write_asked(connection: AsyncConnection, incoming: Incoming, data: Mapping[str, Any]) -> None:
    """A question was put to the person."""
    await connection.execute(
        asked.insert().values(
            token=data["token"], person=incoming.person, question=data["snapshot"]["question"],
            snapshot=json.dumps(data["snapshot"], ensure_ascii=False), at=incoming.at,
        )
    )  # fmt: skip


async def write_answer(connection: AsyncConnection, incoming: Incoming, data: Mapping[str, Any]) -> None:
    """An answer, counted once: whoever comes second (another device, a repeated update) changes nothing."""
    mine = sa.and_(asked.c.token == data["token"], asked.c.person == incoming.person, asked.c.answered.is_(None))
    done = await connection.execute(asked.update().where(mine).values(answered=incoming.at, picked=data["picked"], correct=data["right"]))
    if done.rowcount:
        await write_skill(connection, incoming, {**data, "source": "quiz"})


async def write_skill(connection: AsyncConnection, incoming: Incoming, data: Mapping[str, Any]) -> None:
    """A signal for a skill: `{"card", "objective", "right", "source"?}`. `objective` is an index or "card:index"."""
    objective = str(data["objective"])
    objective = objective if ":" in objective else f"{data['card']}:{objective}"
    known = sa.select(reviews.c.id).where(
        reviews.c.incoming == incoming.id, reviews.c.person == incoming.person, reviews.c.objective == objective
    )
    if (await connection.execute(known)).first():
        return
    here = sa.and_(skills.c.person == incoming.person, skills.c.objective == objective)
    row = (await connection.execute(sa.select(skills).where(here))).first()
    before = skill_of(row._mapping) if row else memory.new(objective, incoming.at)
    after = memory.reviewed(before, bool(data["right"]), incoming.at)
    await connection.execute(
        reviews.insert().values(
            incoming=incoming.id, person=incoming.person, objective=objective, card=after.card,
            source=data.get("source", "roleplay"), at=incoming.at, correct=bool(data["right"]),
            forecast=memory.recall(before, incoming.at),
        )
    )  # fmt: skip
    values = {
        "card": after.card, "due": after.due, "state": after.state, "last": after.last, "reviews": after.reviews,
        "correct": after.right, "lapses": after.lapses, "right_days": after.right_days,
        "last_right": after.last_right.isoformat() if after.last_right else None,
    }  # fmt: skip
    if row:
        await connection.execute(skills.update().where(here).values(**values))
    else:
        await connection.execute(skills.insert().values(person=incoming.person, objective=objective, **values))


def skill_of(row: Mapping[Any, Any]) -> memory.Skill:
    """A row of `skills` (from either kind of query) as a value."""
    return memory.Skill(
        objective=row["objective"], due=moment(row["due"]), state=row["state"], last=moment(row["last"]) if row["last"] else None,
        reviews=row["reviews"], right=row["correct"], lapses=row["lapses"], right_days=row["right_days"],
        last_right=date.fromisoformat(row["last_right"]) if row["last_right"] else None,
    )  # fmt: skip


def moment(value: datetime | str) -> datetime:
    """A point in time from a column, however the database hands it over; ours are all UTC."""
    from bot.store import aware

    return aware(datetime.fromisoformat(value) if isinstance(value, str) else value)


async def write_question(connection: AsyncConnection, incoming: Incoming, data: Mapping[str, Any]) -> None:
    """A trainer's word on a question: approved, retired, or a draft kept."""
    await connection.execute(question_states.delete().where(question_states.c.question == data["question"]))
    await connection.execute(
        question_states.insert().values(
            question=data["question"], state=data["state"], reason=data.get("reason", ""),
            data=json.dumps(data["data"], ensure_ascii=False) if data.get("data") else None, by=incoming.person, at=incoming.at,
        )
    )  # fmt: skip


async def write_assignment(connection: AsyncConnection, incoming: Incoming, data: Mapping[str, Any]) -> None:
    for person in data["persons"]:
        await connection.execute(
            assignments.insert().values(
                incoming=incoming.id, person=person, module=data["module"], due=data["due"], by=incoming.person, at=incoming.at
            )
        )


async def write_assignment_done(connection: AsyncConnection, incoming: Incoming, data: Mapping[str, Any]) -> None:
    """The person's open assignments of a module are finished."""
    mine = sa.and_(assignments.c.person == incoming.person, assignments.c.module == data["module"], assignments.c.done.is_(None))
    await connection.execute(assignments.update().where(mine).values(done=incoming.at))


async def write_certificate(connection: AsyncConnection, incoming: Incoming, data: Mapping[str, Any]) -> None:
    """One certificate per person and module; issuing again keeps the first code."""
    known = sa.select(certificates.c.code).where(certificates.c.person == data["person"], certificates.c.module == data["module"])
    if (await connection.execute(known)).first() is None:
        await connection.execute(certificates.insert().values(**data, by=incoming.person, at=incoming.at))


async def write_reminder(connection: AsyncConnection, incoming: Incoming, data: Mapping[str, Any]) -> None:
    """Change a person's reminder; what is not named stays."""
    values = dict(data)
    if isinstance(values.get("snoozed"), str):
        values["snoozed"] = datetime.fromisoformat(values["snoozed"])
    done = await connection.execute(reminders.update().where(reminders.c.person == incoming.person).values(**values))
    if not done.rowcount:
        base = {"hour": 9, "weekends": False, "active": True}
        await connection.execute(reminders.insert().values(person=incoming.person, **{**base, **values}))


LEARNING_WRITERS = {
    "asked": write_asked,
    "answer": write_answer,
    "skill": write_skill,
    "question": write_question,
    "assignment": write_assignment,
    "assignment_done": write_assignment_done,
    "certificate": write_certificate,
    "reminder": write_reminder,
}
