"""`make people`: how long a turn takes, and how much memory, as passages, people and history grow tenfold and again.

    python .ci/people.py [--quick] [--steps 3] [--out docs/reports/people.md]

The house is the product's (`open_app`, SQLite file, mailbox, admission, conversation, delivery); only the platform is
a stand-in that answers at once, so all that is measured is our own time. A few people hold real talks through it;
what these left in the tables is then copied for everybody else, with other people, ids and days. Passages are the
bench's. Turns come one at a time with a rest between them, so that there is no queue. Each size is measured in a
process of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / ".ci")]

import numpy as np  # noqa: E402
import sqlalchemy as sa  # noqa: E402
from bench import embed_lines, golden, made_passages, memory  # noqa: E402
from telegram.request import BaseRequest  # noqa: E402, TID251 (the stand-in for the platform)

from bot import reminders  # noqa: E402
from bot.app import open_app  # noqa: E402
from bot.commands.telegram import SWITCH, mail_of  # noqa: E402
from bot.frontends.telegram_chat import Pace, RawBot, TelegramChat  # noqa: E402
from bot.membership import invitation  # noqa: E402
from bot.people import Person, Role  # noqa: E402
from bot.ports import App  # noqa: E402
from bot.privacy import sweep  # noqa: E402
from bot.settings import Settings  # noqa: E402
from bot.store import tables as t  # noqa: E402
from bot.store.people import personal_tables, write_invitation  # noqa: E402
from bot.turns import Incoming, Offer, Poll, Reply, cited_in  # noqa: E402
from knowledge.embedders import open_embedder  # noqa: E402
from knowledge.shelf import Edition  # noqa: E402

ADMIN, TRAINER, HEAD = 1, 2, 3  # the admin; the trainer of a team; a head of training who belongs to no team
PATTERNS, FIRST = range(11, 27), 100_000  # who talk for real; the first number of those who get copies of it
TEAM, A_DOCUMENT = 25, 100  # people in a team, passages in a document
DAYS = 90  # over which history is spread
REST = 0.015  # seconds between two turns
KEYS = ("incoming", "token", "run", "code")  # columns that name a turn, a question, a role-play
GOAL = 50.0  # ms


@dataclass(frozen=True)
class Size:
    """How much there is: `copies` of the real talks for each person."""

    passages: int
    people: int
    copies: int


# ------------------------------------------------------------------ the house, and a platform that answers at once


class Instant(BaseRequest):
    """The Bot API without a network: every call succeeds at once."""

    def __init__(self) -> None:
        self.numbers = itertools.count(1)
        self.poll = ""  # id of the poll sent last

    @property
    def read_timeout(self) -> float | None:
        return None

    async def initialize(self) -> None:
        """Nothing to open."""

    async def shutdown(self) -> None:
        """Nothing to close."""

    async def do_request(self, url: str, method: str, request_data: Any = None, *args: Any, **more: Any) -> tuple[int, bytes]:
        name = url.rpartition("/")[2]
        asked = request_data.parameters if request_data else {}
        result: Any = True
        if name == "getMe":
            result = {"id": 7, "is_bot": True, "first_name": "Coach", "username": "coach_bot"}
        elif name.startswith("send") and name != "sendChatAction":
            result = {"message_id": next(self.numbers), "date": 0, "chat": {"id": asked["chat_id"], "type": "private"}}
            if name == "sendPoll":
                self.poll = f"poll-{result['message_id']}"
                options = [{"text": "?", "voter_count": 0, "persistent_id": str(n)} for n in range(4)]
                result["poll"] = {
                    "id": self.poll, "question": "?", "options": options, "total_voter_count": 0, "is_closed": False,
                    "is_anonymous": False, "type": "quiz", "allows_multiple_answers": False, "allows_revoting": False, "members_only": False,
                }  # fmt: skip
        return 200, json.dumps({"ok": True, "result": result}).encode()


@dataclass
class House:
    """The product, spoken to as Telegram does, and how long each kind of turn took (ms): wall and processor."""

    app: App
    chat: TelegramChat
    platform: Instant
    wall: dict[str, list[float]]
    work: dict[str, list[float]]
    numbers: Iterator[int]
    rest: float = 0.0

    async def _turn(self, kind: str, who: int, update: dict[str, Any]) -> Reply:
        await asyncio.sleep(self.rest)
        number = next(self.numbers)
        begun, worked = time.perf_counter(), time.process_time()
        await self.chat.receive([{"update_id": number, **update}])
        await self.chat.mailbox.idle()
        self.work[kind].append(1000 * (time.process_time() - worked))
        self.wall[kind].append(1000 * (time.perf_counter() - begun))
        (state,) = await self.app.store.rows("SELECT state FROM inbox WHERE id LIKE :id", id=f"tg-7-{number}")
        (last,) = await self.chat.mail.offered(f"tg:{who}", 1)
        assert state["state"] == "done", f"{kind}: a turn was parked"
        return last

    async def says(self, kind: str, who: int, text: str) -> Reply:
        chat = {"id": who, "type": "private", "first_name": f"P{who}"}
        message = {"message_id": next(self.numbers), "date": int(time.time()), "chat": chat, "from": _user(who), "text": text}
        return await self._turn(kind, who, {"message": message})

    async def taps(self, kind: str, who: int, token: str) -> Reply:
        under = {"message_id": 1, "date": 0, "chat": {"id": who, "type": "private", "first_name": f"P{who}"}}
        query = {"id": str(next(self.numbers)), "from": _user(who), "chat_instance": "1", "data": token, "message": under}
        return await self._turn(kind, who, {"callback_query": query})

    async def votes(self, kind: str, who: int, option: int) -> Reply:
        return await self._turn(kind, who, {"poll_answer": {"poll_id": self.platform.poll, "user": _user(who), "option_ids": [option], "option_persistent_ids": [str(option)]}})


def _user(who: int) -> dict[str, Any]:
    return {"id": who, "is_bot": False, "first_name": f"P{who}", "language_code": "zh-hans" if who % 2 else "en"}


@asynccontextmanager
async def house(folder: Path) -> AsyncIterator[House]:
    """The product on a data directory, as `coach telegram` runs it."""
    settings = Settings(data_dir=folder, admins=str(ADMIN), messages_per_minute=100_000, _env_file=None)  # type: ignore[call-arg]
    sys.setswitchinterval(SWITCH)
    async with open_app(settings, model=False) as app:
        await app.retriever.settle()  # type: ignore[attr-defined]
        await app.retriever.keep_up()  # type: ignore[attr-defined]  # what `coach telegram` does within seconds
        platform = Instant()
        bot = RawBot("7:token", request=platform, get_updates_request=platform)
        await bot.initialize()
        chat = TelegramChat(app, mail_of(app), bot)
        ahead = itertools.count(0, 3600)
        chat.pace = Pace(lambda: float(next(ahead)))  # Telegram's limits are not our time
        app.extras["username"] = bot.username
        numbers = itertools.count(int(time.time() * 1000))
        yield House(app, chat, platform, defaultdict(list), defaultdict(list), numbers)
        await chat.mailbox.stop()


# ------------------------------------------------------------------ talks: what people do


Talk = Callable[[House, int, random.Random], Awaitable[None]]


async def advice(at: House, who: int, chance: random.Random) -> None:
    """A question, a follow-up, a look at the source, a vote."""
    asked = chance.choice(QUESTIONS[who % 2])
    answer = await at.says("question", who, f"{asked} ({chance.randrange(10**6)})")
    follow = ("那我第一句话怎么说？", "他要是不回我呢？") if who % 2 else ("And what do I say first?", "What if he does not answer?")
    answer = await at.says("follow-up", who, chance.choice(follow))
    (row,) = await at.app.store.rows("SELECT incoming FROM turns WHERE person = :p ORDER BY id DESC LIMIT 1", p=f"tg:{who}")
    if cited_in(answer):
        await at.taps("a passage's source", who, f"src:{row['incoming']}:0")
    await at.taps("vote", who, f"vote:{chance.choice(('up', 'down'))}:{row['incoming']}")
    await at.says("reason of a vote, or a question", who, "太笼统" if who % 2 else "too general")


async def learning(at: House, who: int, chance: random.Random) -> None:
    """A quiz of five by polls, then the pictures of progress."""
    reply = await at.says("quiz: begin", who, "/quiz")
    for _ in range(5):
        (poll,) = reply.of(Poll)[:1] or (None,)
        if poll is None:  # the question wants words
            if not (offers := reply.of(Offer)):
                break  # nothing more to ask this person today
            reply = await at.taps("quiz: skip", who, offers[0].choices[0].token)
        else:
            right = chance.random() < 0.7
            reply = await at.votes("quiz: answer", who, poll.key if right else (poll.key + 1) % len(poll.options))
    await at.says("cancel", who, "/cancel")
    await at.says("progress, with pictures", who, "/progress")
    await at.says("path", who, "/path")


async def looking(at: House, who: int, chance: random.Random) -> None:
    """Topics, a card, history, privacy, help."""
    await at.says("topics", who, "/topics")
    await at.taps("topics of a group", who, "topics:problem")
    await at.says("card", who, f"/card {chance.choice(sorted(at.app.retriever.cards()))}")
    await at.says("history", who, "/history")
    await at.says("privacy", who, "/privacy")
    await at.says("help", who, "/help")


async def playing(at: House, who: int, chance: random.Random) -> None:
    """A role-play: three lines, then it is given up and scored."""
    await at.says("role-play: menu", who, "/roleplay")
    await at.taps("role-play: begin", who, f"play:{chance.choice(SCENARIOS)}:1")
    for line in LINES[who % 2]:
        await at.says("role-play: line", who, line)
    await at.taps("role-play: end and score", who, "play:end")


async def privacy(at: House, who: int, chance: random.Random) -> None:
    await at.taps("export of my data", who, "privacy:export")
    await at.taps("be forgotten", who, "privacy:forget:data")


async def stranger(at: House, who: int, chance: random.Random) -> None:
    await at.says("a stranger", 50_000 + chance.randrange(10_000), "hello") if who else None


async def trainer(at: House, who: int, chance: random.Random) -> None:
    """A trainer's screens: of the own team, and of the whole company for the head of training."""
    for text in ("/gaps", "/report", "/team", "/questions", "/scenarios", "/docs", "/appeals"):
        await at.says(f"trainer: {text}", TRAINER, text)
    await at.says("trainer of all teams: /team", HEAD, "/team")


