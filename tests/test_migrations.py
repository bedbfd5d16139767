"""An update widens the database while the program before it goes on answering; a start on a newer database is refused."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest
import sqlalchemy as sa

from bot.app import open_app
from bot.conversation import serve
from bot.errors import SetupProblem
from bot.people import Person, Role
from bot.settings import Settings
from bot.store import database
from bot.turns import Incoming

LATER = '''
"""what a later release adds: a column with a default, an index, a table"""

import sqlalchemy as sa
from alembic import op

revision = "9998"
down_revision = "{before}"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("turns", sa.Column("mood", sa.String(20), server_default="", nullable=False))
    op.add_column("persons", sa.Column("badge", sa.Text(), nullable=True))
    op.create_index("turns_by_mood", "turns", ["mood"])
    op.create_table("moods", sa.Column("id", sa.Integer(), primary_key=True), sa.Column("turn", sa.Integer(), sa.ForeignKey("turns.id")))
'''


@pytest.fixture
def later(tmp_path: Path) -> Path:
    """The migrations of the next release."""
    folder = tmp_path / "migrations"
    shutil.copytree(database.MIGRATIONS, folder, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "versions" / "9998_later.py").write_text(LATER.format(before=database.head_revision()))
    return folder


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_turns_go_on_in_the_old_program_while_the_database_is_widened(
    kind: str, later: Path, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = None
    if kind == "postgresql":
        import psycopg

        server = request.getfixturevalue("postgres")
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute("CREATE DATABASE widened")
        url = server.replace("/postgres?", "/widened?")
    settings = Settings(data_dir=tmp_path / "data", database_url=url, _env_file=None)  # type: ignore[call-arg]
    people = [Person(f"t:{n}", frozenset({Role.REP}), f"P{n}", chat=f"c{n}", language="en") for n in range(4)]
    widened = asyncio.Event()

    async with open_app(settings, playbook=False, retrieval=False, model=False, seed=1) as old:

        async def goes_on(person: Person) -> int:
            """Turns before, during and after; those after the migration are counted, too."""
            await old.store.welcome(person, old.clock())
            after = number = 0
            while after < 8:
                after += widened.is_set()
                command = ("settings", "history", "help")[number % 3]
                await serve(old, person, Incoming(f"{person.id}-{number}", person.chat, person.id, old.clock(), command=command))
                number += 1
            return number

        async def update() -> None:
            await asyncio.sleep(0.2)
            monkeypatch.setattr(database, "MIGRATIONS", later)
            engine = await database.open_engine(url, settings.data_dir)  # what `coach migrate` of the next release does
            await engine.dispose()
            widened.set()

        *counts, _ = await asyncio.gather(*map(goes_on, people), update())
        asked = sum(counts)
        kept = await old.store.rows("SELECT incoming, mood FROM turns")
        assert len(kept) == len({row["incoming"] for row in kept}) == asked > 40
        assert {row["mood"] for row in kept} == {""}
    async with open_app(settings, playbook=False, retrieval=False, model=False, seed=1) as new:  # the next release starts on it
        assert len(await new.store.rows("SELECT id FROM turns")) == asked
    monkeypatch.undo()
    with pytest.raises(SetupProblem, match=r"schema 9998, this program knows .*Update the program"):
        async with open_app(settings, playbook=False, retrieval=False):
            pass


async def test_migrations_only_widen(tmp_path: Path) -> None:
    """Expand, then contract a release later: a migration that takes something away names the release that stopped using it."""
    for path in sorted((database.MIGRATIONS / "versions").glob("[0-9]*.py")):
        text = path.read_text(encoding="utf-8").split("def downgrade")[0]
        taking = [word for word in ("drop_column", "drop_table", "alter_column", "rename_table", "drop_constraint") if f".{word}(" in text]
        assert not taking or "unused since" in text, f"{path.name} takes something away ({', '.join(taking)}): see docs/operations.md, Updating"


def test_every_migration_follows_the_one_before() -> None:
    engine = sa.create_engine("sqlite://")
    with engine.begin() as connection:
        database._migrate(connection)
        assert connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar() == database.head_revision()
    engine.dispose()
