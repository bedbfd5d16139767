"""Whatever is thrown at readers, cards and the Telegram front end: an answer or a clear refusal, never an error of ours.

A few fixed examples here; `make fuzz` tries many new ones (`FUZZ_EXAMPLES`).
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import io
import json
import os
import tempfile
import warnings
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import odd_files
import pytest
from bot_api import BotApi
from hypothesis import HealthCheck, given
from hypothesis import settings as trying
from hypothesis import strategies as st
from telegram import Update
from telegram_house import telegram_settings

from bot.app import open_app
from bot.commands.telegram import mail_of
from bot.frontends.telegram_chat import TelegramChat, open_bot
from bot.mailbox import TRIES
from bot.people import Person, Role
from bot.settings import Settings
from bot.store.mail import Letter
from knowledge.cards import BUNDLED, Card, card_passages, parse_card
from knowledge.ingest import Source, compose
from knowledge.passages import Page, storable
from knowledge.problems import ContentProblem, ContentProblems
from knowledge.readers import read

MANY = int(os.environ.get("FUZZ_EXAMPLES", "0"))
STRANGE = ["", "\x00", "\ud800", "\u202e", "﷽" * 40, "../../etc/passwd", "=cmd()", "<b>&amp;", "😀", "{}", "%s%n", "-1", "1e999", "9" * 30, "\r\n"]


def tried(few: int) -> Callable[[Any], Any]:
    """The number of examples: few and always the same ones in the suite, many new ones in `make fuzz`."""
    return trying(
        max_examples=MANY or few, derandomize=not MANY, database=None, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True
    )


# -- files ---------------------------------------------------------------------------------------------------


@cache
def small_files() -> dict[str, bytes]:
    """A valid file of every kind."""
    return {
        "a.txt": odd_files.TEXT.encode(),
        "gbk.txt": odd_files.TEXT.encode("gb18030"),
        "a.md": b"---\ntitle: T\n---\n# Heading\n\n- one\n- two\n\n| a | b |\n|---|---|\n| 1 | 2 |\n",
        "a.html": b"<html><head><title>T</title></head><body><h1>Who signs</h1><table><tr><td>a<td>b</table><ul><li>x</ul></body></html>",
        "a.csv": "客户,金额\n甲,10\n\"a\"\"b\",2\n".encode(),
        "a.pdf": odd_files.pdf(["Meet the users", "Who signs?"]),
        "a.pptx": odd_files.pptx(1),
        "a.docx": odd_files.docx(),
        "a.xlsx": odd_files.xlsx(),
        "a.zip": odd_files.zipped({"a.txt": odd_files.TEXT.encode(), "b/c.md": b"# T\nMeet the users."}),
    }


@st.composite
def mutated(draw: st.DrawFn, data: bytes) -> bytes:
    """Bytes with some overwritten, left out, doubled or put in."""
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, max(0, len(data) - 1)))
        length = draw(st.integers(0, min(64, len(data) - at)))
        put = draw(st.one_of(st.binary(max_size=8), st.sampled_from([b"", data[at : at + length] * 3, b"\x00", b"\xff" * 9, b"<", b">", b'"'])))
        data = data[:at] + put + data[at + length :]
    return data


class File:
    """A name and bytes; shown shortly (`@reproduce_failure`, which Hypothesis prints, brings the bytes back)."""

    def __init__(self, name: str, data: bytes, about: str) -> None:
        self.name, self.data, self.about = name, data, about

    def __repr__(self) -> str:
        return f"File({self.name!r}, {len(self.data)} bytes, {self.about!r})"


@st.composite
def odd_file(draw: st.DrawFn) -> File:
    """A mutated file, an Office file or archive with a mutated part, or noise."""
    name = draw(st.sampled_from(sorted(small_files())))
    data = small_files()[name]
    how = draw(st.sampled_from(["whole", "part", "noise"]))
    if how == "noise":
        return File(name, (b"" if draw(st.booleans()) else data[:40]) + draw(st.binary(max_size=200)), how)
    if how == "whole" or not zipfile.is_zipfile(io.BytesIO(data)):
        return File(name, draw(mutated(data)), how)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        parts = {item: archive.read(item) for item in archive.namelist()}
    part = draw(st.sampled_from(sorted(parts)))
    return File(name, odd_files.zipped(parts | {part: draw(mutated(parts[part]))}), part)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")  # libraries that fail leave files open
@tried(150)
@given(odd_file())
def test_any_file_is_read_or_refused(file: File) -> None:
    name = file.name
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # libraries may wonder aloud
        path = Path(folder) / name
        path.write_bytes(file.data)
        try:
            pages = list(read(path))
            made = compose(Source(name, path), pages, "0", True)
        except ContentProblem as problem:
            assert problem.what and problem.fix and name in str(problem)
            return
    assert all(isinstance(page, Page) for page in pages) and made.edition.passages
    for text in (made.edition.title, made.edition.content, *(word for item in made.edition.passages for word in (item.text, item.place, item.heading))):
        assert storable(text)


# -- cards ---------------------------------------------------------------------------------------------------

CARD = sorted(BUNDLED.glob("*.md"))[0].read_text(encoding="utf-8")
VALUES = ['"\\0"', '"\\ud83d"', "null", "[]", "{}", "1", "1.5", "2026-13-45", "2026-02-30", "!!python/object:os.system x", "&a [*a]", "*a", "? x", "~", "'", '"', "- - -", ": :", "<<: *a", "|", "0x_", "12:30:45", ".nan", "9" * 400]


@st.composite
def odd_card(draw: st.DrawFn) -> str:
    """A card whose lines were changed, as a hand or a careless program would."""
    lines = CARD.split("\n")
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(lines) - 1))
        key, colon, _ = lines[at].partition(":")
        value = draw(st.one_of(st.sampled_from(VALUES), st.sampled_from(STRANGE), st.text(max_size=12)))
        lines[at : at + 1] = draw(st.sampled_from([
            [], [lines[at]] * 2, [f"{key}{colon} {value}"], [" " + lines[at]], [value], [lines[at], value], ["\t" + lines[at]], [lines[at][: len(lines[at]) // 2]],
        ]))  # fmt: skip
        lines = lines or [""]
    return "\n".join(lines)


@tried(60)
@given(st.one_of(odd_card(), st.text(max_size=60).map(lambda text: f"---\n{text}\n---\n"), st.text(max_size=60)))
def test_any_card_is_read_or_its_mistakes_are_named_with_their_lines(source: str) -> None:
    try:
        card = parse_card(source, "card.md")
        assert isinstance(card, Card) and all(storable(item.text) and storable(item.place) for item in card_passages(card))
    except ContentProblems as error:
        assert error.problems
        for problem in error.problems:
            assert problem.path == "card.md" and problem.what and problem.fix and 1 <= problem.line <= source.count("\n") + 2


# -- updates -------------------------------------------------------------------------------------------------

REP = 22
FROM = {"id": REP, "is_bot": False, "first_name": "Anna", "language_code": "en"}
CHAT = {"id": REP, "type": "private", "first_name": "Anna"}
MESSAGE = {"message_id": 5, "date": 1_790_000_000, "chat": CHAT, "from": FROM, "text": "/settings", "entities": [{"type": "bot_command", "offset": 0, "length": 9}]}
GROUP = MESSAGE | {"chat": {"id": -100200, "type": "supergroup", "title": "T"}, "is_topic_message": True, "message_thread_id": 3}
UPDATES: list[dict[str, Any]] = [
    {"message": MESSAGE},
    {"message": GROUP},
    {"edited_message": MESSAGE | {"edit_date": 1_790_000_001}},
    {"message": MESSAGE | {"text": "", "document": {"file_id": "f", "file_unique_id": "u", "file_name": "a.txt", "file_size": 3, "mime_type": "text/plain"}}},
    {"message": MESSAGE | {"reply_to_message": MESSAGE, "forward_origin": {"type": "hidden_user", "date": 1, "sender_user_name": "x"}}},
    {"message": GROUP | {"migrate_to_chat_id": -100300}},
    {"callback_query": {"id": "1", "from": FROM, "message": MESSAGE, "chat_instance": "1", "data": "poll:x:1"}},
    {"callback_query": {"id": "1", "from": FROM, "message": MESSAGE, "chat_instance": "1", "data": "~a"}},
    {"poll_answer": {"poll_id": "1", "user": FROM, "option_ids": [0], "option_persistent_ids": ["o0"]}},
    {"my_chat_member": {"chat": CHAT, "from": FROM, "date": 1, "old_chat_member": {"user": FROM, "status": "member"}, "new_chat_member": {"user": FROM, "status": "kicked", "until_date": 0}}},
]  # fmt: skip
OPTIONAL = {"entities", "text", "language_code", "is_topic_message", "message_thread_id", "file_name", "file_size", "mime_type", "reply_to_message", "title", "data"}
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.sampled_from(STRANGE), st.integers(-(2**70), 2**70), st.text(max_size=8)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=5,
)


def places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of everything inside a JSON value."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [*([at] if at else []), *(found for key, item in inside for found in places(item, (*at, key)))]


TEXTS = st.one_of(st.sampled_from(STRANGE), st.text(max_size=12), st.sampled_from(["/help", "/quiz x", "@coach_test_bot /card \x00", "poll:x:-1", "privacy:forget"]))


def alike(value: Any) -> st.SearchStrategy[Any]:
    """Other values of the same type."""
    if isinstance(value, bool):
        return st.booleans()
    if isinstance(value, int):
        return st.integers(-(2**52), 2**52)
    return TEXTS if isinstance(value, str) else st.just(value)


@st.composite
def odd_update(draw: st.DrawFn) -> tuple[Any, bool]:
    """An update with values changed or left out; True if each is still of its type."""
    if draw(st.integers(0, 9)) == 0:
        return draw(JSON), False
    update = copy.deepcopy(draw(st.sampled_from(UPDATES))) | {"update_id": draw(st.integers(1, 10**9))}
    typed = draw(st.booleans())
    for _ in range(draw(st.integers(0, 4))):
        if not (known := places(update)):
            break
        *way, last = draw(st.sampled_from(known))
        inner: Any = update
        for key in way:
            inner = inner[key]
        if draw(st.integers(0, 2)):
            inner[last] = draw(alike(inner[last]) if typed else JSON)
        elif isinstance(inner, dict) and (not typed or last in OPTIONAL):
            del inner[last]
    return update, typed


def understood(raw: Any, chat: TelegramChat) -> bool:
    """Can the library make an update of it? If not, it is set aside and its writer is told."""
    try:
        Update.de_json(json.loads(json.dumps(raw)), chat.bot)
    except Exception:
        return False
    return True


def test_any_update_is_answered_or_ignored_and_stops_nobody(settings: Settings) -> None:
    ours: list[BaseException] = []

    async def arrives(chat: TelegramChat, raw: Any, typed: bool) -> None:
        async def answer(letter: Letter) -> Any:
            try:
                return await chat.answer(letter)
            except Exception as error:
                if typed and understood(raw, chat):
                    ours.append(error)
                raise

        chat.mailbox.answer = answer
        chat.pace.wait = lambda _: 0.0  # type: ignore[method-assign]
        await chat.receive([raw])
        for _ in range(TRIES + 1):
            await chat.mailbox.idle()
            chat.mailbox.wake(await chat.mail.waiting(chat.app.clock()))
        await chat.mailbox.idle()
        assert await chat.mail.backlog() == (0, 0), "something is left over and would be tried for ever"

    async def opened(stack: contextlib.AsyncExitStack) -> TelegramChat:
        api = await stack.enter_async_context(BotApi().serving())
        app = await stack.enter_async_context(open_app(settings, model=False, seed=1))
        api.person(REP, "Anna", "en").says("hello")  # a bot may only write to those who wrote first
        await app.store.welcome(Person(f"tg:{REP}", frozenset({Role.REP}), "Anna", chat=f"tg:{REP}", language="en"), app.clock())
        chat = TelegramChat(app, mail_of(app), open_bot(telegram_settings(app.settings, api, messages_per_minute=10**9)))
        await chat.connect()
        stack.push_async_callback(chat.close)
        return chat

    with asyncio.Runner() as runner:
        stack = contextlib.AsyncExitStack()
        chat = runner.run(opened(stack))

        @tried(40)
        @given(odd_update())
        def play(update: tuple[Any, bool]) -> None:
            ours.clear()
            runner.run(arrives(chat, *update))
            if ours:
                raise ours[0]

        try:
            play()
        finally:
            runner.run(stack.aclose())
