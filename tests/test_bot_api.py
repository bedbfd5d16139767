"""The test double behaves like the Bot API server: polling rules, exact errors, schema checks, faults."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator

import pytest

os.environ.setdefault("PTB_TIMEDELTA", "true")

import telegram
from bot_api import TOKEN, BotApi
from bot_api_markup import BadMarkup, parse
from bot_api_schema import schema, violations
from telegram.error import (
    BadRequest,
    ChatMigrated,
    Conflict,
    Forbidden,
    InvalidToken,
    NetworkError,
    RetryAfter,
)


@pytest.fixture
async def api() -> AsyncIterator[BotApi]:
    async with BotApi().serving() as api:
        yield api


@pytest.fixture
async def bot(api: BotApi) -> AsyncIterator[telegram.Bot]:
    async with telegram.Bot(TOKEN, base_url=api.base_url, base_file_url=api.file_url) as bot:
        yield bot


async def test_updates_come_again_until_they_are_confirmed(api: BotApi, bot: telegram.Bot) -> None:
    someone = api.person(1)
    for text in ("one", "two", "three"):
        someone.says(text)
    first = await bot.get_updates()
    assert [item.message.text for item in first if item.message] == ["one", "two", "three"]
    assert [item.update_id for item in await bot.get_updates()] == [item.update_id for item in first]
    rest = await bot.get_updates(offset=first[1].update_id)
    assert [item.message.text for item in rest if item.message] == ["two", "three"]
    newest = await bot.get_updates(offset=-1)
    assert [item.message.text for item in newest if item.message] == ["three"]
    assert await bot.get_updates(offset=first[2].update_id + 1, timeout=0) == ()


async def test_a_waiting_poll_is_ended_by_a_second_one(api: BotApi, bot: telegram.Bot) -> None:
    older = asyncio.create_task(bot.get_updates(timeout=5))
    await asyncio.sleep(0.1)
    async with telegram.Bot(TOKEN, base_url=api.base_url) as second:
        newer = asyncio.create_task(second.get_updates(timeout=1))
        with pytest.raises(Conflict, match="only one bot instance"):
            await older
        assert await newer == ()


async def test_polling_is_refused_while_a_webhook_is_set(api: BotApi, bot: telegram.Bot) -> None:
    await bot.set_webhook("http://127.0.0.1:9/hook")
    with pytest.raises(Conflict, match="webhook is active"):
        await bot.get_updates()
    await bot.delete_webhook()
    assert await bot.get_updates() == ()


@pytest.mark.parametrize(
    ("text", "mode", "error"),
    [
        ("", None, "message text is empty"),
        ("   ", None, "text must be non-empty"),
        ("x" * 4097, None, "message is too long"),
        ("<x>a</x>", "HTML", 'unsupported start tag "x" at byte offset 0'),
        ("é<b>a", "HTML", "can't find end tag corresponding to start tag \"b\""),
        ("<b>a</i>", "HTML", 'unmatched end tag at byte offset 4, expected "</b>", found "</i>"'),
        ("a</b>", "HTML", "unexpected end tag at byte offset 1"),
        ("<b", "HTML", "unclosed start tag at byte offset 0"),
        ("a.b", "MarkdownV2", "character '.' is reserved"),
        ("*a", "MarkdownV2", "can't find end of bold entity at byte offset 0"),
        ("[a](b", "MarkdownV2", "can't find end of a url at byte offset 0"),
        ("a_b", "Markdown", "can't find end of the entity starting at byte offset 1"),
    ],
)
async def test_bad_texts_get_the_servers_words(api: BotApi, bot: telegram.Bot, text: str, mode: str | None, error: str) -> None:
    api.person(1).says("hello")
    with pytest.raises(BadRequest) as caught:
        await bot.send_message(1, text, parse_mode=mode)
    assert error in str(caught.value).lower()


async def test_edits_deletes_and_buttons_are_checked(api: BotApi, bot: telegram.Bot) -> None:
    someone = api.person(1)
    theirs = someone.says("hello")
    sent = await bot.send_message(1, "hi")
    with pytest.raises(BadRequest, match="not modified"):
        await bot.edit_message_text("hi", 1, sent.message_id)
    with pytest.raises(BadRequest, match="can't be edited"):
        await bot.edit_message_text("hi", 1, theirs["message_id"])
    with pytest.raises(BadRequest, match="edit not found"):
        await bot.edit_message_text("hi", 1, 99)
    with pytest.raises(BadRequest, match="delete not found"):
        await bot.delete_message(1, 99)
    button = telegram.InlineKeyboardButton("x", callback_data="字" * 22)
    with pytest.raises(BadRequest, match="(?i)button_data_invalid"):
        await bot.send_message(1, "hi", reply_markup=telegram.InlineKeyboardMarkup([[button]]))
    assert any("bytes" in item for item in api.violations)


async def test_a_callback_is_answered_once(api: BotApi, bot: telegram.Bot) -> None:
    someone = api.person(1)
    someone.says("hello")
    markup = telegram.InlineKeyboardMarkup([[telegram.InlineKeyboardButton("Yes", callback_data="y")]])
    await bot.send_message(1, "?", reply_markup=markup)
    query = someone.presses("Yes")
    assert await bot.answer_callback_query(query)
    with pytest.raises(BadRequest, match="(?i)query is too old"):
        await bot.answer_callback_query(query)
    assert api.violations == []


async def test_strangers_blockers_and_wrong_tokens(api: BotApi, bot: telegram.Bot) -> None:
    with pytest.raises(BadRequest, match="Chat not found"):
        await bot.send_message(77, "hi")
    someone = api.person(1)
    someone.says("x")
    someone.blocks()
    with pytest.raises(Forbidden, match="blocked"):
        await bot.send_message(1, "hi")
    stranger = telegram.Bot("1:wrong", base_url=api.base_url)
    with pytest.raises(InvalidToken):
        await stranger.initialize()
    await stranger.shutdown()


async def test_a_group_that_becomes_a_supergroup_says_so_in_both_and_refuses_what_goes_to_the_old_id(
    api: BotApi, bot: telegram.Bot
) -> None:
    someone, group = api.person(1), api.group(-4_001, kind="group")
    someone.says("hello", group)
    await bot.send_message(group.id, "hi")
    new = api.upgrades(group, someone)
    with pytest.raises(ChatMigrated) as caught:
        await bot.send_message(group.id, "are you there?")
    assert caught.value.new_chat_id == new.id < -1_000_000_000_000
    messages = [item.message for item in await bot.get_updates() if item.message]
    assert [(item.migrate_to_chat_id, item.migrate_from_chat_id) for item in messages[-2:]] == [
        (new.id, None),
        (None, group.id),
    ]
    await bot.send_message(new.id, "here")
    assert [item["text"] for item in someone.sees(new)] == ["here"]
    assert api.violations == []


async def test_files_and_quizzes_have_their_limits(api: BotApi, bot: telegram.Bot) -> None:
    someone = api.person(1)
    someone.says("x")
    with pytest.raises(BadRequest, match="(?i)image_process_failed"):
        await bot.send_photo(1, b"no picture")
    await bot.send_document(1, b"data", filename="a.txt")
    upload = someone.uploads("deck.pdf", b"%PDF-1.4")
    file = await bot.get_file(upload["document"]["file_id"])
    assert bytes(await file.download_as_bytearray()) == b"%PDF-1.4"
    api.files["big"] = ("big", b"0" * 20_971_521)
    with pytest.raises(BadRequest, match="too big"):
        await bot.get_file("big")
    with pytest.raises(BadRequest, match="more than 12"):
        await bot.send_poll(1, "?", [str(i) for i in range(13)])
    quiz = await bot.send_poll(1, "2+2?", ["3", "4"], type="quiz", correct_option_ids=[1], is_anonymous=False)
    someone.votes(1)
    answers = [item.poll_answer for item in await bot.get_updates() if item.poll_answer]
    assert quiz.poll and answers[0].poll_id == quiz.poll.id
    assert answers[0].option_ids == (1,)


async def test_faults_cut_the_line_before_or_after_the_work(api: BotApi, bot: telegram.Bot) -> None:
    someone = api.person(1)
    someone.says("x")
    api.fail("sendMessage", drop="before")
    with pytest.raises(NetworkError):
        await bot.send_message(1, "one")
    api.fail("sendMessage", drop="after")
    with pytest.raises(NetworkError):
        await bot.send_message(1, "two")
    api.fail("sendMessage", status=429, retry_after=3)
    with pytest.raises(RetryAfter, match="retry in 3|Retry in"):
        await bot.send_message(1, "three")
    assert [item["text"] for item in someone.sees()] == ["two"]


def test_the_schema_table_is_the_whole_api_and_catches_mistakes() -> None:
    assert len(schema()["methods"]) > 180
    assert "MIT" in schema()["notice"] or "Permission is hereby granted" in schema()["notice"]
    assert violations("sendMessage", {"chat_id": "1", "text": "x"}, {}) == []
    assert violations("sendMessage", {"chat_id": "1"}, {}) == ["sendMessage: text is missing"]
    assert "unknown field" in violations("sendMessage", {"chat_id": "1", "text": "x", "mood": "y"}, {})[0]
    assert violations("sendMessage", {"chat_id": "one,two", "text": "x"}, {}) == []
    assert violations("editMessageText", {"chat_id": "1", "message_id": "soon", "text": "x"}, {})
    assert violations("setMyCommands", {"commands": '[{"command": "a"}]'}, {})


def test_html_offsets_are_counted_in_utf16() -> None:
    text, entities = parse("😀<b>x</b> <blockquote expandable>a &amp; b</blockquote>", "HTML")
    assert text == "😀x a & b"
    assert entities[0] == {"type": "bold", "offset": 2, "length": 1}
    assert entities[1]["type"] == "expandable_blockquote"
    with pytest.raises(BadMarkup):
        parse("x", "Wiki")
