"""Hours of steady traffic: do memory and open files grow? (`make soak`; ARGS="--minutes 20")

One `coach telegram` with SQLite by polling, against the Bot API double. Memory, handles and threads are sampled every
ten seconds; the slope over the second half is given with its 95 % interval, from a regression whose errors may depend on the ones before.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import os
import random
import signal
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from bot_api import BotApi
from crash import Bot
from load import QUESTIONS, resident, settled

EVERY = 10.0  # seconds between two samples
COMMANDS = ("/help", "/topics", "/history", "/privacy", "/settings", "/progress")


@dataclass
class Sample:
    """What a process holds at a moment (seconds from the start)."""

    at: float
    memory: float  # MB
    handles: int
    threads: int


@dataclass
class Soaked:
    samples: list[Sample] = field(default_factory=list)
    asked: int = 0
    answered: int = 0
    violations: int = 0


def sample(process: int, begun: float) -> Sample:
    folder = Path(f"/proc/{process}")
    handles, threads = len(list((folder / "fd").iterdir())), len(list((folder / "task").iterdir()))
    return Sample(time.monotonic() - begun, resident(process), handles, threads)


def slope(samples: list[Sample], what: str) -> tuple[float, float]:
    """Growth an hour over the second half, and the half-width of its 95 % interval (lag-1 dependence counted in)."""
    half = [item for item in samples if item.at >= samples[-1].at / 2]
    x = np.array([item.at / 3600 for item in half])
    y = np.array([getattr(item, what) for item in half], float)
    if len(half) < 5:
        return float("nan"), float("nan")
    x = x - x.mean()
    grade = float((x * y).sum() / (x * x).sum())
    rest = y - y.mean() - grade * x
    deviation = math.sqrt(float((rest * rest).sum()) / (len(half) - 2) / float((x * x).sum()))
    likeness = float((rest[1:] * rest[:-1]).sum() / max(1e-12, float((rest * rest).sum())))
    likeness = min(0.95, max(0.0, likeness))
    return grade, 1.96 * deviation * math.sqrt((1 + likeness) / (1 - likeness))


async def soak(data: Path, minutes: float, rate: float, chats: int, seed: int = 1) -> Soaked:
    """Questions, commands and small talk at a steady rate."""
    chance, found = random.Random(seed), Soaked()
    async with BotApi().serving() as api:
        api.log_calls = False
        people = [api.person(number, f"P{number}", "zh-hans") for number in range(1, chats + 1)]
        bot = Bot(api, data, whole=True)
        await bot.start()
        assert bot.process is not None
        begun = next_sample = time.monotonic()
        while (elapsed := time.monotonic() - begun) < minutes * 60:
            person = people[found.asked % chats]
            text = chance.choice(COMMANDS) if chance.random() < 0.2 else f"{chance.choice(QUESTIONS)} ({chance.randrange(10**6)})"
            person.says(text)
            found.asked += 1
            if time.monotonic() >= next_sample:
                found.samples.append(sample(bot.process.pid, begun))
                next_sample += EVERY
            if found.asked % 500 == 0:
                _forget_old(api)
            await asyncio.sleep(max(0.0, found.asked / rate - elapsed))
        await settled(api, found.asked, 60)
        found.samples.append(sample(bot.process.pid, begun))
        found.answered, found.violations = len(api.sent), len(api.violations)
        assert await bot.end(signal.SIGTERM) == 0
    return found


def _forget_old(api: BotApi) -> None:
    """The double keeps every message; hours of them would fill the machine, not the bot."""
    for chat in api.chats.values():
        for number in list(chat.messages)[:-20]:
            del chat.messages[number]


def report(found: Soaked, minutes: float, rate: float) -> str:
    first, last = found.samples[len(found.samples) // 2], found.samples[-1]
    rows = []
    for what, unit in (("memory", "MB"), ("handles", "open files"), ("threads", "threads")):
        grade, width = slope(found.samples, what)
        rows.append(f"| {unit} | {getattr(found.samples[0], what):.0f} | {getattr(first, what):.0f} | {getattr(last, what):.0f} | {grade:+.1f} ± {width:.1f} |")
    table = "\n".join(rows)
    return f"""# Soak test: steady traffic

`make soak` on {time.strftime("%Y-%m-%d")}: {rate:g} messages a second for {minutes:g} minutes ({found.asked} asked, {found.answered} messages sent, {found.violations} against
the Bot API's schema), one `coach telegram`, SQLite, no language model, {os.cpu_count()} cores shared with the test double. Sampled every {EVERY:.0f} s.

| | at the start | half-way | at the end | growth an hour over the second half, with 95 % interval |
|---|---|---|---|---|
{table}
"""


async def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--rate", type=float, default=10)
    parser.add_argument("--chats", type=int, default=100)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--report", type=Path)
    options = parser.parse_args()
    options.data.mkdir(parents=True, exist_ok=True)
    found = await soak(options.data.resolve(), options.minutes, options.rate, options.chats)
    text = report(found, options.minutes, options.rate)
    print(text)
    if options.report:
        options.report.write_text(text, encoding="utf-8")
    return 0 if found.answered >= found.asked and not found.violations else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