async def admin(at: House, who: int, chance: random.Random) -> None:
    await at.says("admin: /people", ADMIN, "/people")
    await at.says("admin: /people name", ADMIN, f"/people {name_of(who)}")
    await at.taps("admin: a person", ADMIN, f"person:tg:{who}")
    await at.taps("admin: a role given", ADMIN, f"role:trainer:tg:{who}")
    await at.taps("admin: a role taken", ADMIN, f"role:trainer:tg:{who}")
    await at.says("admin: /status", ADMIN, "/status")


QUESTIONS = tuple([row["text"] for row in golden("tune") if row["lang"] == language] for language in ("en", "zh"))
SCENARIOS = ("S01", "S02", "S03")
LINES = (
    ("Thank you for your time. What worries you most about the change?", "Who else has to agree to it?", "May I send you a short plan by Friday?"),
    ("谢谢您抽时间。这次换供应商，您最担心什么？", "除了您，还有谁要点头？", "我周五前给您发一份简短的计划，好吗？"),
)  # fmt: skip
EVERYDAY: dict[Talk, int] = {advice: 70, learning: 25, looking: 20, playing: 15}  # how many of each when all are measured
SCREENS: dict[Talk, int] = {trainer: 8, admin: 12, privacy: 8}


# ------------------------------------------------------------------ filling: people with a history


