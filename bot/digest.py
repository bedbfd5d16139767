"""A week of questions for the trainers: what was asked, what rises, what is missing, what nobody uses. Nobody is named."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from bot.charts import paired_bars
from bot.phrases import say
from bot.ports import Store
from bot.spreadsheets import cell
from bot.store import tables as t
from bot.turns import Language
from knowledge.cards import Card

CROWD = 5  # topics that fewer people asked about are added up as "other"
TOP = 10
ANSWERED = ("coach", "clarify", "decline")
VOTES = "SELECT SUM(CASE WHEN vote > 0 THEN 1 ELSE 0 END) AS up, SUM(CASE WHEN vote < 0 THEN 1 ELSE 0 END) AS down FROM feedback WHERE at > :since"


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
    (sums,), (votes,) = await store.rows(_sums(start)), await store.rows(VOTES, since=start)
    rows = await store.rows(_by_topic(start, start - timedelta(days=7)))
    counts = {row["topic"]: (row["questions"], row["people"]) for row in rows if row["recent"]}
    earlier = {row["topic"]: row["questions"] for row in rows if not row["recent"]}
    shown = {card: count for card, (count, people) in counts.items() if people >= CROWD}
    topics = sorted(((card, count, earlier.get(card, 0)) for card, count in shown.items()), key=lambda item: (-item[1], item[0]))
    rising = [card for card, count, was in topics if count >= 1.5 * max(was, 2)][:3]
    return Week(
        until=now,
        questions=sums["questions"],
        people=sums["people"],
        answered_share=round(100 * sums["answered"] / sums["questions"]) if sums["questions"] else 0,
        topics=tuple(topics[:TOP]),
        other=sum(count for card, (count, _) in counts.items() if card not in shown) + sum(count for _, count, _ in topics[TOP:]),
        rising=tuple(rising),
        unused=tuple(sorted(set(cards) - set(counts) - set(earlier))),
        gaps=gaps,
        votes=(votes["up"] or 0, votes["down"] or 0),
        titles={card_id: {"zh": card.title.zh, "en": card.title.en} for card_id, card in cards.items()},
    )


def _sums(since: datetime) -> sa.Select[Any]:
    """Questions, people who asked, and questions that got an answer."""
    turn, count = t.turns.c, sa.func.count
    answered = sa.func.coalesce(sa.func.sum(sa.case((turn.action.in_(ANSWERED), 1), else_=0)), 0)
    query = sa.select(count().label("questions"), count(turn.person.distinct()).label("people"), answered.label("answered"))
    return query.where(turn.at > since, turn.action != "chat")


def _by_topic(start: datetime, since: datetime) -> sa.Select[Any]:
    """By the first topic of a question: questions and people after `start` (`recent`), and between `since` and it."""
    turn, count = t.turns.c, sa.func.count
    recent = sa.case((turn.at > start, 1), else_=0)
    asked = sa.select(turn.topics[(0, 0)].as_string().label("topic"), recent.label("recent"), turn.person)
    rows = asked.where(turn.at > since, turn.action != "chat").subquery()
    sums = sa.select(rows.c.topic, rows.c.recent, count().label("questions"), count(rows.c.person.distinct()).label("people"))
    return sums.where(rows.c.topic.is_not(None)).group_by(rows.c.topic, rows.c.recent)


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
