"""The demo's chat page shows what the bot sent, escaped, and lets people write, tap and vote."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator

import pytest
import telegram
from aiohttp import ClientSession, web
from bot_api import TOKEN, BotApi
from demo import application, marked

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture
async def api() -> AsyncIterator[BotApi]:
    async with BotApi().serving() as api:
        yield api


@pytest.fixture
async def page(api: BotApi) -> AsyncIterator[str]:
    runner = web.AppRunner(application(api), shutdown_timeout=0.2)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def test_what_a_person_does_on_the_page_reaches_the_bot(api: BotApi, page: str) -> None:
    api.person(2)
    async with ClientSession() as session, telegram.Bot(TOKEN, base_url=api.base_url) as bot:
        await session.post(f"{page}/act", json={"person": "2", "do": "say", "text": "hello"})
        keys = telegram.InlineKeyboardMarkup([[telegram.InlineKeyboardButton("Yes", callback_data="y")]])
        sent = await bot.send_message(2, "<b>Sure?</b>", parse_mode="HTML", reply_markup=keys)
        await session.post(f"{page}/act", json={"person": "2", "do": "tap", "message": sent.message_id, "data": "y"})
        await session.post(f"{page}/upload?person=2&name=a.md", data=b"# A")
        updates = await bot.get_updates()
        async with session.get(f"{page}/state?person=2") as answer:
            state = await answer.json()
    assert [bool(u.callback_query) for u in updates] == [False, True, False]
    assert updates[2].message and updates[2].message.document
    assert [m["html"] for m in state["messages"][:2]] == ["hello", "<b>Sure?</b>"]


def test_words_are_escaped_and_entities_shown() -> None:
    quote = {"type": "expandable_blockquote", "offset": 3, "length": 3}
    assert marked("😀 <i>", [quote]) == "😀 <details><summary>···</summary>&lt;i&gt;</details>"


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
async def test_the_page_works_in_a_browser(api: BotApi, page: str) -> None:
    someone = api.person(2)
    someone.says("a question <script>alert(1)</script>")
    assert CHROMIUM
    browser = await asyncio.create_subprocess_exec(
        CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=3000", "--dump-dom", f"{page}/?person=2",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    shown, _ = await asyncio.wait_for(browser.communicate(), 60)
    assert "a question &lt;script&gt;alert(1)" in shown.decode()
    assert "Rep 销售" in shown.decode()
