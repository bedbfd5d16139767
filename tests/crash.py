"""kill -9 at random instants under traffic: is anything lost, doubled, out of order or corrupt?

`make crash` runs 200 kills and writes docs/reports/crash.md; the suite runs a handful (test_crash.py).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import random
import re
import signal
import sqlite3
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from bot_api import TOKEN, BotApi

ROOT = Path(__file__).parents[1]


@dataclass
class Result:
    """What was found after the last restart had answered everything."""

    kills: int = 0
    asked: int = 0
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)  # sent again although their delivery had been noted
    repeated: int = 0  # messages on their way when a kill fell, sent again
    unnoted: Counter[str] = field(default_factory=Counter)  # how many kills found a message waiting or on its way
    disorder: list[str] = field(default_factory=list)
    corrupt: list[str] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    starts: list[float] = field(default_factory=list)  # seconds until `ready`

    @property
    def clean(self) -> bool:
        return not (self.lost or self.doubled or self.disorder or self.corrupt or self.violations)


class Bot:
    """The bot as a process of its own: `whole` as an operator runs it, else without playbook and search."""

    def __init__(self, api: BotApi, data: Path, *, whole: bool = False, **settings: str) -> None:
        self.api, self.data, self.settings = api, data, settings
        self.program = ["-m", "bot", "telegram", "--model", "none"] if whole else [str(ROOT / "tests" / "crash_bot.py")]
        self.process: asyncio.subprocess.Process | None = None
        self.log = data / "bot.log"

    async def start(self) -> float:
        env = {key: value for key, value in os.environ.items() if not key.startswith("COACH_")}
        env |= {
            "COACH_TELEGRAM_TOKEN": TOKEN, "COACH_TELEGRAM_BASE_URL": self.api.base_url,
            "COACH_TELEGRAM_BASE_FILE_URL": self.api.file_url, "COACH_MESSAGES_PER_MINUTE": "100000",
            "COACH_ADMINS": ",".join(str(item) for item in self.api.people), "PYTHONPATH": str(ROOT), **self.settings,
        }  # fmt: skip
        begun = time.monotonic()
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, *self.program, "--data", str(self.data),
                cwd=self.data, env=env, stdout=asyncio.subprocess.PIPE, stderr=log,
            )  # fmt: skip
        assert self.process.stdout is not None
        line = await asyncio.wait_for(self.process.stdout.readline(), 300)
        assert line == b"ready\n", self.log.read_text()[-2000:]
        return time.monotonic() - begun

    async def end(self, how: signal.Signals = signal.SIGKILL) -> int:
        assert self.process is not None
        if self.process.returncode is None:
            self.process.send_signal(how)
        return await asyncio.wait_for(self.process.wait(), 30)


async def traffic(api: BotApi, chance: random.Random, asked: dict[int, list[str]], rate: float) -> None:
    """People ask for things that do not exist: the answer names what was asked, so that each can be found again."""
    number = 0
    while True:
        person = chance.choice(list(api.people.values()))
        number += 1
        word = f"q{person.id}x{number}"
        asked[person.id].append(word)
        person.says(f"/{word}")
        await asyncio.sleep(chance.expovariate(rate))


async def storm(api: BotApi, bot: Bot, kills: int, chats: int, seed: int, rate: float = 10.0, life: float = 2.0) -> Result:
    """Traffic, and a kill at a random instant of each life; then a last life that answers what is left."""
    chance, result = random.Random(seed), Result()
    for person_id in range(1, chats + 1):
        api.person(person_id, f"P{person_id}", "en")
    asked: dict[int, list[str]] = {person_id: [] for person_id in api.people}
    asking = asyncio.create_task(traffic(api, chance, asked, rate))
    for _ in range(kills):
        result.starts.append(await bot.start())
        await asyncio.sleep(chance.uniform(0.0, life))
        await bot.end(signal.SIGKILL)
        result.kills += 1
        result.unnoted.update(unnoted(bot.data))
        result.corrupt += corruption(bot.data)
    asking.cancel()
    result.starts.append(await bot.start())
    await quiet(api, asked)
    assert await bot.end(signal.SIGTERM) == 0, "SIGTERM did not end it cleanly"
    result.corrupt += corruption(bot.data)
    compare(api, asked, result)
    return result


async def quiet(api: BotApi, asked: dict[int, list[str]], patience: float = 120.0) -> None:
    """Wait until everything is answered, or nothing has moved for a while (counted in looks: a paused machine is no loss)."""
    total, last, idle = sum(map(len, asked.values())), -1, 0
    while idle < patience * 4:
        found = len({word for _, _, text in api.sent for word in words(text)})
        if found >= total:
            await asyncio.sleep(1)
            return
        idle = idle + 1 if found == last else 0
        last = found
        await asyncio.sleep(0.25)


def words(text: str) -> list[str]:
    return [part.strip("/.,") for part in text.split() if part.startswith("/q")]


def compare(api: BotApi, asked: dict[int, list[str]], result: Result) -> None:
    """Every question answered, once (a kill may repeat one message), in the order of asking."""
    result.asked = sum(map(len, asked.values()))
    for person_id, questions in asked.items():
        answers = [(word, at) for at, chat, text in api.sent if chat == person_id for word in words(text)]
        times: dict[str, list[float]] = {}
        for word, at in answers:
            times.setdefault(word, []).append(at)
        result.lost += [word for word in questions if word not in times]
        result.disorder += [] if list(times) == [word for word in questions if word in times] else [str(person_id)]
        for word, deliveries in times.items():
            result.repeated += len(deliveries) - 1
            result.doubled += [word] * max(0, len(deliveries) - 1 - result.unnoted[word])
    result.violations = api.violations[:5]


def unnoted(data: Path) -> set[str]:
    """Questions whose answers the database holds as not delivered at this moment: only those may be sent again."""
    with contextlib.closing(sqlite3.connect(data / "coach.db")) as connection:
        rows = connection.execute("SELECT reply FROM outbox WHERE state = 'waiting'").fetchall()
    return {word for (reply,) in rows for word in re.findall(r"/(q\d+x\d+)", reply)}


def corruption(data: Path) -> list[str]:
    with sqlite3.connect(data / "coach.db") as connection:
        found = connection.execute("PRAGMA integrity_check").fetchone()[0]
    connection.close()
    return [] if found == "ok" else [found]


def report(result: Result, chats: int, seconds: float, *, whole: bool) -> str:
    starts = sorted(result.starts)
    what = "`coach telegram`" if whole else "the Telegram bot without playbook and search, which starts sooner"
    return f"""# Crash test: kill -9 at random instants