def name_of(who: int) -> str:
    return f"{'王李张刘陈杨赵黄周吴'[who % 10]}{'伟芳娜敏静丽强磊军洋'[who // 10 % 10]}{who}" if who % 2 else f"{('Ann', 'Bob', 'Cem', 'Dee', 'Eli')[who // 2 % 5]} {who}"


def person_of(who: int) -> Person:
    roles = {ADMIN: {Role.ADMIN, Role.TRAINER, Role.REP}, TRAINER: {Role.TRAINER, Role.REP}, HEAD: {Role.TRAINER}}.get(who, {Role.REP, Role.NEWHIRE})
    team = "" if who in (ADMIN, HEAD) else f"Team {max(0, who - FIRST) // TEAM:03}"
    return Person(f"tg:{who}", frozenset(roles), name_of(who), team, chat=f"tg:{who}", language="zh" if who % 2 else "en")


async def patterns(folder: Path) -> None:
    """The few who talk for real, invited as anybody is; some ask what nobody can answer."""
    chance = random.Random(1)
    async with house(folder) as at:
        for who in (ADMIN, TRAINER, HEAD):
            await at.app.store.welcome(person_of(who), at.app.clock())
        for who in PATTERNS:
            code, record = invitation(["rep", "newhire"], at.app.clock(), team=person_of(who).team)
            async with at.app.store.engine.begin() as connection:  # type: ignore[attr-defined]
                await write_invitation(connection, Incoming("invite", "", f"tg:{ADMIN}", at.app.clock()), record.data)
            await at.says("join", who, f"/start {code}")
            for talk in (advice, learning, advice, looking, playing if who % 4 == 0 else advice):
                await talk(at, who, chance)
            await at.says("question", who, f"量子计算机怎么算线性方程 {who}" if who % 2 else f"Which protein folds fastest, {who}?")
            await at.says("remind", who, "/remind 9")
        print(f"  {sum(map(len, at.wall.values()))} real turns", file=sys.stderr)


