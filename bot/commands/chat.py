"""`coach chat`: talk to the coach in this terminal."""

from __future__ import annotations

import argparse
import contextlib
import locale
import os

from bot.commands import settings_of
from bot.people import Person, Role
from bot.phrases import say
from bot.ports import App
from bot.turns import Language


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--as", dest="name", default="local", metavar="NAME", help="act as this person")
    parser.add_argument("--role", choices=[role.value for role in Role], help="with this role only")


async def run(options: argparse.Namespace) -> int:
    from rich.console import Console

    from bot.frontends.terminal_chat import Terminal, converse, read_from_keyboard

    settings = settings_of(options)
    roles = frozenset({Role(options.role)}) if options.role else frozenset(Role)
    name = options.name
    person = Person(id=f"local:{name}", roles=roles, name=name, chat=f"terminal:{name}")
    terminal = Terminal(person, Console(highlight=False), _system_language(settings.language))
    terminal.console.print(say(terminal.language, "terminal.welcome"), style="bold")
    async with contextlib.AsyncExitStack() as stack:

        async def open_later() -> App:
            from bot.app import open_app

            app = await stack.enter_async_context(open_app(settings, purpose="coach chat"))
            if await app.store.person(person.id) is None:
                await app.store.welcome(person, app.clock())
            return app

        await converse(open_later(), terminal, read_from_keyboard)
    return 0


def _system_language(configured: str | None) -> Language:
    if configured in ("zh", "en"):
        return configured  # type: ignore[return-value]
    name = os.environ.get("LC_ALL") or os.environ.get("LANG") or (locale.getlocale()[0] or "")
    return "en" if name.lower().startswith("en") else "zh"
