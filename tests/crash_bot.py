"""The Telegram bot as a process without playbook and search: what can crash and be resumed, and starts in a second or two."""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

from bot.app import open_app
from bot.commands.telegram import mail_of, serve_telegram, stop_on_signals
from bot.errors import SetupProblem
from bot.frontends.telegram_chat import TelegramChat, open_bot
from bot.logbook import open_logbook
from bot.settings import read_settings


async def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    settings = read_settings(parser.parse_args().data)
    open_logbook(settings.log_level, settings.log_format)
    try:
        async with open_app(settings, playbook=False, retrieval=False, model=False, purpose="coach telegram") as app:
            chat = TelegramChat(app, mail_of(app), open_bot(settings))
            stop_on_signals(chat)
            await serve_telegram(app, chat, settings)
    except SetupProblem as error:
        print(f"coach: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