def made(size: Size, before: Size) -> list[dict[str, Any]]:
    """Which copies are missing: (pattern, person, tag of the copy, days ago, is it the person's first)."""
    chance = random.Random(size.people * 1000 + size.copies)
    return [
        {
            "pattern": f"tg:{PATTERNS[number % len(PATTERNS)]}", "person": f"tg:{FIRST + number}", "tag": f"-{number}-{copy}",
            "days": f"-{chance.randrange(DAYS)} days", "first": copy == 0,
        }
        for number, copy in itertools.product(range(size.people), range(size.copies))
        if number >= before.people or copy >= before.copies
    ]  # fmt: skip


def _copied(column: sa.Column[Any]) -> str:
    """What a column holds in a copy."""
    name = f'o."{column.name}"'
    if column.name in ("person", "chat"):
        return f"CASE WHEN {name} = m.pattern THEN m.person ELSE {name} END"
    if column.name in KEYS or (column.primary_key and isinstance(column.type, sa.String) and column.name == "id"):
        return f"{name} || m.tag"
    if column.name in ("details", "data"):
        return f"replace({name}, '\"' || m.pattern || '\"', '\"' || m.person || '\"')"
    if isinstance(column.type, sa.DateTime):
        return f"strftime('%Y-%m-%d %H:%M:%f000', {name}, m.days)"
    return name


def copying(table: sa.Table) -> str:
    """SQL that gives everybody in `made` the pattern's rows of a table; what there is once a person is copied once."""
    columns = [column for column in table.columns if not (column.primary_key and isinstance(column.type, sa.Integer | sa.BigInteger))]
    once = "person" in table.primary_key.columns or table.name == "certificates"
    names = ", ".join(f'"{column.name}"' for column in columns)
    return (
        f"INSERT INTO {table.name} ({names}) SELECT {', '.join(map(_copied, columns))} "
        f"FROM {table.name} o JOIN made m ON m.pattern = o.person{' WHERE m.first' if once else ''}"
    )


