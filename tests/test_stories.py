"""Whole conversations, played through Telegram (polling and webhook) and the terminal: they must say the same things."""

from __future__ import annotations

import io
import json
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import bot_api
import pytest
import pytest_asyncio
from bot_api import BotApi
from telegram_house import running, with_webhook

from bot.app import open_app
from bot.commands.telegram import claim_link
from bot.conversation import COMMANDS
from bot.frontends.telegram_chat import TelegramChat
from bot.frontends.terminal_chat import Terminal
from bot.people import Person, Role
from bot.ports import App
from bot.settings import Settings
from bot.store import SqlStore
from bot.store.people import personal_tables

STORIES = sorted(path for path in Path(__file__).with_name("stories").glob("*.md") if path.name != "README.md")
ACTION = re.compile(r"(?P<only>telegram )?(?P<verb>>|tap|votes|sends|waits|claims)(?: (?P<what>.*))?$")


@dataclass
class Step:
    """What somebody does, and what must and must not be in the answer. `kept`: (name, pattern) pairs."""

    line: int
    who: str
    verb: str
    what: str
    telegram_only: bool
    expected: list[str] = field(default_factory=list)
    unwanted: list[str] = field(default_factory=list)
    kept: list[tuple[str, str]] = field(default_factory=list)


@dataclass
class Story:
    name: str
    role: str
    language: str
    steps: list[Step]


def read(path: Path) -> Story:
    settings: dict[str, str] = {}
    steps: list[Step] = []
    who = ""
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        if found := re.match(r"(role|language): *(.+)", line):
            settings[found[1]] = found[2].strip()
            who = settings.get("role", "")
        elif found := re.match(r"as (\w+)$", line):
            who = found[1]
        elif found := ACTION.match(line):
            steps.append(Step(number, who, found["verb"], found["what"] or "", bool(found["only"])))
        elif found := re.match(r"- keep (\w+): (.+)", line):
            steps[-1].kept.append((found[1], found[2]))
        elif line.startswith("- not: "):
            steps[-1].unwanted.append(line[7:])
        elif line.startswith("- "):
            steps[-1].expected.append(line[2:])
        else:
            assert not line or line.startswith("#"), f"{path.name}:{number}: {line}"
    return Story(path.stem, settings["role"], settings["language"], steps)


class Actor(Protocol):
    """A person at one of the front ends."""

    async def does(self, step: Step, what: str) -> str: ...


class Stage(Protocol):
    """A front end on which stories are played."""

    name: str
    telegram: bool

    async def enters(self, role: str, language: str, name: str) -> Actor:
        """Somebody with a role; any other word is somebody who has none."""


@dataclass
class InTelegram:
    app: App
    api: BotApi
    chat: TelegramChat
    name: str
    telegram: bool = True
    count: int = 1000

    async def enters(self, role: str, language: str, name: str) -> Actor:
        self.count += 1
        if role in set(Role):
            member = Person(f"tg:{self.count}", frozenset({Role(role)}), name, chat=f"tg:{self.count}")
            await self.app.store.welcome(member, self.app.clock())
        return OnThePhone(self, self.api.person(self.count, name, language))


@dataclass
class OnThePhone:
    stage: InTelegram
    person: bot_api.Person

    async def does(self, step: Step, what: str) -> str:
        match step.verb:
            case ">":
                self.person.says(what)
            case "tap":
                self.person.presses(what)
            case "votes":
                self._votes(what)
            case "sends":
                name, _, text = what.partition(": ")
                self.person.uploads(name, text.replace("\\n", "\n").encode(), "text/markdown")
            case "claims":
                code = (await claim_link(self.stage.app, "coach_test_bot")).partition("start=")[2]
                self.person.says(f"/start {code}")
        first, *_ = await self.person.messages(patience=90.0)  # a first upload reads everything that is there
        await self.stage.chat.mailbox.idle()  # a reply may have several messages
        found = [item for item in self.person.sees() if item["message_id"] >= first["message_id"]]
        self.person.read = found[-1]["message_id"]
        return "\n".join(map(seen, found))

    def _votes(self, what: str) -> None:
        message = next(item for item in reversed(self.person.sees()) if "poll" in item)
        key = message["poll"]["correct_option_ids"][0]
        self.person.votes(key if what == "right" else (key + 1) % len(message["poll"]["options"]), message=message)


def seen(message: dict[str, Any]) -> str:
    """All words of a message, its buttons' too."""
    poll = message.get("poll", {})
    lines = [bot_api._text(message), *(option["text"] for option in poll.get("options", [])), poll.get("explanation", "")]
    lines += [button["text"] for row in message.get("reply_markup", {}).get("inline_keyboard", []) for button in row]
    return "\n".join(line for line in lines if line)


