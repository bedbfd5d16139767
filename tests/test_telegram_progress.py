"""While an answer is being worked on, Telegram shows it: a note, the model's draft, and then only the answer."""

from __future__ import annotations

import asyncio
import itertools
import re
import shutil
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock

import pytest
import pytest_asyncio
from bot_api import BotApi
from telegram_house import running

from bot import rehearsal
from bot.app import open_app
from bot.chat_models import open_model
from bot.frontends import telegram_chat, telegram_progress
from bot.frontends.telegram_chat import TelegramChat
from bot.frontends.telegram_progress import Ongoing
from bot.people import Person, Role
from bot.phrases import say
from bot.ports import App
from bot.settings import Settings
from bot.turns import Language
from tests.fake_llm import Fault, serving
from tests.test_drafting import EN, good

pytestmark = pytest.mark.asyncio(loop_scope="module")
DRAFT = say("en", "telegram.draft", text="")
EVERY = 0.15
THOUSANDS = itertools.count(0, 1000)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(stocked: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[App]:
    folder = tmp_path_factory.mktemp("progress") / "data"
    shutil.copytree(stocked, folder)
    async with open_app(Settings(data_dir=folder, _env_file=None), seed=3) as app:  # type: ignore[call-arg]
        for number in range(21, 30):
            await app.store.welcome(Person(f"tg:{number}", frozenset({Role.TRAINER}), f"P{number}", chat=f"tg:{number}", language="en"), app.clock())
        yield app


@pytest_asyncio.fixture(loop_scope="module")
async def api() -> AsyncIterator[BotApi]:
    async with BotApi().serving() as api:
        api.update_id += next(THOUSANDS)  # one house sees all of them: no update comes twice
        yield api
        assert api.violations == []


@pytest.fixture
def slow(house: App, monkeypatch: pytest.MonkeyPatch) -> Iterator[App]:
    """The house with a model that dribbles its answer."""
    monkeypatch.setattr(telegram_progress.Ongoing.__init__, "__kwdefaults__", {"every": EVERY})
    with serving(lambda request: Fault(text=good(request), slow=0.05)) as fake:
        given = {"llm": "openai:fake", "llm_base_url": fake.url, "llm_timeout": 20.0, "llm_retries": 0}
        settings = house.settings.model_copy(update=given)
        yield replace(house, settings=settings, model=open_model(settings))


async def until(seen: Any) -> None:
    for _ in range(400):
        if seen():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("it never happened")


# -- drafts --------------------------------------------------------------------------------------------


async def test_a_models_draft_grows_and_the_checked_answer_takes_its_place(slow: App, api: BotApi) -> None:
    someone = api.person(21, "P21", "en")
    async with running(slow, api):
        someone.says(EN)
        await someone.answer()
    moments, texts = [at for at, _, _ in api.drafted], [text for _, _, text in api.drafted]
    assert len(texts) >= 2 and all(text.startswith(DRAFT.strip()) for text in texts)
    assert [len(text) for text in texts] == sorted(len(text) for text in texts)
    assert all(later - earlier >= EVERY * 0.9 for earlier, later in itertools.pairwise(moments))
    assert api.drafts == {} and not any(DRAFT.strip() in message["text"] for message in someone.sees())


async def test_a_server_without_drafts_has_one_message_edited_and_taken_away(slow: App, api: BotApi) -> None:
    someone = api.person(22, "P22", "en")
    refusing = api.fail("sendMessageDraft", status=404, times=9)
    async with running(slow, api):
        someone.says(EN)
        await until(lambda: any(name == "deleteMessage" for name, _ in api.calls))
        someone.read = 0
        assert DRAFT.strip() not in await someone.answer()
    names = [name for name, _ in api.calls]
    assert refusing.times == 8, "asked once, then never again"
    assert names.count("editMessageText") >= 1
    assert not any(DRAFT.strip() in message["text"] for message in someone.sees())


async def test_in_a_group_the_draft_is_a_message_that_goes_away(slow: App, api: BotApi) -> None:
    someone, group = api.person(23, "P23", "en"), api.group()
    async with running(slow, api):
        someone.says(f"@coach_test_bot {EN}", group)
        await until(lambda: any(name == "deleteMessage" for name, _ in api.calls))
        someone.read = 0
        assert DRAFT.strip() not in await someone.answer(chat=group)
    assert not any(name == "sendMessageDraft" for name, _ in api.calls)


@pytest.mark.parametrize("drafts", [True, False])
async def test_a_restart_in_the_middle_neither_loses_nor_doubles_the_answer(slow: App, api: BotApi, drafts: bool) -> None:
    someone = api.person(24 + drafts, "P", "en")
    async with running(slow, api) as chat:
        chat.drafts = drafts
        someone.says(EN)
        await until(lambda: api.drafted or someone.sees())
        await chat.mailbox.stop(grace=0.0)
    assert someone.sees() == []
    async with running(slow, api) as chat:
        await someone.answer()
        await chat.mailbox.idle()
        await asyncio.sleep(0.3)
    rows = await slow.store.rows("SELECT count(*) AS n FROM turns WHERE person = :p", p=f"tg:{24 + drafts}")
    assert rows[0]["n"] == 1
    answers = await slow.store.rows("SELECT message FROM outbox WHERE chat = :c", c=f"tg:{24 + drafts}")
    assert [row["message"].split() for row in answers] == [[str(message["message_id"]) for message in someone.sees()]]


async def killed(chat: TelegramChat, monkeypatch: pytest.MonkeyPatch) -> None:
    """As after kill -9: nothing is tidied up on the way out."""
    with monkeypatch.context() as patch:
        patch.setattr(telegram_chat._Board, "clear", AsyncMock())
        await chat.mailbox.stop(grace=0.0)


async def test_a_note_that_stands_in_a_group_after_a_kill_goes_on_and_goes_away(slow: App, api: BotApi, monkeypatch: pytest.MonkeyPatch) -> None:
    someone, group = api.person(29, "P29", "en"), api.group()
    async with running(slow, api) as chat:
        someone.says(f"@coach_test_bot {EN}", group)
        await until(lambda: someone.sees(group))
        (standing,) = someone.sees(group)
        await until(lambda: any(name == "editMessageText" for name, _ in api.calls))
        await killed(chat, monkeypatch)
    assert standing in someone.sees(group)
    api.calls.clear()
    async with running(slow, api) as chat:
        await until(lambda: standing not in someone.sees(group))
        await until(lambda: someone.sees(group))
        await chat.mailbox.idle()
    assert {given["message_id"] for name, given in api.calls if name == "editMessageText"} == {str(standing["message_id"])}
    assert not any(DRAFT.strip() in message["text"] for message in someone.sees(group))
    assert await slow.store.rows("SELECT * FROM outbox WHERE state = 'standing'") == []


@pytest.mark.parametrize("trouble", [{}, {"status": 502}])
async def test_a_note_left_beside_its_answer_is_taken_away_after_a_restart(slow: App, api: BotApi, monkeypatch: pytest.MonkeyPatch, trouble: dict[str, Any]) -> None:
    someone, group = api.person(29, "P29", "en"), api.group()
    async with running(slow, api) as chat:
        with monkeypatch.context() as patch:  # killed when the turn was kept and the note not yet taken away
            patch.setattr(telegram_chat._Board, "clear", AsyncMock())
            someone.says(f"@coach_test_bot {EN}", group)
            await until(lambda: len(someone.sees(group)) == 2)
            await chat.mailbox.idle()
    note, answer = someone.sees(group)
    if trouble:
        api.fail("deleteMessage", **trouble)
    monkeypatch.setattr(telegram_chat, "TIDY_EVERY", 0.2)
    async with running(slow, api):
        await until(lambda: someone.sees(group) == [answer])
        await asyncio.sleep(0.1)
    assert DRAFT.strip() in note["text"] and DRAFT.strip() not in answer["text"]
    assert await slow.store.rows("SELECT * FROM outbox WHERE state = 'standing'") == []


async def test_flood_control_ends_the_showing_and_not_the_answer(slow: App, api: BotApi) -> None:
    someone = api.person(26, "P26", "en")
    refusing = api.fail("sendMessageDraft", status=429, retry_after=1, times=9)
    async with running(slow, api):
        someone.says(EN)
        assert DRAFT.strip() not in await someone.answer()
    assert refusing.times == 8


# -- notes ---------------------------------------------------------------------------------------------


async def test_a_file_that_takes_long_says_so_and_shows_that_it_is_being_worked_on(house: App, api: BotApi) -> None:
    someone = api.person(27, "P27", "en")
    async with running(house, api) as chat:
        chat.note_every = 0.2
        fetch = chat.fetch

        async def slowly(attachment: Any) -> Any:
            await asyncio.sleep(1.2)
            return await fetch(attachment)

        chat.app.extras["fetch"] = slowly
        someone.uploads("a.md", b"")
        await someone.answer()
    assert "Reading the file" in api.drafted[0][2] and api.drafts == {}
    actions = [given for name, given in api.calls if name == "sendChatAction"]
    assert len(actions) >= 2


async def test_a_long_debrief_says_so_by_edits_and_then_only_the_debrief_stands(house: App, api: BotApi, monkeypatch: pytest.MonkeyPatch) -> None:
    someone = api.person(26, "P26", "en")
    debrief = rehearsal.debrief

    async def slowly(*things: Any) -> Any:
        await asyncio.sleep(2.2)
        return await debrief(*things)

    monkeypatch.setattr(rehearsal, "debrief", slowly)
    monkeypatch.setattr(telegram_progress.Ongoing.__init__, "__kwdefaults__", {"every": EVERY})
    async with running(house, api) as chat:
        chat.pace.wait = lambda chat: 0.0  # type: ignore[method-assign]
        for line in ("/roleplay S01 1", "You have to sign today, stop delaying."):
            someone.says(line)
            await someone.answer()
        await chat.mailbox.idle()
        api.calls.clear()
        chat.drafts, chat.note_every = False, 0.3
        someone.presses(say("en", "rehearsal.end"))
        await until(lambda: any(name == "deleteMessage" for name, _ in api.calls))
        await chat.mailbox.idle()
    shown = [given["text"] for name, given in api.calls if name in ("sendMessage", "editMessageText")]
    notes = [text for text in shown if re.fullmatch(r"⏳ Going through the talk line by line … \(\d+ s\)", text)]
    names = [name for name, _ in api.calls if name != "answerCallbackQuery"]
    assert names[0] == "sendChatAction", "first of all it is typing"
    assert names.count("editMessageText") == len(notes) - 1 >= 1, "one note, edited"
    standing = [message["text"] for message in someone.sees()]
    assert not set(notes) & set(standing) and standing[-1].startswith(say("en", "rehearsal.ended_open"))


async def test_a_quick_answer_comes_without_a_note(house: App, api: BotApi) -> None:
    someone = api.person(28, "P28", "en")
    async with running(house, api):
        someone.says("/help")
        await someone.answer()
    assert api.drafted == [] and not any(name == "deleteMessage" for name, _ in api.calls)


# -- the rhythm ----------------------------------------------------------------------------------------


class Wall:
    """A board that remembers; `trouble` is raised, `hang` seconds are slept."""

    def __init__(self, *, trouble: Exception | None = None, hang: float = 0.0) -> None:
        self.trouble, self.hang = trouble, hang
        self.seen: list[str] = []
        self.cleared = 0

    async def put(self, text: str) -> None:
        self.seen.append(text)
        await asyncio.sleep(self.hang)
        if self.trouble:
            raise self.trouble

    async def clear(self) -> None:
        self.cleared += 1


async def english() -> Language:
    return "en"


async def test_a_hundred_changes_a_second_become_a_few(monkeypatch: pytest.MonkeyPatch) -> None:
    wall = Wall()
    ongoing = Ongoing(wall, english, every=0.2)
    for number in range(100):
        await ongoing.show(f"word {number}")
        await asyncio.sleep(0.005)
    await asyncio.sleep(0.25)
    assert 3 <= len(wall.seen) <= 6 and wall.seen[-1].endswith("word 99")
    await ongoing.close()
    await ongoing.show("too late")
    await asyncio.sleep(0.05)
    assert wall.cleared == 1 and not wall.seen[-1].endswith("late")


async def test_trouble_and_a_platform_that_hangs_hold_nothing_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telegram_progress, "PUT_LIMIT", 0.1)
    for wall in (Wall(trouble=RuntimeError("no")), Wall(hang=60)):
        ongoing, began = Ongoing(wall, english, every=0.01), time.monotonic()
        await ongoing.show("one")
        await asyncio.sleep(0.2)
        await ongoing.show("two")
        await ongoing.close()
        assert len(wall.seen) == 1 and time.monotonic() - began < 1
