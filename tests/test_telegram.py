"""In Telegram: closed by default, durable, private, kind; nothing that the bot sends breaks the Bot API's rules."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from unittest.mock import AsyncMock

import pytest
from bot_api import TOKEN, BotApi
from proxies import proxy
from pydantic import SecretStr
from telegram_house import empty_house, free_port, running, with_webhook

from bot.commands.telegram import mail_of
from bot.conversation import COMMANDS, PRIVATE_TAPS
from bot.errors import CannotHelp, SetupProblem
from bot.frontends.telegram_chat import TelegramChat, letter_of, open_bot
from bot.membership import invitation
from bot.people import PERMISSIONS, PRIVATE, Person, Role
from bot.phrases import say
from bot.ports import UNSEEN, App, Typing
from bot.privacy import sweep
from bot.settings import Settings
from bot.store import SqlStore
from bot.turns import Aside, Attachment, Incoming, Poll, Reply, Say

ADMIN, REP = 11, 22


@pytest.fixture
async def api() -> AsyncIterator[BotApi]:
    async with BotApi().serving() as api:
        yield api
        assert api.violations == []


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[App]:
    async with empty_house(tmp_path / "house", admins=str(ADMIN)) as app:
        yield app


async def member(app: App, person_id: int, *roles: Role, language: str | None = None) -> Person:
    person = Person(f"tg:{person_id}", frozenset(roles), f"P{person_id}", chat=f"tg:{person_id}", language=language)
    await app.store.welcome(person, app.clock())
    return person


async def count(app: App, query: str) -> int:
    return int((await app.store.rows(f"SELECT count(*) AS n FROM {query}"))[0]["n"])


# -- closed by default ---------------------------------------------------------------------------------


async def test_a_stranger_gets_one_polite_line_and_learns_nothing(house: App, api: BotApi) -> None:
    stranger = api.person(99, "Stranger", "en")
    async with running(house, api):
        for text in ("/start", "who are your customers?", "/help", "/start wrongcodewrongcode", "/people"):
            stranger.says(text)
        assert await stranger.answer() == say("en", "people.closed")
        await asyncio.sleep(0.5)
    assert len(stranger.sees()) == 1
    assert await count(house, "turns") == 0
    assert await count(house, "inbox WHERE raw <> ''") == 0
    assert [item["command"] for item in api.menus["default::"]] == ["start"]


async def test_people_join_by_invitation_and_leave_at_once(house: App, api: BotApi) -> None:
    admin, rep = api.person(ADMIN), api.person(REP, "Anna", "en")
    async with running(house, api):
        admin.says("/invite rep North 7d 1x")
        code = (await admin.answer()).split("start=")[1].split()[0]
        rep.says(f"/start {code}")
        assert "rep" in await rep.answer()
        late = api.person(33, "Late", "en")
        late.says(f"/start {code}")
        assert await late.answer() == say("en", "people.invitation_over")
        admin.says("/people")
        assert "North" in await admin.answer()
        admin.presses("Anna")
        assert "tg:22" in await admin.answer()
        admin.presses(say("zh", "people.dismiss"))
        await admin.answer()
        rep.says("/history")
        assert await rep.answer() == say("en", "people.closed")


async def test_an_invitation_can_be_revoked(house: App, api: BotApi) -> None:
    admin, rep = api.person(ADMIN), api.person(REP, "Anna", "en")
    async with running(house, api):
        admin.says("/invite trainer")
        code = (await admin.answer()).split("start=")[1].split()[0]
        admin.says("/people")
        await admin.answer()
        admin.presses("收回")
        await admin.answer()
        rep.says(f"/start {code}")
        assert await rep.answer() == say("en", "people.invitation_over")


async def test_the_last_admin_cannot_be_removed(house: App, api: BotApi) -> None:
    admin = api.person(ADMIN)
    async with running(house, api):
        admin.says("/people")
        await admin.answer()
        admin.presses("Li Wei")
        await admin.answer()
        admin.presses(say("zh", "people.dismiss"))
        assert await admin.answer() == say("zh", "people.last_admin")


async def test_the_claim_link_makes_one_admin(tmp_path: Path, api: BotApi, capsys: pytest.CaptureFixture[str]) -> None:
    async with empty_house(tmp_path / "new") as app, running(app, api):
        code = capsys.readouterr().err.split("start=")[1].split()[0]
        first, second = api.person(1, "First", "en"), api.person(2, "Second", "en")
        first.says(f"/start {code}")
        assert "admin" in await first.answer()
        second.says(f"/start {code}")
        assert await second.answer() == say("en", "people.invitation_over")
        assert {"people", "invite"} <= {item["command"] for item in api.menus["chat:1:"]}


@pytest.mark.parametrize("role", list(Role))
async def test_each_role_may_give_exactly_its_commands(house: App, api: BotApi, role: Role) -> None:
    person = await member(house, REP, role, language="en")
    someone = api.person(REP, "Anna", "en")
    refused = {name: say("en", "core.not_allowed", command=name) for name in COMMANDS}
    skip = {"topics", "card", "status"}  # need a playbook; their permission is the same table
    async with running(house, api) as chat:
        chat.pace.wait = lambda chat: 0.0  # type: ignore[method-assign]
        for name in sorted(set(COMMANDS) & set(PERMISSIONS) - skip):
            someone.says(f"/{name}")
            answer = await someone.answer()
            assert (answer == refused[name]) == (not person.may(name)), name
    assert Role.ADMIN in PERMISSIONS["people"] and Role.REP not in PERMISSIONS["people"]


async def test_a_tapped_admin_button_is_refused_to_others(house: App, api: BotApi) -> None:
    await member(house, REP, Role.REP, language="en")
    someone = api.person(REP)
    async with running(house, api):
        someone.says("/help")
        (message,) = await someone.messages()
        for token in ("person:tg:11", "role:admin:tg:22", "invite:admin", "out:tg:11"):
            someone.taps(message, token)
            assert await someone.answer() == say("en", "core.not_allowed", command="people"), token
    found = await house.store.person("tg:22")
    assert found and found.roles == {Role.REP}


# -- durable -------------------------------------------------------------------------------------------


async def test_an_update_is_answered_once_however_often_it_comes(house: App, api: BotApi) -> None:
    await member(house, REP, Role.REP, language="en")
    someone = api.person(REP)
    async with running(house, api):
        api.fail("getUpdates", status=502, times=3)  # the confirming polls never arrive
        someone.says("/nothing1")
        await someone.answer()
        someone.says("/nothing2")
        await someone.answer()
        await asyncio.sleep(1.5)
    assert len(someone.sees()) == 2


async def test_a_message_whose_answer_was_lost_is_sent_again_not_dropped(house: App, api: BotApi) -> None:
    await member(house, REP, Role.REP, language="en")
    someone = api.person(REP)
    async with running(house, api):
        api.fail("sendMessage", drop="after")
        someone.says("/nothing1")
        await someone.messages(2)
        api.fail("sendMessage", drop="before")
        someone.says("/nothing2")
        await someone.messages(1)
    assert [("nothing1" in m["text"], "nothing2" in m["text"]) for m in someone.sees()] == [(True, False)] * 2 + [(False, True)]


async def test_flood_control_is_waited_out_and_other_chats_go_on(house: App, api: BotApi) -> None:
    await member(house, REP, Role.REP, language="en")
    await member(house, 33, Role.REP, language="en")
    slow, quick = api.person(REP), api.person(33)
    async with running(house, api):
        api.fail("sendMessage", status=429, retry_after=1, contains="nothing1", times=2)
        slow.says("/nothing1")
        quick.says("/nothing2")
        assert "nothing2" in await quick.answer(patience=1.0)
        assert "nothing1" in await slow.answer(patience=6)


async def test_poison_updates_are_set_aside_and_stop_nobody(house: App, api: BotApi) -> None:
    await member(house, ADMIN, Role.ADMIN, language="en")
    someone = api.person(ADMIN)
    async with running(house, api) as chat:
        api.push_raw({"message": {"message_id": "what", "date": "never", "chat": {"id": 5, "type": "private"}, "from": {"id": 5}}})
        api.push_raw({"message": "not even an object"})
        api.push_raw({"something_new": {"from": {"id": ADMIN}}})
        someone.says("/nothing1")
        texts = await someone.answer(3)
        assert "nothing1" in texts and texts.count("set aside") == 2
        await chat.mailbox.idle()
    assert await count(house, "inbox WHERE state = 'parked'") == 2


@pytest.mark.parametrize(("text", "kept"), [("a\0b", "a?b"), ("a\\u0000b", "a\\u0000b"), ("\\\0", "\\?"), ("\ud83d x", "? x"), ("😀\n\"", "😀\n\"")])
def test_what_is_written_down_is_what_every_database_takes(text: str, kept: str, house: App) -> None:
    letter = letter_of({"update_id": 7, "message": {"text": text, "chat": {"id": 5}}}, 1, house.clock())
    assert json.loads(letter.raw)["message"]["text"] == kept and "\0" not in letter.raw and letter.raw.encode()


async def test_updates_of_no_known_shape_stop_nobody(house: App, api: BotApi) -> None:
    """No number, a number that no database takes, half a character, a topic that is none, a nameless writer."""
    await member(house, REP, Role.REP, language="en")
    someone = api.person(REP)
    sender, place = someone.json(), someone.chat.json()
    message = {"message_id": 5, "date": 1_790_000_000, "chat": place, "from": sender}
    async with running(house, api) as chat:
        someone.says("/settings")
        await someone.answer()
        await chat.receive([{"update_id": 2**70, "message": message | {"text": "/half \ud800"}}, None])
        api.push_raw({"message": message | {"text": "/nothing1", "is_topic_message": True, "message_thread_id": "x"}})
        api.push_raw({"message": message | {"text": "/nothing2", "from": sender | {"first_name": ""}}})
        texts = await someone.answer(3)
    assert "half" in texts and "nothing1" in texts and "nothing2" in texts


async def test_somebody_who_blocked_the_bot_is_left_alone(house: App, api: BotApi) -> None:
    await member(house, REP, Role.REP, language="en")
    someone = api.person(REP)
    async with running(house, api):
        someone.chat.blocked = True
        someone.says("/nothing1")
        await asyncio.sleep(0.8)
        assert await count(house, "persons WHERE blocked") == 1
        assert await count(house, "outbox WHERE state = 'waiting'") == 0
        someone.blocks(False)
        someone.says("/nothing2")
        assert "nothing2" in await someone.answer()
        assert await count(house, "persons WHERE blocked") == 0


async def test_a_second_poller_ends_the_first_with_a_clear_message(house: App, api: BotApi) -> None:
    with pytest.raises(SetupProblem, match="same token"):
        async with running(house, api):
            await asyncio.sleep(0.3)
            api._end_other_poll("terminated by other getUpdates request; make sure that only one bot instance is running")
            await asyncio.sleep(1)


async def test_a_wrong_token_is_explained(house: App) -> None:
    async with BotApi("1:other").serving() as other:
        with pytest.raises(SetupProblem, match="BotFather"):
            async with running(house, other):
                pass


async def in_pieces(size: int) -> AsyncIterator[bytes]:
    """A body whose size no header tells."""
    for _ in range(size // 10_000):
        yield b" " * 10_000


async def test_a_webhook_takes_updates_only_with_the_secret(house: App, api: BotApi) -> None:
    import aiohttp

    await member(house, REP, Role.REP, language="en")
    someone = api.person(REP)
    hook = with_webhook()
    async with running(house, api, **hook):
        someone.says("/nothing1")
        assert "nothing1" in await someone.answer()
        async with aiohttp.ClientSession() as session:
            for headers, body, status in (
                ({}, b"{}", 403),
                ({"X-Telegram-Bot-Api-Secret-Token": api.webhook["secret"]}, b"nonsense", 400),
                ({"X-Telegram-Bot-Api-Secret-Token": api.webhook["secret"]}, b'{"update_id":"x"}', 400),
                ({"X-Telegram-Bot-Api-Secret-Token": api.webhook["secret"]}, b"[" * 900_000, 400),
                ({"X-Telegram-Bot-Api-Secret-Token": api.webhook["secret"]}, in_pieces(2_000_000), 413),
            ):
                async with session.post(hook["telegram_webhook_url"], data=body, headers=headers) as answer:
                    assert answer.status == status
    async with running(house, api):  # back to polling: the webhook is taken away, nothing is dropped
        someone.says("/nothing2")
        assert "nothing2" in await someone.answer()


@pytest.mark.parametrize("scheme", ["http", "socks5"])
async def test_the_bot_can_live_behind_a_proxy(house: App, api: BotApi, scheme: str) -> None:
    await member(house, REP, Role.REP, language="en")
    someone = api.person(REP)
    async with proxy(scheme, int(api.base_url.split(":")[2].split("/")[0])) as way:
        nowhere = {"telegram_base_url": "http://telegram.invalid:81/bot", "telegram_base_file_url": "http://telegram.invalid:81/file/bot"}
        async with running(house, api, telegram_proxy=f"{scheme}://127.0.0.1:{way.port}", **nowhere):
            someone.says("/nothing1")
            assert "nothing1" in await someone.answer()
    assert set(way.asked) == {"telegram.invalid:81"}


async def test_through_a_proxy_telegram_itself_is_reached_by_a_tunnel(house: App, caplog: pytest.LogCaptureFixture) -> None:
    async with proxy("http", 0) as way:
        assert await told_by_a_proxy(house, f"http://boss:geheim@127.0.0.1:{way.port}", caplog)
    assert set(way.asked) == {"api.telegram.org:443"}


@pytest.mark.parametrize("scheme", ["http", "socks5"])
async def test_a_proxy_that_is_not_there_is_named_without_its_password(house: App, scheme: str, caplog: pytest.LogCaptureFixture) -> None:
    assert await told_by_a_proxy(house, f"{scheme}://boss:geheim@127.0.0.1:{free_port()}", caplog)


async def told_by_a_proxy(house: App, url: str, caplog: pytest.LogCaptureFixture) -> bool:
    """Is the setting named in the log when the bot starts with a proxy that leads nowhere?"""
    settings = house.settings.model_copy(update={"telegram_token": SecretStr(TOKEN), "telegram_proxy": url})
    chat = TelegramChat(replace(house, settings=settings), mail_of(house), open_bot(settings))
    task = asyncio.create_task(chat.connect())
    for _ in range(100):
        await asyncio.sleep(0.05)
        if caplog.records:
            break
    await chat.close()
    await task
    assert "geheim" not in caplog.text
    return "COACH_TELEGRAM_PROXY" in caplog.text and url.rpartition("@")[2] in caplog.text


@pytest.mark.parametrize("url", ["nonsense", "ftp://127.0.0.1:21", "socks4://127.0.0.1:1080", "http://", "http://boss:geheim@host:none"])
def test_a_proxy_that_is_none_is_told_at_once(url: str) -> None:
    settings = Settings(telegram_token=SecretStr(TOKEN), telegram_proxy=url, _env_file=None)  # type: ignore[call-arg]
    with pytest.raises(SetupProblem, match="COACH_TELEGRAM_PROXY.*socks5://") as told:
        open_bot(settings)
    assert "geheim" not in str(told.value)


# -- manners -------------------------------------------------------------------------------------------


async def test_a_hundred_messages_in_a_second_are_slowed_down_kindly(house: App, api: BotApi) -> None:
    await member(house, REP, Role.REP, language="en")
    await member(house, 33, Role.REP, language="en")
    hasty, other = api.person(REP), api.person(33)
    async with running(house, api, messages_per_minute=5) as chat:
        chat.pace.wait = lambda chat: 0.0  # type: ignore[method-assign]
        for number in range(100):
            hasty.says(f"/nothing{number}")
        other.says("/nothing")
        await other.answer(patience=3)
        await hasty.messages(6)
        await chat.mailbox.idle()
    assert len(hasty.sees()) == 6
    assert hasty.sees()[-1]["text"] == say("en", "people.hurried", limit=5)


@pytest.mark.parametrize(
    ("content", "phrase"),
    [
        ({"voice": {"file_id": "v", "file_unique_id": "v", "duration": 3}}, "telegram.voice"),
        ({"dice": {"emoji": "🎲", "value": 3}}, "telegram.unread"),
        ({"photo": [{"file_id": "p", "file_unique_id": "p", "width": 9, "height": 9}]}, "telegram.unread"),
        ({"location": {"latitude": 1.0, "longitude": 2.0}}, "telegram.unread"),
    ],
)
async def test_what_cannot_be_read_is_answered_kindly(house: App, api: BotApi, content: dict[str, object], phrase: str) -> None:
    await member(house, REP, Role.REP, language="en")
    someone = api.person(REP)
    async with running(house, api):
        someone.sends(**content)
        assert await someone.answer() == say("en", phrase)


async def test_edits_old_buttons_and_double_taps(house: App, api: BotApi) -> None:
    await member(house, REP, Role.REP, language="en")
    someone = api.person(REP)
    async with running(house, api):
        first = someone.says("/language")
        (message,) = await someone.messages()
        someone.edits(first, "/help")
        assert await someone.answer() == say("en", "telegram.edited")
        someone.presses("中文", message)
        someone.presses("中文", message)
        assert await someone.answer() == say("zh", "core.language_set")
        someone.taps(message, "nonsense:gone")
        assert await someone.answer() == say("zh", "core.old_button")
    queries = [name for name, _ in api.calls if name == "answerCallbackQuery"]
    assert len(queries) == 3


async def test_a_button_still_works_after_a_restart(house: App, api: BotApi) -> None:
    await member(house, REP, Role.REP, language="en")
    someone = api.person(REP)
    async with running(house, api):
        someone.says("/language")
        await someone.answer()
    async with running(house, api):
        someone.presses("中文")
        assert await someone.answer() == say("zh", "core.language_set")


async def test_the_longest_message_is_taken(house: App, api: BotApi) -> None:
    await member(house, REP, Role.REP, language="en")
    someone = api.person(REP)
    async with running(house, api):
        someone.says("/feedback " + "😀" * 4086)
        assert await someone.answer() == say("en", "core.thanks")
        someone.says("/" + "x" * 4095)
        assert "There is no command" in await someone.answer()
    rows = await house.store.rows("SELECT details FROM audit WHERE what = 'feedback'")
    assert json.loads(rows[0]["details"])["text"] == "😀" * 2000


async def test_an_hour_of_messages_is_answered_in_order_after_a_pause(house: App, api: BotApi) -> None:
    await member(house, REP, Role.REP, language="en")
    someone, now = api.person(REP), int(time.time())
    for minute in range(60):
        someone.says(f"/nothing{minute}", date=now - 60 * (60 - minute))
    async with running(house, api, messages_per_minute=5) as chat:
        chat.pace.wait = lambda chat: 0.0  # type: ignore[method-assign]
        await someone.messages(60)
    texts = [message["text"] for message in someone.sees()]
    assert [text.split("/nothing")[1].split(".")[0] for text in texts] == [str(minute) for minute in range(60)]


async def test_clocks_that_jump_lose_nothing(house: App, api: BotApi) -> None:
    await member(house, REP, Role.REP, language="en")
    someone, now = api.person(REP), int(time.time())
    async with running(house, api) as chat:
        chat.pace.wait = lambda chat: 0.0  # type: ignore[method-assign]
        for hours in (0, 5, -5, 0, 24 * 400, -24 * 400):
            someone.says(f"/nothing{hours}", date=now + 3600 * hours)
        await someone.messages(6)
    assert len(someone.sees()) == 6


async def test_a_forwarded_message_of_a_rep_is_a_message_like_any_other(house: App, api: BotApi) -> None:
    await member(house, REP, Role.REP, language="en")
    someone = api.person(REP)
    origin = {"type": "hidden_user", "date": 1, "sender_user_name": "Somebody"}
    async with running(house, api):
        someone.says("/feedback")
        await someone.answer()
        someone.says("The card lacks an example", forward_origin=origin)
        assert await someone.answer() == say("en", "core.thanks")


async def test_a_group_hears_only_what_is_meant_for_it_and_nothing_private(house: App, api: BotApi) -> None:
    await member(house, REP, Role.REP, language="en")
    someone, stranger, group = api.person(REP), api.person(99), api.group()
    async with running(house, api):
        someone.says("lunch?", group)
        stranger.says("@coach_test_bot /help", group)
        someone.says("/help@other_bot", group)
        someone.says("/history@coach_test_bot", group)
        (answer,) = await someone.messages(1, chat=group)
        await asyncio.sleep(0.4)
    assert answer["text"] == say("en", "core.only_private", command="history")
    assert len(someone.sees(group)) == 1
    assert await count(house, "inbox WHERE raw <> ''") == 0


@pytest.mark.parametrize("mode", ["polling", "webhook"])
async def test_in_a_group_the_bot_answers_when_it_is_meant_and_shows_nothing_private(house: App, api: BotApi, mode: str) -> None:
    await member(house, REP, Role.REP, Role.ADMIN, language="en")
    someone, group = api.person(REP), api.group()
    async with running(house, api, **(with_webhook() if mode == "webhook" else {})) as chat:
        chat.pace.wait = lambda chat: 0.0  # type: ignore[method-assign]
        for chatter in ("lunch?", "the coach said so", "mail me at coach@example.com", "/help@other_bot"):
            someone.says(chatter, group)
        someone.says("@coach_test_bot /help", group)
        (answer,) = await someone.messages(1, chat=group)
        assert "/history" in answer["text"]
        someone.says("/nothing", group, reply_to_message=answer)
        assert "nothing" in await someone.answer(chat=group)
        for name in sorted(PRIVATE):
            someone.says(f"/{name}@coach_test_bot", group)
            assert await someone.answer(chat=group) == say("en", "core.only_private", command=name), name
        for token, name in PRIVATE_TAPS.items():
            someone.taps(answer, f"{token}:1")
            assert await someone.answer(chat=group) == say("en", "core.only_private", command=name), token
        await chat.mailbox.idle()
    assert someone.sees() == [], "nothing of it came privately either"
    assert not any("document" in message or "photo" in message for message in someone.sees(group))
    assert len(someone.sees(group)) == 2 + len(PRIVATE) + len(PRIVATE_TAPS)


async def test_a_talk_goes_on_where_a_group_became_a_supergroup(house: App, api: BotApi) -> None:
    await member(house, REP, Role.REP, language="en")
    someone, group = api.person(REP), api.group(-4_001, kind="group")
    async with running(house, api) as chat:
        someone.says("/feedback@coach_test_bot", group)
        assert await someone.answer(chat=group) == say("en", "core.feedback_ask")
        new = api.upgrades(group, someone)
        someone.says("@coach_test_bot the card lacks an example", new)
        assert await someone.answer(chat=new) == say("en", "core.thanks")
        await chat.mailbox.idle()
    assert [
        await count(house, f"{table} WHERE chat = 'tg:{group.id}'")
        for table in ("sessions", "turns", "outbox", "inbox")
    ] == [0] * 4
    assert await count(house, "inbox WHERE state <> 'done'") == 0


async def test_what_was_on_its_way_to_a_group_arrives_once_in_the_supergroup(house: App, api: BotApi) -> None:
    await member(house, REP, Role.REP, language="en")
    someone, group = api.person(REP), api.group(-4_002, kind="group")
    async with running(house, api) as chat:
        api.fail("sendMessage", status=502, contains="nothing1")
        someone.says("/nothing1", group)
        await until(lambda: api.faults[0].times == 0)
        someone.says("/nothing2", group)
        new = api.upgrades(group, someone, told=False)
        new.messages = {
            item: message | {"chat": new.json()} for item, message in group.messages.items()
        }  # other messages of the same numbers
        await someone.messages(2, chat=new)
        someone.says("/nothing3", new)
        await someone.answer(chat=new)
        await chat.mailbox.idle()
        await asyncio.sleep(0.3)
    answers = [message["text"] for message in someone.sees(new)]
    assert [text.split("/nothing")[1][0] for text in answers] == ["1", "2", "3"]
    hung = [
        json.loads(given["reply_parameters"])["message_id"] if "reply_parameters" in given else None
        for name, given in api.calls
        if given.get("chat_id") == str(new.id)
    ]
    assert hung[:2] == [None, None] and hung[2], "an answer hangs on no message of another chat"


async def until(seen: Callable[[], object]) -> None:
    for _ in range(400):
        if seen():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("it never happened")


# -- private -------------------------------------------------------------------------------------------


async def test_no_words_and_no_secrets_reach_the_log(house: App, api: BotApi, caplog: pytest.LogCaptureFixture) -> None:
    from bot.logbook import quiet_libraries

    caplog.set_level(logging.INFO)
    quiet_libraries("INFO")
    await member(house, REP, Role.REP, language="en")
    someone = api.person(REP, "Geheimrat", "en")
    async with running(house, api):
        api.fail("sendMessage", status=502)
        someone.says("/feedback Zebra-Klausel 4711")
        await someone.answer()
        api.push_raw({"message": {"message_id": "x", "text": "Zebra again", "chat": {"id": 5, "type": "private"}, "from": {"id": 5}}})
        await asyncio.sleep(0.5)
    assert "parked" in caplog.text
    for secret in ("Zebra", TOKEN, TOKEN.split(":")[1], "Geheimrat"):
        assert secret not in caplog.text


async def test_everything_kept_about_a_person_is_exported_and_forgotten(house: App, api: BotApi) -> None:
    await member(house, REP, Role.REP, language="en")
    someone = api.person(REP, "Anna Unverwechselbar", "en")
    assert isinstance(house.store, SqlStore)
    async with running(house, api) as chat:
        someone.says("/feedback The Zebra clause is missing")
        await someone.answer()
        await seed_records(house)
        assert await someone.answer() == "x"
        someone.says("/privacy")
        await someone.answer()
        someone.presses("Export")
        (document,) = [m for m in await someone.messages(2) if "document" in m]
        exported = json.loads(api.files[document["document"]["file_id"]][1])
        assert {"turns", "sessions", "gaps", "audit"} <= exported.keys() and "Zebra" in json.dumps(exported)
        someone.presses("Delete")
        await someone.answer()
        someone.presses("Delete everything")
        assert await someone.answer() == say("en", "privacy.forgotten_all")
        await chat.mailbox.idle()
        someone.says("/privacy")
        assert await someone.answer() == say("en", "people.closed")
        await chat.mailbox.idle()
    await sweep(house)
    async with house.store.engine.connect() as connection:
        raw = await connection.get_raw_connection()
        everything = "\n".join([line async for line in raw.driver_connection.iterdump()])  # type: ignore[union-attr]
    for trace in ("tg:22", "Zebra", "Unverwechselbar"):
        assert trace not in everything, trace


async def seed_records(app: App) -> None:
    """A gap, written as a turn would."""
    from bot.turns import Record

    incoming = Incoming("x1", "tg:22", "tg:22", app.clock(), "Zebra question")
    session = await app.store.session("tg:22", "tg:22")
    gap = Record("gap", {"text": "Zebra question", "language": "en", "reason": "abstained", "topics": []})
    assert await app.store.keep(incoming, session, Reply((Say("x"),)), (gap,))


async def test_old_turns_are_deleted_after_the_time_that_the_company_set(house: App) -> None:
    from datetime import timedelta

    await seed_records(house)
    later = replace(house, clock=lambda: house.clock() + timedelta(days=400))
    await sweep(house)
    assert await count(house, "turns") == 1
    await sweep(later)
    assert [await count(house, table) for table in ("turns", "gaps", "sessions")] == [0, 0, 0]


def test_invitation_codes_are_long_and_kept_as_digests_only() -> None:
    from datetime import UTC, datetime

    code, record = invitation(["rep"], datetime.now(UTC))
    assert len(code) >= 16 and code not in json.dumps(record.data)


async def test_a_quiz_vote_comes_back_as_an_answer_to_its_question(house: App, api: BotApi) -> None:
    await member(house, REP, Role.REP, language="en")
    someone = api.person(REP)
    someone.says("/nothing")
    async with running(house, api) as chat:
        await someone.answer()
        heard: list[Incoming] = []

        async def attend(incoming: Incoming, person: Person | None, remark: str | None = None, typing: Typing = UNSEEN) -> list[Aside]:
            heard.append(incoming)
            return [Aside(incoming.chat, Reply((Poll("q7", "2 + 2?", ("3", "4"), 1, "count"),), "en"))] if not incoming.poll else []

        chat.admission.attend = attend  # type: ignore[method-assign]
        someone.says("quiz me")
        (quiz,) = await someone.messages()
        someone.votes(1, message=quiz)
        for _ in range(100):
            await asyncio.sleep(0.02)
            if len(heard) > 1:
                break
    assert (heard[-1].poll, heard[-1].poll_options, heard[-1].chat) == ("q7", (1,), "tg:22")


async def test_a_reply_names_the_message_that_it_hangs_on(house: App, api: BotApi) -> None:
    await member(house, REP, Role.REP, language="en")
    someone = api.person(REP)
    async with running(house, api) as chat:
        someone.says("/nothing")
        (message,) = await someone.messages()
        chat.admission.attend = AsyncMock(return_value=[])  # type: ignore[method-assign]
        someone.says("too general", reply_to_message=message)
        await until(lambda: chat.admission.attend.await_args)  # type: ignore[attr-defined]
    assert chat.admission.attend.await_args[0][0].reply_to == str(message["message_id"])  # type: ignore[attr-defined]


async def test_files_are_fetched_within_limits(house: App, api: BotApi) -> None:
    await member(house, REP, Role.REP, language="en")
    someone = api.person(REP)
    someone.says("/nothing")
    async with running(house, api, upload_megabytes=1) as chat:
        await someone.answer()
        file_id = api.keep_file("a.md", b"# Title")
        found = await chat.fetch(Attachment("../../etc/a.md", 7, file_id))
        assert found.path and Path(found.path).read_bytes() == b"# Title"
        assert Path(found.path).parent == house.data_dir / "uploads"
        with pytest.raises(CannotHelp, match="too_big"):
            await chat.fetch(Attachment("big.pdf", 2_000_000, file_id))
        with pytest.raises(CannotHelp, match="gone"):
            await chat.fetch(Attachment("a.md", 7, "unknown"))


async def test_uploads_are_limited_a_day(house: App, api: BotApi) -> None:
    await member(house, REP, Role.REP, language="en")
    someone = api.person(REP)
    async with running(house, api, uploads_per_day=1):
        someone.uploads("a.md", b"# A")
        assert await someone.answer() != say("en", "people.uploads", limit=1)
        someone.uploads("b.md", b"# B")
        assert await someone.answer() == say("en", "people.uploads", limit=1)
