"""`coach people`: who may use the bot – list, invite, change roles, remove, and replace a lost admin."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime

from bot.commands import settings_of
from bot.errors import CannotHelp, SetupProblem
from bot.membership import CLAIM_DAYS, INVITATION_DAYS, invitation, listed
from bot.people import Role
from bot.phrases import say
from bot.settings import Settings
from bot.store import SqlStore
from bot.store.database import open_engine
from bot.store.people import write_invitation, write_roles
from bot.turns import Incoming


def configure(parser: argparse.ArgumentParser) -> None:
    parser.epilog = "Works while the bot is running. Changes take effect with the person's next message."
    actions = parser.add_subparsers(dest="action", metavar="ACTION")
    actions.add_parser("list", help="everybody with roles and team (default)")
    new = actions.add_parser("invite", help="print an invitation code")
    new.add_argument("roles", nargs="+", choices=[role.value for role in Role])
    new.add_argument("--team", default="")
    new.add_argument("--days", type=int, default=INVITATION_DAYS)
    new.add_argument("--uses", type=int, default=1)
    actions.add_parser("claim", help="a one-time code that makes its user an admin (a lost admin is replaced this way)")
    roles = actions.add_parser("roles", help="set somebody's roles")
    roles.add_argument("person", help="id as listed, e.g. tg:12345")
    roles.add_argument("roles", nargs="+", choices=[role.value for role in Role])
    out = actions.add_parser("remove", help="somebody has left")
    out.add_argument("person")


async def run(options: argparse.Namespace) -> int:
    async with open_store(settings_of(options)) as store:
        match options.action:
            case "invite":
                await _invite(store, options.roles, options.team, options.days, options.uses)
            case "claim":
                await _invite(store, ["admin", "trainer", "rep"], "", CLAIM_DAYS, 1)
            case "roles":
                await _change(store, options.person, roles=sorted(set(options.roles)), active=True)
            case "remove":
                await _change(store, options.person, active=False)
            case _:
                await _list(store)
    return 0


@contextlib.asynccontextmanager
async def open_store(settings: Settings) -> AsyncIterator[SqlStore]:
    """The database only, without owning the data directory: short writes beside a running bot are safe."""
    if not settings.data_dir.exists() and not settings.database_url:
        raise SetupProblem(f"There is no data directory {settings.data_dir}. Start the bot once, or name the right one with --data.")
    url = settings.database_url.get_secret_value() if settings.database_url else None
    engine = await open_engine(url, settings.data_dir)
    try:
        yield SqlStore(engine)
    finally:
        await engine.dispose()


def _here() -> Incoming:
    return Incoming("command line", "", "command line", datetime.now(UTC))


async def _list(store: SqlStore) -> None:
    for row in await store.rows("SELECT id, name, roles, team, active FROM persons ORDER BY active DESC, name"):
        state = "" if row["active"] else "  (has left)"
        print(f"{row['id']}\t{row['name']}\t{','.join(listed(row['roles']))}\t{row['team']}{state}")


async def _invite(store: SqlStore, roles: list[str], team: str, days: int, uses: int) -> None:
    code, record = invitation(roles, datetime.now(UTC), team=team, days=days, uses=uses)
    async with store.engine.begin() as connection:
        await write_invitation(connection, _here(), record.data)
    print(f"Valid for {days} days, {uses} use(s). In Telegram, send to the bot:\n/start {code}\nor open https://t.me/<name of your bot>?start={code}")


async def _change(store: SqlStore, person: str, **changed: object) -> None:
    if await store.person(person) is None:
        raise SetupProblem(f"There is no person {person!r}. `coach people` lists the ids.")
    try:
        async with store.engine.begin() as connection:
            await write_roles(connection, _here(), {"person": person, **changed})
    except CannotHelp as error:
        raise SetupProblem(say("en", error.phrase, **error.values)) from None
    print(f"{person}: " + ", ".join(f"{key} = {value}" for key, value in changed.items()))