async def fill(folder: Path, size: Size, before: Size, lines: Path) -> None:
    """Bring a data directory from one size to another: passages by publishing, people and their history by copies."""
    begun = time.perf_counter()
    settings = Settings(data_dir=folder, _env_file=None)  # type: ignore[call-arg]
    async with open_app(settings, retrieval=False, model=False) as app:
        if size.passages > before.passages:
            await publish(app, size.passages - before.passages, lines)
        rows = made(size, before)
        if rows:
            async with app.store.engine.begin() as connection:  # type: ignore[attr-defined]
                people = [person_of(FIRST + number) for number in range(before.people, size.people)]
                if people:
                    await connection.execute(t.persons.insert(), [_person_row(person, number) for number, person in enumerate(people)])
                await connection.exec_driver_sql("CREATE TEMP TABLE made (pattern TEXT, person TEXT, tag TEXT, days TEXT, first INTEGER)")
                await connection.execute(sa.text("INSERT INTO made VALUES (:pattern, :person, :tag, :days, :first)"), rows)
                await connection.exec_driver_sql("CREATE INDEX temp.made_pattern ON made (pattern)")
                for name in sorted(set(personal_tables()) - {"persons", "invitations"}):
                    await connection.exec_driver_sql(copying(t.metadata.tables[name]))
                await connection.exec_driver_sql("DROP TABLE made")
    print(f"  filled to {size} in {time.perf_counter() - begun:.0f} s", file=sys.stderr)


def _person_row(person: Person, number: int) -> dict[str, Any]:
    return {
        "id": person.id, "name": person.name, "roles": sorted(person.roles), "team": person.team, "language": person.language,
        "chat": person.chat, "active": True, "options": {"share_progress": True} if number % 10 == 0 else {},
        "joined": datetime.now(UTC) - timedelta(days=number % DAYS),
    }  # fmt: skip


async def publish(app: App, count: int, lines: Path) -> None:
    """Made passages as documents of a hundred, in one publish; their vectors are those that the bench makes."""
    passages, vectors, features = made_passages(count, lines)
    editions = []
    for start in range(0, count, A_DOCUMENT):
        name = f"made-{count}-{start // A_DOCUMENT}"
        mine = [replace(item, id=f"{name}/{n}", document=name, title=name) for n, item in enumerate(passages[start : start + A_DOCUMENT])]
        editions.append(Edition(name, "document", name, "", name, tuple(mine)))
    await app.shelf.publish(editions, at=app.clock(), author="people", note=f"{count} made passages")
    fingerprint = open_embedder("bundled").fingerprint
    for model, rows in ((fingerprint, vectors), (f"{fingerprint}/features", features)):
        for start in range(0, count, 10_000):
            part = slice(start, start + 10_000)
            await app.shelf.keep_vectors(model, {item.content_hash: row.tobytes() for item, row in zip(passages[part], rows[part], strict=True)})
        print(f"  {count} vectors of {model}", file=sys.stderr)


# ------------------------------------------------------------------ measuring one size


async def measure(folder: Path, size: Size, share: float) -> dict[str, Any]:
    """Times by kind of turn (ms), background work (ms), memory (MB), rows; in a process of its own."""
    chance = random.Random(5)
    begun = time.perf_counter()
    async with house(folder) as at:
        opened = time.perf_counter() - begun
        for talk in (advice, learning, looking, playing):  # a bot that has just started is measured elsewhere
            await talk(at, FIRST, chance)
        for times in (*at.wall.values(), *at.work.values()):
            times.clear()
        at.rest = REST
        talks = [talk for talk, times in {**EVERYDAY, **SCREENS}.items() for _ in range(max(2, round(times * share)))]
        chance.shuffle(talks)
        for talk in talks:
            await talk(at, FIRST + chance.randrange(size.people), chance)
        result = {
            "wall": dict(at.wall), "work": dict(at.work), "opened s": opened, "memory MB": memory(),
            "background": await background(at), "database MB": sum(path.stat().st_size for path in folder.glob("coach.db*")) / 1e6,
        }  # fmt: skip
        counted = ("turns", "outbox", "quiz_asked", "reviews", "rehearsals", "gaps", "shelf_passages", "persons")
        for name in counted:
            (row,) = await at.app.store.rows(f"SELECT count(*) AS n FROM {name}")
            result[f"rows of {name}"] = row["n"]
    return result


