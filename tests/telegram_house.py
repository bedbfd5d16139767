"""The bot on the test double, in one event loop: for tests that are played through Telegram."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from bot_api import TOKEN, BotApi
from pydantic import SecretStr

from bot.app import open_app
from bot.commands.telegram import mail_of, serve_telegram
from bot.frontends.telegram_chat import TelegramChat, open_bot
from bot.ports import App
from bot.settings import Settings


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def telegram_settings(settings: Settings, api: BotApi, **more: Any) -> Settings:
    values = {
        "telegram_token": SecretStr(TOKEN), "telegram_base_url": api.base_url, "telegram_base_file_url": api.file_url,
        "messages_per_minute": 1000, **more,
    }  # fmt: skip
    return settings.model_copy(update=values)


def with_webhook() -> dict[str, Any]:
    port = free_port()
    return {"telegram_webhook_url": f"http://127.0.0.1:{port}/hook", "listen": f"127.0.0.1:{port}"}


@contextlib.asynccontextmanager
async def running(app: App, api: BotApi, **more: Any) -> AsyncIterator[TelegramChat]:
    """The bot, receiving updates; stopped cleanly at the end. A failure of the bot fails the test."""
    settings = telegram_settings(app.settings, api, **more)
    app = replace(app, settings=settings)
    chat = TelegramChat(app, mail_of(app), open_bot(settings))
    chat.mailbox.scan_every = 0.1
    ready = asyncio.Event()
    task = asyncio.create_task(serve_telegram(app, chat, settings, ready.set))
    waiting = asyncio.create_task(ready.wait())
    await asyncio.wait({task, waiting}, timeout=15, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if task.done():
        task.result()
    assert ready.is_set()
    try:
        yield chat
    finally:
        chat.stopping.set()
        await task


@contextlib.asynccontextmanager
async def empty_house(folder: Path, **more: Any) -> AsyncIterator[App]:
    """An app without playbook and search: for everything that is not advice."""
    settings = Settings(data_dir=folder, _env_file=None, **more)  # type: ignore[call-arg]
    async with open_app(settings, playbook=False, retrieval=False, model=False, seed=1) as app:
        yield app
