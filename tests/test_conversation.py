"""A turn is durable: kept whole or not at all, answered once, in the language of choice, within the person's rights."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from bot import votes
from bot.conversation import COMMANDS, respond, serve
from bot.people import PERMISSIONS, Person, Role
from bot.ports import App
from bot.sessions import Advising, Rehearsing, Session, session_from_json, session_to_json
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


QUESTION = "换了新的采购经理，之前谈好的都不算了"  # a situation: no question mark, no question word


async def voted_down(app: App, *, number: int = 2) -> Reply:
    await serve(app, ANNA, said("没人牵头，互相推", 1))
    reply = await serve(app, ANNA, said("", number, choice="vote:down:u1"))
    assert reply is not None and "哪里不对" in plain(reply)
    return reply


async def reason(app: App) -> str:
    (row,) = await app.store.rows("SELECT vote, reason FROM feedback")
    assert row["vote"] == -1
    return str(row["reason"])


def token(reply: Reply | None, label: str) -> str:
    assert reply is not None
    return next(choice.token for offer in reply.of(Offer) for choice in offer.choices if label in choice.label)


async def test_a_question_after_a_thumb_down_gets_its_answer_and_may_still_be_the_reason(app: App) -> None:
    await voted_down(app)
    reply = await serve(app, ANNA, said(QUESTION, 3))
    assert reply is not None and reply.action in ("coach", "clarify") and await reason(app) == ""
    (row,) = await app.store.rows("SELECT said, action FROM turns WHERE incoming = 'u3'")
    assert (row["said"], row["action"]) == (QUESTION, reply.action)
    thanks = await serve(app, ANNA, said("", 4, choice=token(reply, "👎 的原因")))
    assert thanks is not None and "谢谢" in plain(thanks) and await reason(app) == QUESTION
    more = await serve(app, ANNA, said("那如果他还是不肯呢？", 5))
    assert more is not None and more.action in ("coach", "clarify") and await reason(app) == QUESTION


async def test_a_reason_that_was_a_question_is_answered_by_a_tap(app: App) -> None:
    await voted_down(app)
    thanks = await serve(app, ANNA, said("话术太生硬，我说不出口", 3))
    assert await reason(app) == "话术太生硬，我说不出口"
    reply = await serve(app, ANNA, said("", 4, choice=token(thanks, "问题")))
    assert reply is not None and "谢谢，已记下" not in plain(reply) and await reason(app) == ""


async def test_a_reason_can_be_tapped_and_what_follows_is_a_question(app: App) -> None:
    asked = await voted_down(app)
    await serve(app, ANNA, said("", 3, choice=token(asked, "太笼统")))
    assert await reason(app) == "太笼统"
    session = await app.store.session(ANNA.chat, ANNA.id)
    assert isinstance(session.activity, Advising) and session.activity.situation, "the talk goes on where it was"
    assert (await serve(app, ANNA, said(QUESTION, 4))).action in ("coach", "clarify")  # type: ignore[union-attr]
    assert await reason(app) == "太笼统"


async def test_a_reply_to_our_message_is_the_reason_whatever_it_looks_like(app: App) -> None:
    await voted_down(app)
    async with app.store.engine.begin() as connection:  # type: ignore[attr-defined]
        await connection.exec_driver_sql("UPDATE outbox SET message = '70 71' WHERE incoming = 'u2'")
    await serve(app, ANNA, said(QUESTION, 3, reply_to="71"))
    assert await reason(app) == QUESTION


async def test_a_thumb_down_in_the_middle_of_a_talk_does_not_end_it(app: App) -> None:
    await serve(app, ANNA, said("没人牵头，互相推", 1))
    await serve(app, ANNA, said("S01 1", 2, command="roleplay"))
    asked = await serve(app, ANNA, said("", 3, choice="vote:down:u1"))
    assert isinstance((await app.store.session(ANNA.chat, ANNA.id)).activity, Rehearsing)
    await serve(app, ANNA, said("", 4, choice=token(asked, "太长")))
    assert isinstance((await app.store.session(ANNA.chat, ANNA.id)).activity, Rehearsing) and await reason(app) == "太长"


# not used to choose the rule
WRONG = (
    "建议太保守了，等不起", "客户那边不是这么决策的", "没提到怎么跟财务谈", "这是给新人看的，我做了十年了", "话太绕了", "举的例子不是我们行业", "我说的是续约，不是新签", "步骤顺序反了吧，我得先见老总",
    "看完还是不知道该干嘛", "说的都是正确的废话", "The tone is too pushy", "I wanted words to say, not theory", "It assumes I know the CFO",
    "Half of it doesn't apply to distributors", "This is what any textbook says", "You mixed up the buyer and the user",
    "Doesn't help me with tomorrow's meeting", "too vague to act on", "The questions would embarrass him",
    "I don't agree with the cause",
)  # fmt: skip
ASKED = (
    "经销商跳过我们直接找工厂", "客户要求派人驻厂", "总经理换人了，新的只认原来的供应商", "投标保证金被扣了", "他们想分期付款，财务不同意", "年底冲量，客户让我们再让三个点", "技术交流会没人来",
    "内线说另一家已经内定", "对方法务改了十几条合同条款", "想请客户来工厂参观", "The buyer went silent after our offer",
    "Headquarters cancelled all new suppliers", "They compare us with a cheaper import",
    "My contact forwards all my mails to his boss", "The project was handed to a new team",
    "We have been second source for five years", "Quality rejected two batches in a row",
    "The end user wants us, the contractor does not", "They ask me to name our other customers",
    "The committee meets in three weeks",
)  # fmt: skip


def test_most_lines_after_a_thumb_down_are_told_apart(playbook: App) -> None:
    reasons = [text for text in WRONG if not votes.asks(playbook, text)]
    questions = [text for text in ASKED if votes.asks(playbook, text)]
    assert len(questions) >= 18 and len(reasons) >= 12, (set(ASKED) - set(questions), set(WRONG) - set(reasons))


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


async def test_a_name_is_found_among_many_people(app: App) -> None:
    boss = Person("t:boss", frozenset({Role.ADMIN}), "Boss", chat="chat-boss", language="en")
    for number in range(70):
        await app.store.welcome(Person(f"t:{number}", frozenset({Role.REP}), f"Ann {number:02}", chat=f"c{number}"), NOW)
    await app.store.welcome(Person("t:z", frozenset({Role.REP}), "Zoë_100%", team="Süd", chat="c-z"), NOW)
    for wanted, found in (("zoë_100%", True), ("süd", True), ("x_100%", False), ("ann 69", False)):
        reply = (await respond(app, boss, Session("chat-boss", boss.id), said(wanted, command="people"))).reply
        assert ("Zoë_100%" in plain(reply)) is found
