"""Names that people, archives and backups bring never become paths outside the folders they belong to."""

from __future__ import annotations

import json
import stat
import zipfile
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import odd_files
import pytest
from bot_api import BotApi
from telegram_house import empty_house, running, telegram_settings

from bot import desk
from bot.backups import forgotten_in_backup, read_manifest, write_backup
from bot.commands.telegram import mail_of
from bot.errors import CannotHelp, SetupProblem
from bot.frontends.telegram_chat import TelegramChat, open_bot
from bot.people import Person, Role
from bot.phrases import say
from bot.ports import App
from bot.store import SqlStore
from bot.store.database import open_engine
from bot.turns import Attachment, Incoming
from knowledge.cards import BUNDLED, parse_card
from knowledge.ingest import document_id
from knowledge.problems import ContentProblems
from knowledge.readers import kind_of
from knowledge.readers.archive import unpack
from knowledge.readers.refusals import Unreadable

NAMES = [
    "../../x.txt", "/etc/x.txt", "..\\..\\x.txt", "C:\\Windows\\x.txt", "C:x.txt", "\\\\host\\share\\x.txt", "x.txt\x00.pdf", "x.\x00", "..", ".", "",
    "~/x.txt", "%2e%2e%2fx.txt", "a/../../x.txt", "x.txt/..", "．．／x.txt", "x." + "t" * 400, "-rf", "CON", "x.txt\n/etc/passwd", "\u202etxt.x", "$(id).txt",
]  # fmt: skip
NOW = datetime(2026, 11, 24, tzinfo=UTC)


