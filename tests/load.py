"""30 questions a second for two minutes: how long do people wait, does memory grow? (`make load`)

In the same run, on the same double, a minimal python-telegram-bot echo bot says what the platform's library costs.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import signal
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from bot_api import TOKEN, BotApi
from crash import Bot

QUESTIONS = (
    "设备部说这事归采购，采购又让我找设备部，没人牵头", "客户说我们比别家贵百分之十五，要再降点", "采购经理一直拖着不签合同",
    "总工支持竞争对手，怎么办", "见不到高层，秘书总说在开会", "他们上次项目延期对我们不信任", "招标参数像是给别人写的",
    "Purchasing sends me to engineering and back again", "The buyer wants a discount by Friday or goes elsewhere",
    "The plant manager likes us but finance will not sign", "They do not answer my emails after the demo",
    "A competitor promised delivery in two weeks",
)  # fmt: skip
ECHO = """
import os, sys
from telegram.ext import ApplicationBuilder, MessageHandler, filters
async def echo(update, context):
    await update.message.reply_text(update.message.text)
async def ready(app):
    print("ready", flush=True)
base = os.environ["COACH_TELEGRAM_BASE_URL"]
app = ApplicationBuilder().token(os.environ["COACH_TELEGRAM_TOKEN"]).base_url(base).concurrent_updates(True).post_init(ready).build()
app.add_handler(MessageHandler(filters.ALL, echo))
app.run_polling()
"""


@dataclass
class Measured:
    """Waiting times in seconds, resident memory in MB over time, CPU seconds of the bot."""

    waits: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)
    cpu: float = 0.0
    asked: int = 0
    unanswered: int = 0

    def percentile(self, share: float) -> float:
        return 1000 * sorted(self.waits)[min(len(self.waits) - 1, int(share * len(self.waits)))]


async def measure(api: BotApi, process: int, rate: float, seconds: float, chats: int, seed: int = 1) -> Measured:
    """Questions at a steady rate from many chats; the wait is from the person's send to the bot's message."""
    chance, found = random.Random(seed), Measured()
    people = list(api.people.values())[:chats]
    asked: dict[int, list[float]] = {person.id: [] for person in people}
    begun = time.monotonic()
    sent_before = len(api.sent)
    cpu = cpu_seconds(process)
    while (elapsed := time.monotonic() - begun) < seconds:
        person = people[found.asked % len(people)]
        asked[person.id].append(time.monotonic())
        person.says(f"{chance.choice(QUESTIONS)} ({chance.randrange(1_000_000)})")  # never the same text twice: nothing is remembered
        found.asked += 1
        if found.asked % 30 == 0:
            found.memory.append(resident(process))
        await asyncio.sleep(max(0.0, found.asked / rate - elapsed))
    await settled(api, sent_before + found.asked)
    found.cpu = cpu_seconds(process) - cpu
    for at, chat, _ in api.sent[sent_before:]:
        if asked.get(chat):
            found.waits.append(at - asked[chat].pop(0))
    found.unanswered = sum(map(len, asked.values()))
    return found


async def settled(api: BotApi, total: int, patience: float = 30.0) -> None:
    for _ in range(int(patience * 10)):
        if len(api.sent) >= total:
            return
        await asyncio.sleep(0.1)


def resident(process: int) -> float:
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def cpu_seconds(process: int) -> float:
    parts = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(parts[11]) + int(parts[12])) / os.sysconf("SC_CLK_TCK")


async def ours(data: Path, rate: float, seconds: float, chats: int) -> Measured:
    async with BotApi().serving() as api:
        api.log_calls = False
        people = [api.person(number, f"P{number}", "zh-hans") for number in range(1, chats + 1)]
        bot = Bot(api, data, whole=True)
        await bot.start()
        assert bot.process is not None
        for person in people:  # menus and the admins' entries are made on the first message
            person.says("/start")
        await settled(api, chats, 120)
        found = await measure(api, bot.process.pid, rate, seconds, chats)
        await bot.end(signal.SIGTERM)
        assert not api.violations, api.violations[:3]
    return found


async def echo(data: Path, rate: float, seconds: float, chats: int) -> Measured:
    async with BotApi().serving() as api:
        api.log_calls = False
        for number in range(1, chats + 1):
            api.person(number, f"P{number}", "zh-hans")
        env = os.environ | {"COACH_TELEGRAM_TOKEN": TOKEN, "COACH_TELEGRAM_BASE_URL": api.base_url}
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", ECHO, env=env, cwd=data, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
        )
        assert process.stdout is not None
        await process.stdout.readline()
        found = await measure(api, process.pid, rate, seconds, chats)
        process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(process.wait(), 30)
    return found


def report(coach: Measured, bare: Measured, rate: float, seconds: float, chats: int) -> str:
    def row(name: str, of: Measured) -> str:
        first, last = of.memory[len(of.memory) // 4], of.memory[-1]
        return (
            f"| {name} | {of.asked} | {of.unanswered} | {of.percentile(0.5):.0f} | {of.percentile(0.95):.0f} | {of.percentile(0.99):.0f} "
            f"| {1000 * of.cpu / of.asked:.1f} | {first:.0f} → {last:.0f} |"
        )

    load = Path("/proc/loadavg").read_text().split()[0]
    return f"""# Load test

`make load` on {time.strftime("%Y-%m-%d")}: {rate:g} questions a second for {seconds:g} s from {chats} chats, {os.cpu_count()} cores shared with the
test double, without a language model, SQLite with full durability. Waiting time is from the person's send to the bot's
message, in milliseconds. Machine load average at the end: {load}.

| bot | asked | unanswered | p50 | p95 | p99 | CPU ms each | memory MB, after a quarter → at the end |
|---|---|---|---|---|---|---|---|
{row("coach telegram", coach)}
{row("python-telegram-bot echo (in memory, loses its queue in a crash)", bare)}
"""


async def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=30)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--chats", type=int, default=200)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--report", type=Path)
    options = parser.parse_args()
    options.data.mkdir(parents=True, exist_ok=True)
    coach = await ours(options.data.resolve(), options.rate, options.seconds, options.chats)
    bare = await echo(options.data.resolve(), options.rate, options.seconds, options.chats)
    text = report(coach, bare, options.rate, options.seconds, options.chats)
    print(text)
    if options.report:
        options.report.write_text(text, encoding="utf-8")
    return 0 if coach.percentile(0.95) < 300 and not coach.unanswered else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
