"""`coach telegram`: run the Telegram bot in the foreground, by polling or behind a webhook."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import signal
import sys
from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.parse import urlsplit

from bot import reminders
from bot.commands import ProgressLine, settings_of
from bot.errors import SetupProblem
from bot.frontends.telegram_chat import TelegramChat, open_bot, webhook_secret
from bot.mailbox import LEASE
from bot.membership import CLAIM_DAYS, invitation, listed
from bot.people import Role
from bot.ports import App
from bot.privacy import sweep
from bot.settings import Settings
from bot.store import SqlStore
from bot.store.mail import Mail
from bot.turns import Incoming

log = logging.getLogger("bot.telegram")
SWEEP_EVERY = 3600.0
SERVES = True  # many people at once: a quicker event loop pays


def configure(parser: argparse.ArgumentParser) -> None:
    parser.epilog = "Settings: COACH_TELEGRAM_TOKEN and the other COACH_TELEGRAM_* in .env.example."


async def run(options: argparse.Namespace) -> int:
    from bot.app import open_app

    settings = settings_of(options)
    quiet_libraries(settings.log_level, verbose=options.verbose)
    bot = open_bot(settings)
    async with open_app(settings, progress=ProgressLine(), purpose="coach telegram") as app:
        chat = TelegramChat(app, mail_of(app), bot)
        stop_on_signals(chat)
        await serve_telegram(app, chat, settings)
    return 0


def mail_of(app: App) -> Mail:
    assert isinstance(app.store, SqlStore)
    return Mail(app.store.engine, "tg:")


def quiet_libraries(level: str, *, verbose: bool = False) -> None:
    """Our own log at the configured level. httpx would write the token (it is part of every address): never below warning."""
    logging.getLogger("bot").setLevel(logging.DEBUG if verbose else level.upper())
    for name in ("httpx", "httpcore", "telegram", "uvicorn.access", "aiosqlite", "asyncio"):
        logging.getLogger(name).setLevel(logging.WARNING)


def stop_on_signals(chat: TelegramChat) -> None:
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, chat.stopping.set)


def ready() -> None:
    print("ready", flush=True)
    log.info("receiving updates")


async def serve_telegram(app: App, chat: TelegramChat, settings: Settings, ready: Callable[[], None] = ready) -> None:
    """Run until stopped: mailbox, clean-up, and updates by polling or webhook. `ready` is called when updates come in."""
    tasks: list[asyncio.Task[Any]] = []
    try:
        await chat.connect()
        if chat.stopping.is_set():
            return
        await offer_claim(app, chat.bot.username)
        await chat.introduce()
        tasks += [asyncio.create_task(chat.mailbox.run()), asyncio.create_task(_sweeping(app)), asyncio.create_task(reminders.run(app))]
        if settings.telegram_webhook_url:
            async with listening(chat, settings):
                ready()
                await chat.stopping.wait()
        else:
            await one_poller(chat)
            await chat.poll(ready)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await chat.close()
        await chat.mail.release("poller", chat.mailbox.name)


async def one_poller(chat: TelegramChat) -> None:
    """On a shared database: only one replica may poll. (On SQLite the data directory's lock says so already.)"""
    held = await chat.mail.hold("poller", chat.mailbox.name, chat.app.clock(), LEASE)
    chat.mailbox.holds.add("poller")
    if not held:
        raise SetupProblem(
            "Another process polls for this bot on the same database. Stop it and wait two minutes, "
            "or set COACH_TELEGRAM_WEBHOOK_URL to run several side by side."
        )


@contextlib.asynccontextmanager
async def listening(chat: TelegramChat, settings: Settings) -> AsyncIterator[None]:
    """Our webhook endpoint on COACH_LISTEN, registered with Telegram."""
    import uvicorn

    from bot.frontends.webhook import webhook

    url = settings.telegram_webhook_url or ""
    secret = webhook_secret(settings)
    host, _, port = settings.listen.rpartition(":")
    app = webhook(urlsplit(url).path or "/", secret, chat.receive)
    config = uvicorn.Config(app, host=host, port=int(port), log_config=None, access_log=False, lifespan="off")
    server = uvicorn.Server(config)
    server.capture_signals = contextlib.nullcontext  # type: ignore[assignment,method-assign] # signals are ours
    task = asyncio.create_task(server.serve())
    while not server.started:
        if task.done():
            raise SetupProblem(f"COACH_LISTEN={settings.listen} cannot be listened on. Is the port in use?")
        await asyncio.sleep(0.02)
    try:
        await chat.hook(url, secret)
        yield
    finally:
        server.should_exit = True
        await task


async def _sweeping(app: App) -> None:
    """Retention, once an hour."""
    while True:
        try:
            await sweep(app)
        except Exception:
            log.exception("clean-up failed; it is tried again in an hour")
        await asyncio.sleep(SWEEP_EVERY)


async def offer_claim(app: App, username: str) -> None:
    """Without any admin, print a one-time link that makes its opener one. Older unused links end."""
    if app.settings.admin_ids:
        return
    rows = await app.store.rows("SELECT roles FROM persons WHERE active AND id LIKE 'tg:%'")
    if any(Role.ADMIN in listed(row["roles"]) for row in rows):
        return
    print(f"coach: nobody is admin yet. Open this link once, within {CLAIM_DAYS} days:\n  {await claim_link(app, username)}", file=sys.stderr, flush=True)


async def claim_link(app: App, username: str) -> str:
    """A fresh claim link; the ones before stop working."""
    from sqlalchemy import update

    from bot.store import tables as t
    from bot.store.people import write_invitation

    assert isinstance(app.store, SqlStore)
    code, record = invitation([Role.ADMIN, Role.TRAINER, Role.REP], app.clock(), days=CLAIM_DAYS, by="")
    nobody = Incoming("claim", "", "", app.clock())
    async with app.store.engine.begin() as connection:
        await connection.execute(update(t.invitations).where(t.invitations.c.person == "").values(revoked=True))
        await write_invitation(connection, nobody, record.data)
    return f"https://t.me/{username}?start={code}"
