"""Killed, stopped and started again: nothing is lost, doubled or out of order. (`make crash` does it 200 times.)"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from bot_api import BotApi
from crash import Bot, Result, compare, corruption, quiet, storm


@pytest.fixture
async def api() -> AsyncIterator[BotApi]:
    async with BotApi().serving() as api:
        yield api


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


async def test_kills_at_random_instants_lose_and_double_nothing(api: BotApi, folder: Path) -> None:
    result = await storm(api, Bot(api, folder), kills=4, chats=8, seed=5, life=1.0)
    assert result.clean, result
    assert result.asked > 20 and result.kills == 4


async def test_sigterm_with_a_full_queue_ends_soon_and_the_rest_is_answered_later(api: BotApi, folder: Path) -> None:
    people = [api.person(number, f"P{number}", "en") for number in range(1, 11)]
    asked: dict[int, list[str]] = {person.id: [] for person in people}
    bot = Bot(api, folder)
    await bot.start()
    for number in range(15):
        for person in people:
            asked[person.id].append(f"q{person.id}x{number}")
            person.says(f"/q{person.id}x{number}")
    await asyncio.sleep(0.5)
    begun = asyncio.get_running_loop().time()
    assert await bot.end(signal.SIGTERM) == 0
    assert asyncio.get_running_loop().time() - begun < 12
    await bot.start()
    await quiet(api, asked)
    assert await bot.end(signal.SIGTERM) == 0
    result = Result()
    compare(api, asked, result)
    assert result.clean, result
    assert result.repeated == 0


async def test_a_kill_between_delivery_and_its_answer_repeats_that_one_message(api: BotApi, folder: Path) -> None:
    someone = api.person(1, "Anna", "en")
    bot = Bot(api, folder)
    await bot.start()
    api.fail("sendMessage", delay=5.0, contains="q1x1")
    someone.says("/q1x1")
    someone.says("/q1x2")
    for _ in range(500):  # until it is delivered, while its HTTP answer is held back
        await asyncio.sleep(0.02)
        if api.sent:
            break
    await bot.end(signal.SIGKILL)
    assert corruption(folder) == []
    await bot.start()
    await quiet(api, {1: ["q1x1", "q1x2"]})
    await bot.end(signal.SIGTERM)
    assert ["q1x1" in text for _, _, text in api.sent] == [True, True, False]


async def test_a_second_bot_on_the_same_data_is_told_what_to_do(api: BotApi, folder: Path) -> None:
    api.person(1)
    first, second = Bot(api, folder), Bot(api, folder)
    await first.start()
    with pytest.raises(AssertionError, match="in use by coach telegram"):
        await second.start()
    await second.end()
    assert await first.end(signal.SIGTERM) == 0
