"""`coach telegram`: run the Telegram bot in the foreground, by polling or behind a webhook."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import signal
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from bot import reminders
from bot.commands import ProgressLine, settings_of
from bot.errors import SetupProblem
from bot.frontends.telegram_chat import TelegramChat, open_bot, webhook_secret
from bot.logbook import open_logbook
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
KEEP_UP_EVERY = 5.0  # seconds until a version that another replica published is served here too
SERVES = True  # many people at once: a quicker event loop pays
SWITCH = 0.001  # seconds a thread may keep the interpreter: a database thread must not wait 5 ms for each of its steps


def configure(parser: argparse.ArgumentParser) -> None:
    parser.epilog = "Settings: COACH_TELEGRAM_TOKEN and the other COACH_TELEGRAM_* in .env.example."


async def run(options: argparse.Namespace) -> int:
    from bot.app import open_app

    settings = settings_of(options)
    open_logbook(settings.log_level, settings.log_format, verbose=options.verbose)
    bot = open_bot(settings)
    sys.setswitchinterval(SWITCH)
    async with open_app(settings, progress=ProgressLine(), purpose="coach telegram") as app:
        app = watched(app)
        chat = TelegramChat(app, mail_of(app), bot)
        stop_on_signals(chat)
        await serve_telegram(app, chat, settings)
    return 0


def mail_of(app: App) -> Mail:
    assert isinstance(app.store, SqlStore)
    return Mail(app.store.engine, "tg:")


def watched(app: App) -> App:
    """The app with its vitals counted, if there is an address where somebody may look at them."""
    if not (app.settings.status_listen or app.settings.telegram_webhook_url):
        return app
    from bot.vitals import Counters, Timed

    vitals = Counters()
    return replace(app, vitals=vitals, retriever=Timed(app.retriever, vitals) if app.retriever else app.retriever)


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
        log.info("at work", extra={"facts": {"worker": chat.mailbox.name, "shared": chat.mail.shared}})
        await offer_claim(app, chat.bot.username)
        await chat.introduce()
        tasks += [asyncio.create_task(chat.mailbox.run()), asyncio.create_task(_sweeping(app)), asyncio.create_task(chat.tidying()), asyncio.create_task(reminders.run(app))]
        if app.retriever is not None:
            tasks.append(asyncio.create_task(_keeping_up(app.retriever)))
        async with listening(chat, settings):
            if settings.telegram_webhook_url:
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
    held = await chat.mail.hold("poller", chat.mailbox.name, LEASE)
    chat.mailbox.holds.add("poller")
    if not held:
        raise SetupProblem(
            "Another process polls for this bot on the same database. Stop it and wait a minute, "
            "or set COACH_TELEGRAM_WEBHOOK_URL to run several side by side."
        )


@contextlib.asynccontextmanager
async def listening(chat: TelegramChat, settings: Settings) -> AsyncIterator[None]:
    """Our HTTP endpoints: status (on COACH_STATUS_LISTEN, else beside the webhook), and the webhook, registered with Telegram."""
    url = settings.telegram_webhook_url
    if not url and not settings.status_listen:
        yield
        return
    from bot.frontends.status import Status, serving
    from bot.frontends.webhook import webhook

    secret = webhook_secret(settings)
    status = Status(chat.app, chat.mail, chat.stopping).routes()
    async with contextlib.AsyncExitStack() as doors:
        if settings.status_listen:
            await doors.enter_async_context(serving(settings.status_listen, status))
        if url:
            hook = webhook(urlsplit(url).path or "/", secret, chat.receive)
            await doors.enter_async_context(serving(settings.listen, [hook] if settings.status_listen else [hook, *status]))
            await chat.hook(url, secret)
        yield


async def _keeping_up(views: Any) -> None:
    """Serve what other processes published, and mend an index that was away."""
    while True:
        await asyncio.sleep(KEEP_UP_EVERY)
        try:
            await views.keep_up()
        except Exception as error:
            log.warning("the playbook could not be looked at (%s); trying again", type(error).__name__)


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