def everything_in(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[App]:
    async with empty_house(tmp_path / "house") as app:
        yield app


@pytest.fixture
async def api() -> AsyncIterator[BotApi]:
    async with BotApi().serving() as api:
        yield api


# -- uploads -------------------------------------------------------------------------------------------------


async def test_a_sent_file_is_stored_under_a_name_of_ours(house: App, api: BotApi, tmp_path: Path) -> None:
    chat = TelegramChat(house, mail_of(house), open_bot(telegram_settings(house.settings, api)))
    await chat.connect()
    before = everything_in(tmp_path)
    for name in NAMES:
        fetched = await chat.fetch(Attachment(name, 3, api.keep_file(name, b"abc")))
        stored = Path(str(fetched.path))
        assert stored.parent == house.data_dir / "uploads" and stored.read_bytes() == b"abc" and stored.stem.isalnum()
    await chat.close()
    new = everything_in(tmp_path) - before
    assert {path.parent for path in new if not path.name.startswith("coach.db")} == {house.data_dir / "uploads"}


async def test_only_the_terminal_may_name_a_file_on_this_machine(house: App, api: BotApi, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("Zebraklausel")
    await house.store.welcome(Person("tg:22", frozenset({Role.TRAINER}), "T", chat="tg:22", language="en"), NOW)
    trainer = api.person(22, "T", "en")
    async with running(house, api):
        for given in (str(tmp_path / "secret.txt"), "../secret.txt", "file://" + str(tmp_path / "secret.txt")):
            trainer.says(f"/upload {given}")
            assert await trainer.answer() == say("en", "desk.send_a_file")
    assert await house.store.rows("SELECT id FROM shelf_revisions") == []


@pytest.mark.parametrize("given", ["~nobody-here/x.txt", "a\x00b", "/dev/null", "/", "", "x" * 5000])
async def test_a_path_that_is_no_file_is_said_so_in_the_terminal(given: str, house: App) -> None:
    with pytest.raises(CannotHelp) as told:
        await desk._file(house, Incoming("1", "terminal:local", "local", NOW, given))
    assert told.value.phrase == "desk.no_such_file"


def test_a_documents_id_is_one_plain_word() -> None:
    for name in NAMES:
        assert document_id(name).removeprefix("doc-").replace("-", "").replace("\u202e", "").isalnum(), name
        assert len(document_id(name)) < 80


# -- archives ------------------------------------------------------------------------------------------------


def test_an_archives_members_stay_in_our_folder_and_links_are_left_out(tmp_path: Path) -> None:
    path, folder = tmp_path / "a.zip", tmp_path / "in" / "here"
    folder.mkdir(parents=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name in [*NAMES, "good.txt", "a/./b/../c.md"]:
            if name and "\x00" not in name:
                archive.writestr(name, odd_files.TEXT)
        link = zipfile.ZipInfo("link.txt")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
    raw = path.read_bytes().replace(b"good.txt", b"go\x00d.txt")  # zipfile itself would not write this name
    path.write_bytes(raw)
    before = everything_in(tmp_path)
    found = unpack(path, folder)
    assert len(found) >= 8
    assert all(file.parent == folder and not file.is_symlink() and file.read_text() == odd_files.TEXT for _, file in found)
    assert everything_in(tmp_path) - before == {file for _, file in found}
    for name, _ in found:
        assert ".." not in name.split("/") and not name.startswith("/") and "\x00" not in name and "link" not in name


def test_a_tar_is_refused_before_anything_of_it_is_opened(tmp_path: Path) -> None:
    import tarfile

    for mode, name in (("w", "a.tar"), ("w:gz", "a.tar.gz"), ("w", "a.txt")):
        with tarfile.open(tmp_path / name, mode) as archive:
            link = tarfile.TarInfo("x.txt")
            link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
            archive.addfile(link)
        with pytest.raises(Unreadable):
            from knowledge.readers import read

            list(read(tmp_path / name))


def test_a_link_named_on_the_command_line_is_read_as_what_it_leads_to(tmp_path: Path) -> None:
    (tmp_path / "real.txt").write_text(odd_files.TEXT)
    (tmp_path / "link.txt").symlink_to(tmp_path / "real.txt")
    assert kind_of(tmp_path / "link.txt") == "text"


# -- cards ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrong", ["../x", "/etc/x", "a/b", "a\\\\b", "C:x", "a.b", "a\\n", "a\\0", "..", "é", "A"])
def test_a_card_id_that_could_be_a_path_is_named_with_its_line(wrong: str) -> None:
    source = sorted(BUNDLED.glob("*.md"))[0]
    text = source.read_text(encoding="utf-8").replace(f"id: {source.stem}\n", f'id: "{wrong}"\n', 1)
    with pytest.raises(ContentProblems) as told:
        parse_card(text, "card.md")
    assert any(problem.line == 2 and "id" in problem.what for problem in told.value.problems)


# -- backups -------------------------------------------------------------------------------------------------


async def test_a_backup_with_foreign_members_or_a_made_up_manifest_writes_nothing_and_says_why(house: App, tmp_path: Path) -> None:
    good = tmp_path / "good.zip"
    assert isinstance(house.store, SqlStore)
    await write_backup(house.store.engine, good, NOW)
    with zipfile.ZipFile(good) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    manifest = json.loads(parts["manifest.json"])
    tables = manifest["tables"]
    odd = [
        [], None, 5, {}, manifest | {"tables": []}, manifest | {"tables": {"../../etc/passwd": {"rows": 0, "sha256": "x"}}}, manifest | {"tables": {"x\x00": 1}},
        manifest | {"more": 1}, manifest | {"tables": {key: value for key, value in tables.items() if key != "audit"}},
        manifest | {"tables": {**tables, "audit": {"rows": -1, "sha256": "x"}}}, manifest | {"tables": {**tables, "audit": 7}},
    ]  # fmt: skip
    before = everything_in(tmp_path)
    for made in odd:
        bad = tmp_path / "bad.zip"
        bad.write_bytes(odd_files.zipped(parts | {"manifest.json": json.dumps(made).encode()}))
        for look in (read_manifest, forgotten_in_backup):
            with pytest.raises(SetupProblem, match="bad.zip"):
                look(bad)
    extra = tmp_path / "extra.zip"
    extra.write_bytes(odd_files.zipped(parts | {"../../x.txt": b"x", "/abs.txt": b"x", "tables/../../y.jsonl": b"{}"}))
    read_manifest(extra)
    await restored(extra, tmp_path / "new")
    assert {path.name for path in everything_in(tmp_path) - before} <= {"bad.zip", "extra.zip", "coach.db", "coach.db-wal", "coach.db-shm"}


async def test_a_backups_row_that_is_no_row_of_ours_is_refused_by_table(house: App, tmp_path: Path) -> None:
    import hashlib

    good, bad = tmp_path / "good.zip", tmp_path / "bad.zip"
    assert isinstance(house.store, SqlStore)
    await write_backup(house.store.engine, good, NOW)
    with zipfile.ZipFile(good) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    for number, row in enumerate((b'{"id": 1, "what": "x", "no_such_column": 1}', b"[]", b"{", b'{"at": 5}', b'{"id": "1; DROP TABLE audit"}')):
        manifest = json.loads(parts["manifest.json"])
        manifest["tables"]["audit"] = {"rows": 1, "sha256": hashlib.sha256(row + b"\n").hexdigest()}
        bad.write_bytes(odd_files.zipped(parts | {"manifest.json": json.dumps(manifest).encode(), "tables/audit.jsonl": row + b"\n"}))
        with pytest.raises(SetupProblem, match="audit"):
            await restored(bad, tmp_path / f"new{number}")


async def restored(backup: Path, folder: Path) -> None:
    from bot.backups import restore_backup

    folder.mkdir()
    engine = await open_engine(None, folder)
    try:
        await restore_backup(engine, backup, (), NOW)
    finally:
        await engine.dispose()
