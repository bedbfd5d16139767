"""Whole conversations, played through Telegram (polling and webhook) and the terminal: they must say the same things."""

from __future__ import annotations

import io
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import pytest
import pytest_asyncio
from bot_api import BotApi
from telegram_house import running, with_webhook

from bot.app import open_app
from bot.frontends.terminal_chat import Terminal
from bot.people import Person, Role
from bot.ports import App
from bot.settings import Settings

pytestmark = pytest.mark.asyncio(loop_scope="module")
STORIES = sorted(path for path in Path(__file__).with_name("stories").glob("*.md") if path.name != "README.md")


@dataclass
class Step:
    """What the person does, and what must and must not be in the answer."""

    line: int
    says: str = ""
    taps: str = ""
    telegram_only: bool = False
    expected: list[str] = field(default_factory=list)
    unwanted: list[str] = field(default_factory=list)


@dataclass
class Story:
    role: Role
    language: str
    steps: list[Step]


def read(path: Path) -> Story:
    settings: dict[str, str] = {}
    steps: list[Step] = []
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        if found := re.match(r"(role|language): *(.+)", line):
            settings[found[1]] = found[2].strip()
        elif line.startswith("> "):
            steps.append(Step(number, says=line[2:]))
        elif found := re.match(r"(telegram )?tap (.+)", line):
            steps.append(Step(number, taps=found[2], telegram_only=bool(found[1])))
        elif line.startswith("- not: "):
            steps[-1].unwanted.append(line[7:])
        elif line.startswith("- "):
            steps[-1].expected.append(line[2:])
        else:
            assert not line or line.startswith("#"), f"{path.name}:{number}: {line}"
    return Story(Role(settings["role"]), settings["language"], steps)


class Player(Protocol):
    """A person at one of the front ends."""

    async def enters(self, story: Story) -> None: ...

    async def does(self, step: Step) -> str | None: ...


class InTelegram:
    def __init__(self, app: App, api: BotApi) -> None:
        self.app, self.api, self.count = app, api, 1000

    async def enters(self, story: Story) -> None:
        self.count += 1
        self.person = self.api.person(self.count, f"P{self.count}", story.language)
        member = Person(f"tg:{self.count}", frozenset({story.role}), f"P{self.count}", chat=f"tg:{self.count}")
        await self.app.store.welcome(member, self.app.clock())

    async def does(self, step: Step) -> str | None:
        if step.taps:
            self.person.presses(step.taps)
        else:
            self.person.says(step.says)
        return await self.person.answer()


class InTerminal:
    def __init__(self, app: App) -> None:
        self.app, self.count = app, 0

    async def enters(self, story: Story) -> None:
        from rich.console import Console

        self.count += 1
        person = Person(f"local:{self.count}", frozenset({story.role}), f"P{self.count}", chat=f"terminal:{self.count}")
        await self.app.store.welcome(person, self.app.clock())
        console = Console(file=io.StringIO(), width=4000, force_terminal=False)
        self.terminal = Terminal(person, console, "en" if story.language == "en" else "zh")
        self.hint = story.language

    async def does(self, step: Step) -> str | None:
        if step.telegram_only:
            return None
        screen = self.terminal.console.file
        assert isinstance(screen, io.StringIO)
        line = self._number(step.taps, screen.getvalue()) if step.taps else step.says
        screen.truncate(0)
        screen.seek(0)
        await self.terminal.take(self.app, line)
        return screen.getvalue()

    def _number(self, label: str, shown: str) -> str:
        """The number of the choice whose line bears the label."""
        for line in shown.splitlines():
            if (found := re.match(r"\s*(\d+) (.*)", line)) and label in found[2]:
                return found[1]
        raise AssertionError(f"no choice {label!r} in {shown}")


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
async def player(request: pytest.FixtureRequest, house: App) -> AsyncIterator[Player]:
    if request.param == "terminal":
        yield InTerminal(house)
        return
    async with AsyncExitStack() as stack:
        api = await stack.enter_async_context(BotApi().serving())
        more = with_webhook() if request.param == "webhook" else {}
        chat = await stack.enter_async_context(running(house, api, **more))
        chat.pace.wait = lambda chat: 0.0  # type: ignore[method-assign]
        api.update_id += 1000 * (request.param == "webhook")
        yield InTelegram(house, api)
        assert api.violations == []


@pytest.mark.parametrize("path", STORIES, ids=lambda path: path.stem)
async def test_a_story_goes_as_written(player: Player, path: Path) -> None:
    story = read(path)
    await player.enters(story)
    for step in story.steps:
        answer = await player.does(step)
        if answer is None:
            continue
        where = f"{path.name}:{step.line}: {answer}"
        assert all(text in answer for text in step.expected), where
        assert not any(text in answer for text in step.unwanted), where