@dataclass
class InTerminal:
    app: App
    name: str = "terminal"
    telegram: bool = False
    count: int = 0

    async def enters(self, role: str, language: str, name: str) -> Actor:
        from rich.console import Console

        self.count += 1
        person = Person(f"local:{self.count}", frozenset({Role(role)}), name, chat=f"terminal:{self.count}")
        await self.app.store.welcome(person, self.app.clock())
        screen = io.StringIO()
        console = Console(file=screen, width=4000, force_terminal=False)
        return AtTheKeyboard(self.app, Terminal(person, console, "en" if language == "en" else "zh"), screen)


@dataclass
class AtTheKeyboard:
    app: App
    terminal: Terminal
    screen: io.StringIO

    async def does(self, step: Step, what: str) -> str:
        match step.verb:
            case "tap":
                what = self._number(what)
            case "votes":
                what = await self._option(what)
            case "sends":
                name, _, text = what.partition(": ")
                file = self.app.data_dir / name
                file.write_text(text.replace("\\n", "\n"), encoding="utf-8")
                what = f"/upload {file}"
        self.screen.truncate(0)
        self.screen.seek(0)
        await self.terminal.take(self.app, what)
        return self.screen.getvalue()

    def _number(self, label: str) -> str:
        """The number of the choice whose line bears the label."""
        shown = self.screen.getvalue()
        for line in shown.splitlines():
            if (found := re.match(r"\s*(\d+) (.*)", line)) and label in found[2]:
                return found[1]
        raise AssertionError(f"no choice {label!r} in {shown}")

    async def _option(self, what: str) -> str:
        """The number of a right (or wrong) answer of the question on the screen."""
        tokens = self.terminal.screen.tokens
        polls = [number for number, token in enumerate(tokens, 1) if token.startswith("poll:")]
        asked = tokens[polls[0] - 1].removeprefix("poll:").rpartition(":")[0]
        rows = await self.app.store.rows("SELECT snapshot FROM quiz_asked WHERE token = :t", t=asked)
        key = int(json.loads(rows[0]["snapshot"])["key"])
        return str(polls[key if what == "right" else (key + 1) % len(polls)])


@pytest.fixture(scope="module")
def folder(stocked: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    import shutil

    target = tmp_path_factory.mktemp("stories") / "data"
    shutil.copytree(stocked, target)
    yield target


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(folder: Path) -> AsyncIterator[App]:
    async with open_app(Settings(data_dir=folder, messages_per_minute=1000, _env_file=None), seed=3) as app:  # type: ignore[call-arg]
        yield app


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["polling", "webhook", "terminal"])
async def stage(request: pytest.FixtureRequest, house: App) -> AsyncIterator[Stage]:
    await empty(house)
    if request.param == "terminal":
        yield InTerminal(house)
        return
    async with AsyncExitStack() as stack:
        api = await stack.enter_async_context(BotApi().serving())
        webhook = request.param == "webhook"
        chat = await stack.enter_async_context(running(house, api, **(with_webhook() if webhook else {})))
        chat.pace.wait = lambda chat: 0.0  # type: ignore[method-assign]
        api.update_id += 100_000 * webhook
        yield InTelegram(house, api, chat, request.param, count=5000 if webhook else 1000)
        assert api.violations == []


async def empty(house: App) -> None:
    """Nobody has been here yet."""
    assert isinstance(house.store, SqlStore)
    async with house.store.engine.begin() as connection:
        for table in ("polls", "inbox", "outbox", *personal_tables()):
            await connection.exec_driver_sql(f"DELETE FROM {table}")


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("path", STORIES, ids=lambda path: path.stem)
async def test_a_story_goes_as_written(stage: Stage, house: App, path: Path) -> None:
    story, known = read(path), dict[str, str]()
    house.chance.seed(story.name)  # the same customer and the same questions on every stage
    actors: dict[str, Actor] = {}
    for step in story.steps:
        if step.telegram_only and not stage.telegram:
            continue
        if step.who not in actors:
            known[step.who] = f"{step.who}-{story.name}-{stage.name}"
            actors[step.who] = await stage.enters(step.who, story.language, known[step.who])
        answer = await actors[step.who].does(step, filled(step.what, known))
        where = f"{path.name}:{step.line}: {answer}"
        assert all(filled(text, known) in answer for text in step.expected), where
        assert not any(filled(text, known) in answer for text in step.unwanted), where
        for name, pattern in step.kept:
            found = re.search(pattern, answer)
            assert found, where
            known[name] = found[1]


def filled(text: str, known: dict[str, str]) -> str:
    """The text with `{name}` replaced by what is known under that name."""
    return re.sub(r"\{(\w+)\}", lambda found: known.get(found[1], found[0]), text)


@pytest.mark.parametrize("language", ["zh", "en"])
def test_every_command_is_in_a_story(language: str) -> None:
    stories = [story for story in map(read, STORIES) if story.language.startswith(language)]
    used = {found[1] for story in stories for step in story.steps if (found := re.match(r"/(\w+)", step.what))}
    assert set(COMMANDS) - used == set()