async def background(at: House) -> dict[str, float]:
    """The longest of three rounds (ms) of what goes on beside the turns."""

    async def longest(what: Callable[[], Awaitable[Any]]) -> float:
        times = []
        for _ in range(3):
            begun = time.perf_counter()
            await what()
            times.append(1000 * (time.perf_counter() - begun))
        return max(times)

    quiet = replace(at.app, clock=lambda: datetime(2026, 1, 7, 12, tzinfo=UTC))  # a moment at which no reminder is due
    works: dict[str, Callable[[], Awaitable[Any]]] = {
        "who waits (each second)": lambda: at.chat.mail.waiting(at.app.clock()),
        "reminders (each minute)": lambda: reminders.send_due(quiet),
        "clean-up (each hour)": lambda: sweep(at.app),
        "version of the playbook (each 5 s)": at.app.retriever.keep_up,  # type: ignore[attr-defined]
    }
    return {name: await longest(what) for name, what in works.items()}


# ------------------------------------------------------------------ the report


Measured = list[tuple[Size, dict[str, Any]]]


def everyday(found: dict[str, Any], of: str = "wall") -> list[float]:
    """All turns that members take every day: not the screens of trainers and admins, nor export and oblivion."""
    return [value for kind, values in found[of].items() if is_everyday(kind) for value in values]


def is_everyday(kind: str) -> bool:
    return not re.match(r"trainer|admin|export|be forgotten", kind)


def p(values: Sequence[float], share: float) -> float:
    return float(np.percentile(values, 100 * share)) if values else float("nan")


def growth(sizes: Sequence[float], values: Sequence[float]) -> float:
    """By what a value is multiplied when the size is (fitted: a power of the size), for ten times as much."""
    slope = np.polyfit(np.log10(sizes), np.log10(values), 1)[0]
    return float(10**slope)


AXES: dict[str, Callable[[Size], int]] = {"passages": lambda s: s.passages, "people": lambda s: s.people, "copies": lambda s: s.copies}


def report(axes: dict[str, Measured], picture: str, note: str) -> str:
    goal = axes["passages"][-1]
    lines = ["# A company's worth of people", "", *preface(goal[0]), *([note] if note else []), "", *targets(axes), "", "## Growth", "", *growths(axes), "", f"![growth]({picture})", ""]
    lines += [f"## Each kind of turn at {goal[0].passages:,} passages and {goal[0].people:,} people", "", *kinds(goal[1]), "", "## Beside the turns", "", *beside(axes)]
    return "\n".join(lines) + "\n"


def preface(size: Size) -> list[str]:
    load = Path("/proc/loadavg").read_text().split()[0]
    return [
        f"Made by `make people` on {time.strftime('%Y-%m-%d')}: {os.cpu_count()} cores, load average {load} at the end, SQLite with full durability, no",
        "language model. A turn is everything between an update and its delivered, noted reply: inbox, admission, conversation,",
        "transaction, outbox, messages made up, but for the network (the platform is a stand-in that answers at once). Turns come",
        "one at a time with a rest between them. Passages are made of the cards' lines and come on top of the bundled playbook.",
        "People's history is copied from talks that were held through the product.",
    ]