`make crash` on {time.strftime("%Y-%m-%d")}: {result.kills} × SIGKILL of {what} (SQLite, polling, against the strict
Bot API double in tests/bot_api.py) at a random instant of its life, under traffic from {chats} chats; {seconds / 60:.0f} minutes.
After the last kill one more start answers what is left.

| what | found |
|---|---|
| updates sent by people | {result.asked} |
| lost (never answered) | {len(result.lost)} |
| answered twice although the delivery had been noted | {len(result.doubled)} |
| messages repeated because a kill fell between delivery and its note | {result.repeated} |
| chats whose answers came out of order | {len(result.disorder)} |
| corrupt databases (PRAGMA integrity_check after every kill) | {len(result.corrupt)} |
| calls that break the Bot API schema | {len(result.violations)} |
| start until `ready`: median, slowest | {starts[len(starts) // 2]:.1f} s, {starts[-1]:.1f} s |

sendMessage has no idempotency key, so exactly-once is impossible: a message whose delivery was not noted before the
kill is sent again: at most one a chat, at most four in all ({result.repeated / max(1, result.kills):.2f} a kill here).
"""


async def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--chats", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--data", type=Path, required=True, help="a data directory to work in")
    parser.add_argument("--whole", action="store_true", help="with playbook and search (a start takes far longer)")
    parser.add_argument("--report", type=Path)
    options = parser.parse_args()
    options.data.mkdir(parents=True, exist_ok=True)
    begun = time.monotonic()
    async with BotApi().serving() as api:
        bot = Bot(api, options.data.resolve(), whole=options.whole)
        print(f"first start: {await bot.start():.0f} s", flush=True)
        await bot.end(signal.SIGTERM)
        result = await storm(api, bot, options.kills, options.chats, options.seed)
    text = report(result, options.chats, time.monotonic() - begun, whole=options.whole)
    print(text, result.lost[:5], result.doubled[:5], result.disorder[:5], result.violations)
    if options.report and result.clean:
        options.report.parent.mkdir(parents=True, exist_ok=True)
        options.report.write_text(text, encoding="utf-8")
    return 0 if result.clean else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
