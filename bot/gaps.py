"""What people asked and did not get: gathered by meaning, ranked by how many it concerns, nobody named."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import sqlalchemy as sa

from bot.masking import wording
from bot.store import tables as t
from bot.turns import Language

ALIKE = 0.5  # cosine to a group's middle from which a question belongs to it
CROWD = 5  # people below this number are not counted exactly
_GAP = t.gaps.c
WAITING = (
    sa.select(_GAP.id, _GAP.person, _GAP.chat, _GAP.at, _GAP.text, _GAP.language, _GAP.reason)
    .where(~_GAP.withheld, _GAP.answered_by.is_(None))
    .order_by(_GAP.id.desc())
)
OPEN = WAITING.limit(400)  # as many as are gathered by meaning in a second or two


def waiting(ids: Iterable[int]) -> sa.Select[Any]:
    """Those of some gaps that nobody has withheld or answered meanwhile."""
    return WAITING.where(_GAP.id.in_(list(ids)))


@dataclass(frozen=True, slots=True)
class Group:
    """Questions that mean the same. `wordings` are masked; the first stands nearest to the group's middle."""

    ids: tuple[int, ...]
    people: int
    wordings: tuple[str, ...]
    reasons: Mapping[str, int]

    @property
    def crowd(self) -> str:
        """How many people asked, or only that they are few."""
        return str(self.people) if self.people >= CROWD else f"<{CROWD}"


def grouped(rows: Sequence[Mapping[str, Any]], similarity: Callable[[Sequence[str], Sequence[str]], Any]) -> list[Group]:
    """Open gaps (rows of OPEN) as groups: those that concern most people first."""
    if not rows:
        return []
    texts = [wording(row["text"], row["language"]) for row in rows]
    cosines = np.asarray(similarity(texts, texts))
    groups: list[list[int]] = []
    for i in range(len(rows)):
        scores = [float(cosines[i, members].mean()) for members in groups]
        best = int(np.argmax(scores)) if scores else -1
        if best >= 0 and scores[best] >= ALIKE:
            groups[best].append(i)
        else:
            groups.append([i])
    made = [_group(members, rows, texts, cosines) for members in groups]
    return sorted(made, key=lambda group: (-group.people, -len(group.ids), -max(group.ids)))


def _group(members: Sequence[int], rows: Sequence[Mapping[str, Any]], texts: Sequence[str], cosines: Any) -> Group:
    middle = sorted(members, key=lambda i: -float(cosines[i, list(members)].mean()))
    return Group(
        ids=tuple(int(rows[i]["id"]) for i in members),
        people=len({rows[i]["person"] for i in members}),
        wordings=tuple(dict.fromkeys(texts[i] for i in middle)),
        reasons=Counter(str(rows[i]["reason"]) for i in members),
    )


def language_of_group(group: Group, rows: Sequence[Mapping[str, Any]]) -> Language:
    """The language that most of the group's questions are in."""
    spoken = Counter(str(row["language"]) for row in rows if int(row["id"]) in group.ids)
    return "en" if spoken["en"] > spoken["zh"] else "zh"