def targets(axes: dict[str, Measured]) -> list[str]:
    (_, before), (size, goal) = axes["passages"][-2:]
    now, was = p(everyday(goal), 0.95), p(everyday(before), 0.95)
    grown = now / was
    return [
        "| | wanted | measured |", "|---|---|---|",
        f"| p95 of an everyday turn, {size.passages:,} passages, {size.people:,} people | ≤ {GOAL:.0f} ms | **{now:.1f} ms** {_met(now <= GOAL)} |",
        f"| p50 / p99 | | {p(everyday(goal), 0.5):.1f} / {p(everyday(goal), 0.99):.1f} ms |",
        f"| p95 of a question or a follow-up | ≤ {GOAL:.0f} ms | {p(asked(goal), 0.95):.1f} ms |",
        f"| processor time of an everyday turn, p50 / p95 | | {p(everyday(goal, 'work'), 0.5):.1f} / {p(everyday(goal, 'work'), 0.95):.1f} ms |",
        f"| growth of the p95 over the last step ({axes['passages'][-2][0].passages:,} → {size.passages:,} passages) | ≤ × 1.5 | **× {grown:.2f}** {_met(grown <= 1.5)} |",
        f"| resident memory, its helpers included | | {goal['memory MB']:.0f} MB |",
        f"| database on disk | | {goal['database MB']:.0f} MB |",
        f"| turns measured | | {len(everyday(goal))} everyday, {sum(map(len, goal['wall'].values())) - len(everyday(goal))} screens |",
    ]  # fmt: skip


def asked(found: dict[str, Any]) -> list[float]:
    return [*found["wall"]["question"], *found["wall"]["follow-up"]]


def _met(met: bool) -> str:
    return "(met)" if met else "(missed)"


def growths(axes: dict[str, Measured]) -> list[str]:
    lines = ["| what grows | passages | people | turns kept | p50 ms | p95 ms | p95 of questions | processor p95 ms | memory MB | open s |", "|---|---|---|---|---|---|---|---|---|---|"]
    for name, steps in axes.items():
        for size, found in steps:
            times = (p(everyday(found), 0.5), p(everyday(found), 0.95), p(asked(found), 0.95), p(everyday(found, "work"), 0.95))
            cells = " | ".join(f"{value:.1f}" for value in times)
            what = {"copies": "history of each"}.get(name, name)
            lines.append(f"| {what} | {size.passages:,} | {size.people:,} | {found['rows of turns']:,} | {cells} | {found['memory MB']:.0f} | {found['opened s']:.0f} |")
        sizes = [AXES[name](size) for size, _ in steps]
        if len(steps) > 1:
            fits = [growth(sizes, [measured(found) for _, found in steps]) for measured in (lambda f: p(everyday(f), 0.5), lambda f: p(everyday(f), 0.95), lambda f: f["memory MB"])]
            lines.append(f"| **fit: ten times {what}** | | | | × {fits[0]:.2f} | × {fits[1]:.2f} | | | × {fits[2]:.2f} | |")
    return lines


def kinds(found: dict[str, Any]) -> list[str]:
    lines = ["| kind | turns | p50 ms | p95 ms | p99 ms | processor p50 ms | p95 ms |", "|---|---|---|---|---|---|---|"]
    for kind in sorted(found["wall"], key=lambda kind: (not is_everyday(kind), kind)):
        wall, work = found["wall"][kind], found["work"][kind]
        if wall:
            lines.append(f"| {kind} | {len(wall)} | {p(wall, 0.5):.1f} | {p(wall, 0.95):.1f} | {p(wall, 0.99):.1f} | {p(work, 0.5):.1f} | {p(work, 0.95):.1f} |")
    return lines


def beside(axes: dict[str, Measured]) -> list[str]:
    """Work in the background, in ms, as people grow."""
    steps = [*axes["people"], axes["passages"][-1]]
    lines = ["| the longest of three rounds, ms | " + " | ".join(f"{size.people:,} people, {size.passages:,} passages" for size, _ in steps) + " |", "|---" * (len(steps) + 1) + "|"]
    for work in steps[0][1]["background"]:
        lines.append(f"| {work} | " + " | ".join(f"{found['background'][work]:.1f}" for _, found in steps) + " |")
    return lines


