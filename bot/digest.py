"""A week of questions for the trainers: what was asked, what rises, what is missing, what nobody uses. Nobody is named."""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from bot.charts import paired_bars
from bot.phrases import say
from bot.ports import Store
from bot.spreadsheets import cell
from bot.turns import Language
from knowledge.cards import Card

CROWD = 5  # topics that fewer people asked about are added up as "other"
TOP = 10
ASKED = "SELECT person, action, topics, at FROM turns WHERE at > :since AND action <> 'chat'"
VOTES = "SELECT vote FROM feedback WHERE at > :since"


@dataclass(frozen=True, slots=True)
class Week:
    """Aggregates of seven days. `topics`: (card id, questions, questions in the week before), most asked first."""

    until: datetime
    questions: int
    people: int
    answered_share: int  # percent
    topics: tuple[tuple[str, int, int], ...]
    other: int
    rising: tuple[str, ...]
    unused: tuple[str, ...]
    gaps: int
    votes: tuple[int, int]
    titles: Mapping[str, Mapping[str, str]]


def crowd(people: int) -> str:
    return str(people) if people >= CROWD else f"<{CROWD}"


async def week(store: Store, cards: Mapping[str, Card], now: datetime, gaps: int) -> Week:
    """The seven days before `now`, beside the seven before those."""
    start = now - timedelta(days=7)
    rows = [{**row, "at": _moment(row["at"], now)} for row in await store.rows(ASKED, since=now - timedelta(days=14))]
    votes = [row["vote"] for row in await store.rows(VOTES, since=start)]
    this, before = [row for row in rows if row["at"] > start], [row for row in rows if row["at"] <= start]
    counts, earlier = _by_topic(this), _by_topic(before)
    shown = {card: len(asked) for card, asked in counts.items() if len(set(asked)) >= CROWD}
    topics = sorted(((card, count, len(earlier.get(card, ()))) for card, count in shown.items()), key=lambda item: -item[1])
    rising = [card for card, count, was in topics if count >= 1.5 * max(was, 2)][:3]
    answered = sum(row["action"] in ("coach", "clarify", "decline") for row in this)
    return Week(
        until=now,
        questions=len(this),
        people=len({row["person"] for row in this}),
        answered_share=round(100 * answered / len(this)) if this else 0,
        topics=tuple(topics[:TOP]),
        other=sum(len(asked) for card, asked in counts.items() if card not in shown) + sum(count for _, count, _ in topics[TOP:]),
        rising=tuple(rising),
        unused=tuple(sorted(set(cards) - set(counts) - set(earlier))),
        gaps=gaps,
        votes=(sum(vote > 0 for vote in votes), sum(vote < 0 for vote in votes)),
        titles={card_id: {"zh": card.title.zh, "en": card.title.en} for card_id, card in cards.items()},
    )


def _moment(value: Any, like: datetime) -> datetime:
    """SQLite gives times back as text without a zone; all of ours are UTC."""
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    return moment if moment.tzinfo else moment.replace(tzinfo=like.tzinfo)


def _by_topic(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """First topic of each question → the people who asked, one entry a question."""
    found: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        topics = json.loads(row["topics"]) if isinstance(row["topics"], str) else row["topics"]
        if topics:
            found[topics[0][0]].append(row["person"])
    return found


def draw(week: Week, path: Path, language: Language) -> Path:
    """A pair of bars for each topic, this week and the week before."""
    rows = [(week.titles.get(card, {}).get(language, card), now, before) for card, now, before in week.topics]
    title = say(language, "desk.picture_title", day=f"{week.until:%Y-%m-%d}", count=week.questions)
    labels = say(language, "desk.picture_this"), say(language, "desk.picture_before")
    return paired_bars(path, title, rows, labels, say(language, "desk.picture_few", crowd=CROWD))


def write_csv(week: Week, path: Path) -> Path:
    """Rows of (what, id, title, this week, week before)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        table = csv.writer(file)
        table.writerow(["what", "id", "title_zh", "title_en", "this_week", "week_before"])
        for card, count, was in week.topics:
            title = week.titles.get(card, {})
            table.writerow(["topic", card, cell(title.get("zh", "")), cell(title.get("en", "")), count, was])
        table.writerow(["topic", "other", f"其他（每项少于{CROWD}人）", f"other (fewer than {CROWD} people each)", week.other, ""])
        for name, value in (("questions", week.questions), ("people", crowd(week.people)), ("answered_percent", week.answered_share), ("open_gaps", week.gaps), ("votes_up", week.votes[0]), ("votes_down", week.votes[1])):
            table.writerow(["total", name, "", "", value, ""])
        for card in week.unused:
            table.writerow(["unused", card, cell(week.titles[card]["zh"]), cell(week.titles[card]["en"]), 0, 0])
    return path
