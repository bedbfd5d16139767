"""A turn is durable: kept whole or not at all, answered once, in the language of choice, within the person's rights."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from bot.conversation import COMMANDS, respond, serve
from bot.people import PERMISSIONS, Person, Role
from bot.ports import App
from bot.sessions import Advising, Session, session_from_json, session_to_json
from bot.turns import (
    Choice,
    Citation,
    Draft,
    Exchange,
    Incoming,
    Offer,
    Quote,
    Reply,
    Say,
    Scores,
    plain,
    reply_from_json,
    reply_to_json,
)  # fmt: skip

NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)
ANNA = Person("t:anna", frozenset({Role.REP}), "Anna", chat="chat-a")


def said(text: str, number: int = 1, **more: object) -> Incoming:
    return Incoming(f"u{number}", "chat-a", ANNA.id, NOW, text, **more)  # type: ignore[arg-type]


async def rows(app: App, table: str) -> int:
    return int((await app.store.rows(f"SELECT count(*) AS n FROM {table}"))[0]["n"])


async def test_a_turn_writes_session_history_and_outbox_in_one_go(app: App) -> None:
    await app.store.welcome(ANNA, NOW)
    reply = await serve(app, ANNA, said("三个部门互相推，没人牵头"))
    assert reply is not None
    session = await app.store.session("chat-a", ANNA.id)
    assert session.version == 1 and isinstance(session.activity, Advising) and len(session.history) == 2
    assert [await rows(app, table) for table in ("turns", "outbox")] == [1, 1]


async def test_a_repeated_update_is_answered_once(app: App) -> None:
    assert await serve(app, ANNA, said("没人牵头，互相推")) is not None
    assert await serve(app, ANNA, said("没人牵头，互相推")) is None
    assert await rows(app, "outbox") == 1


async def test_a_turn_that_fails_half_way_leaves_nothing_behind(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    from bot.store import WRITERS

    async def broken(*_: object) -> None:
        raise RuntimeError("disk on fire")

    monkeypatch.setitem(WRITERS, "gap", broken)
    with pytest.raises(RuntimeError):
        await serve(app, ANNA, said("明天北京天气怎么样，要带伞吗"))
    assert [await rows(app, table) for table in ("turns", "outbox", "sessions", "gaps")] == [0, 0, 0, 0]


async def test_a_session_written_meanwhile_is_not_overwritten(app: App) -> None:
    old = await app.store.session("chat-a", ANNA.id)
    await serve(app, ANNA, said("没人牵头", 1))
    kept = await app.store.keep(said("later", 2), old, Reply((Say("x"),)))
    assert kept is False
    assert (await app.store.session("chat-a", ANNA.id)).version == 1


async def test_the_conversation_survives_a_restart(settings) -> None:  # type: ignore[no-untyped-def]
    from bot.app import open_app

    async with open_app(settings) as app:
        await serve(app, ANNA, said("设备部让我找采购，采购又让我找设备部", 1))
    async with open_app(settings) as app:
        session = await app.store.session("chat-a", ANNA.id)
        assert isinstance(session.activity, Advising) and session.activity.topic == "buck-passing"
        reply = await serve(app, ANNA, said("那如果他们还是推呢？", 2))
        assert reply is not None and "buck-passing" in [card for card, _ in reply.topics[:3]]


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("command", sorted(COMMANDS))
async def test_only_permitted_roles_may_give_a_command(playbook: App, role: Role, command: str) -> None:
    person = replace(ANNA, roles=frozenset({role}))
    outcome = await respond(playbook, person, Session("c", person.id), said("", command=command))
    refused = "角色不能" in plain(outcome.reply)
    assert refused == (role not in PERMISSIONS[command])


async def test_nobody_without_a_role_gets_anything(playbook: App) -> None:
    stranger = Person("t:x", frozenset())
    for incoming in (said("没人牵头"), said("", command="topics"), said("", choice="card:buck-passing")):
        outcome = await respond(playbook, stranger, Session("c", "t:x"), incoming)
        assert "角色不能" in plain(outcome.reply) and not outcome.reply.of(Quote)


async def test_the_language_is_by_choice_then_message_then_platform(playbook: App) -> None:
    async def language(incoming: Incoming, session: Session) -> str:
        return (await respond(playbook, ANNA, session, incoming)).reply.language

    fresh = Session("c", ANNA.id)
    assert await language(said("Nobody takes the lead"), fresh) == "en"
    assert await language(said("没人牵头"), fresh) == "zh"
    assert await language(said("没人牵头"), replace(fresh, language="en")) == "en"
    assert await language(said("", command="help", language_hint="en-GB"), fresh) == "en"
    assert await language(said("", command="help", language_hint="zh-hans"), fresh) == "zh"


async def test_choosing_a_language_is_remembered(app: App) -> None:
    await app.store.welcome(ANNA, NOW)
    await serve(app, ANNA, said("en", 1, command="language"))
    person = await app.store.person(ANNA.id)
    assert person is not None and person.language == "en"
    reply = await serve(app, person, said("没人牵头，互相推", 2))
    assert reply is not None and reply.language == "en"


async def test_a_vote_is_counted_once_and_asks_why(app: App) -> None:
    await serve(app, ANNA, said("没人牵头，互相推", 1))
    await serve(app, ANNA, said("", 2, choice="vote:up:u1"))
    await serve(app, ANNA, said("", 3, choice="vote:down:u1"))
    await serve(app, ANNA, said("答非所问", 4))
    assert [dict(r) for r in await app.store.rows("SELECT vote, reason FROM feedback")] == [{"vote": -1, "reason": "答非所问"}]
    assert await rows(app, "gaps") == 1


async def test_a_source_button_shows_the_cited_passage(app: App) -> None:
    reply = await serve(app, ANNA, said("没人牵头，互相推", 1))
    shown = await serve(app, ANNA, said("", 2, choice="src:u1:0"))
    assert reply is not None and shown is not None
    first = reply.of(Quote)[0]
    assert first.text in plain(shown, folded=True) and first.source.place in plain(shown)


async def test_others_cannot_look_at_my_sources_or_vote_for_me(app: App) -> None:
    await serve(app, ANNA, said("没人牵头，互相推", 1))
    eve = replace(ANNA, id="t:eve")
    for number, token in enumerate(("src:u1:0", "vote:up:u1")):
        reply = await serve(app, eve, Incoming(f"e{number}", "chat-e", eve.id, NOW, choice=token))
        assert reply is not None and "按钮" in plain(reply)


def test_sessions_and_replies_survive_json() -> None:
    source = Citation("a/zh/steps", "A", "A › B", "card", 3)
    blocks = (Say("x"), Quote("q", source, "l", "step", True), Draft("d", (source,), supported=False), Offer((Choice("a", "t"),), "?"), Scores("s", (("open", None), ("value", 3.5)), 3.2))
    reply = Reply(blocks, "en", "coach", (("a", 0.5),), "m")
    assert reply_from_json(reply_to_json(reply)) == reply
    session = Session("c", "p", "en", Advising("s", "a", "b", (("a", 0.1),), ("x",), ("y",), {"stage": "bid"}), (Exchange("rep", "hi"),), 4)
    assert session_from_json(session_to_json(session)) == session