def draw(axes: dict[str, Measured], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, 3, figsize=(12, 4), sharey=True)
    for panel, (name, steps) in zip(panels, axes.items(), strict=True):
        sizes = [AXES[name](size) for size, _ in steps]
        for share, colour in ((0.95, "#b3471d"), (0.5, "#1f5a92")):
            values = [p(everyday(found), share) for _, found in steps]
            fit = np.polyfit(np.log10(sizes), np.log10(values), 1)
            panel.plot(sizes, 10 ** np.polyval(fit, np.log10(sizes)), color=colour, linewidth=1, linestyle="--")
            panel.plot(sizes, values, marker="o", linestyle="", color=colour, label=f"p{100 * share:.0f}, ×{growth(sizes, values):.2f} for ten times as much")
        what = {"copies": "history: copies of the talks for each person"}.get(name, name)
        panel.set(xscale="log", yscale="log", xlabel=what, ylim=(5, 200))
        panel.axhline(GOAL, color="0.6", linewidth=1)
        panel.legend(loc="lower left", fontsize=8)
    panels[0].set_ylabel("an everyday turn, ms (line: 50 ms)")
    figure.tight_layout()
    figure.savefig(path, dpi=110)


# ------------------------------------------------------------------ all sizes, one after the other


def walk(quick: bool) -> dict[str, list[Size]]:
    """The steps of each axis, in the order in which one data directory grows through them."""
    if quick:
        return {"people": [Size(200, 50, 2), Size(200, 200, 2)], "passages": [Size(200, 200, 2), Size(1000, 200, 2)], "copies": [Size(200, 20, 1), Size(200, 20, 4)]}
    return {
        "people": [Size(1000, n, 2) for n in (100, 1000, 10_000)],
        "passages": [Size(n, 10_000, 2) for n in (1000, 10_000, 100_000)],
        "copies": [Size(1000, 100, n) for n in (1, 10, 100)],
    }


def in_process(folder: Path, size: Size, share: float) -> dict[str, Any]:
    command = [sys.executable, __file__, "--one", json.dumps(asdict(size)), str(folder), str(share)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    if done.returncode:
        raise SystemExit(done.stderr[-4000:])
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print(f"{size}: p95 {p(everyday(found), 0.95):.1f} ms, {found['memory MB']:.0f} MB", file=sys.stderr, flush=True)
    return found


def grow(folder: Path, lines: Path, sizes: Sequence[Size], share: float) -> dict[Size, dict[str, Any]]:
    """Measure one data directory at each of its sizes."""
    found: dict[Size, dict[str, Any]] = {}
    before = Size(0, 0, 0)
    for size in dict.fromkeys(sizes):
        asyncio.run(fill(folder, size, before, lines))
        found[size], before = in_process(folder, size, share), size
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="1,000 passages and 200 people: does it run?")
    parser.add_argument("--share", type=float, default=1.0, help="of the turns that are measured at each size")
    parser.add_argument("--out", type=Path, default=ROOT / "docs/reports/people.md")
    parser.add_argument("--data", type=Path, help="where the data directories are made, and kept (default: a temporary folder)")
    parser.add_argument("--note", default="", help="what ran beside it, and how it was run: for the report")
    parser.add_argument("--one", nargs=3)
    options = parser.parse_args()
    if options.one:
        size, folder, share = options.one
        print(json.dumps(asyncio.run(measure(Path(folder), Size(**json.loads(size)), float(share)))))
        return
    steps = walk(options.quick)
    with tempfile.TemporaryDirectory() as name:
        folder = options.data or Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        embed_lines(folder)
        asyncio.run(patterns(folder / "wide"))
        shutil.copytree(folder / "wide", folder / "long")
        found = grow(folder / "wide", folder, [*steps["people"], *steps["passages"]], options.share)
        found |= grow(folder / "long", folder, steps["copies"], options.share)
    axes = {name: [(size, found[size]) for size in steps[name]] for name in ("passages", "people", "copies")}
    picture = options.out.with_suffix(".png")
    draw(axes, picture)
    options.out.write_text(report(axes, picture.name, options.note), encoding="utf-8")
    print(options.out.read_text("utf-8"))


if __name__ == "__main__":
    main()
