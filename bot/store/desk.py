"""What the trainer's desk leaves behind: gaps that were answered, with word to their askers, or withheld."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.masking import wording
from bot.store import tables as t
from bot.turns import Aside, Incoming, reply_to_json
from knowledge.notes import note_edition, note_of, without
from knowledge.shelf import revisions, rewrite_draft


def answered(ids: Sequence[int], document: str, letters: Mapping[int, Aside], at: datetime) -> list[sa.Executable]:
    """Statements for the transaction that publishes `document`: the askers' letters (by gap), then the gaps closed.

    A gap that was withheld or answered meanwhile is left alone, and so is its asker.
    """
    still_open = sa.and_(t.gaps.c.withheld.is_(False), t.gaps.c.answered_by.is_(None))
    closing = t.gaps.update().where(t.gaps.c.id.in_(ids), still_open).values(answered_by=document)
    return [*(_letter(aside, at, sa.and_(t.gaps.c.id == gap, still_open)) for gap, aside in letters.items()), closing]


def _letter(aside: Aside, at: datetime, still_open: sa.ColumnElement[bool]) -> sa.Executable:
    """A post to the asker's chat, unless it is there already."""
    row = {"incoming": aside.key, "part": 0, "chat": aside.chat, "person": "", "reply": reply_to_json(aside.reply), "at": at, "state": "waiting"}
    there = sa.exists().where(t.outbox.c.incoming == aside.key, t.outbox.c.chat == aside.chat)
    values = [sa.literal(value, t.outbox.c[name].type) for name, value in row.items()]
    return t.outbox.insert().from_select(list(row), sa.select(*values).where(sa.exists().where(still_open), ~there))


async def write_gap_withheld(connection: AsyncConnection, incoming: Incoming, data: Mapping[str, Any]) -> None:
    """A question of the person, by its words, is kept from the trainers, however often they asked it: in drafts, too."""
    mine = sa.and_(t.gaps.c.person == incoming.person, t.gaps.c.text == data["text"])
    await connection.execute(t.gaps.update().where(mine).values(withheld=True))
    rows = (await connection.execute(sa.select(t.gaps.c.id, t.gaps.c.text, t.gaps.c.language).where(mine))).all()
    drafts = sa.select(revisions).where(revisions.c.state != "published", revisions.c.document.like("note-%"))
    for draft in (await connection.execute(drafts)).all():
        if {row.id for row in rows} & set(draft.details.get("gaps", ())):
            await _take_out(connection, draft, {wording(row.text, row.language) for row in rows})


async def _take_out(connection: AsyncConnection, draft: Any, words: set[str]) -> None:
    """Withheld words leave a note that is not published yet, unless somebody else asks in the same words."""
    still_open = sa.and_(t.gaps.c.id.in_(draft.details["gaps"]), ~t.gaps.c.withheld)
    others = (await connection.execute(sa.select(t.gaps.c.id, t.gaps.c.text, t.gaps.c.language).where(still_open))).all()
    gone = words - {wording(row.text, row.language) for row in others}
    if gone:
        checks = [item for item in draft.details.get("checks", ()) if not any(text[:20] in str(item) for text in gone)]
        details = {**draft.details, "gaps": [row.id for row in others], "checks": checks, "withdrawn": draft.details.get("withdrawn", 0) + len(gone)}
        await rewrite_draft(connection, draft.id, note_edition(without(note_of(draft.content), gone), details=details))
