"""What a rep gets: one screen of advice from the cards, without a language model."""

from datetime import UTC, datetime

import pytest

from bot.advice import AIM, CAP
from bot.conversation import respond
from bot.people import Person, Role
from bot.ports import App, Outcome
from bot.sessions import Session
from bot.turns import Incoming, Offer, Quote, plain

REP = Person("t:1", frozenset({Role.REP}), chat="t")
NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)
PAIRS = [
    ("设备部让我找采购，采购又让我找设备部", "Maintenance sends me to purchasing and purchasing sends me back to maintenance", "buck-passing"),
    ("老板说把小客户都砍了，只做前五大", "My boss wants to drop all the small customers and focus on the top five", "myth-drop-small"),
    ("联系人说他能定，可我听说要上会", "He says he decides, but I hear it has to go to a committee", "sign-off"),
]


async def turn(app: App, session: Session, text: str = "", **more: object) -> Outcome:
    incoming = Incoming(f"i{session.version}-{hash(text)}", "t", REP.id, NOW, text, **more)  # type: ignore[arg-type]
    return await respond(app, REP, session, incoming)


@pytest.mark.parametrize(("zh", "en", "card"), PAIRS, ids=[pair[2] for pair in PAIRS])
async def test_twins_reach_the_same_card_in_their_own_language(playbook: App, zh: str, en: str, card: str) -> None:
    for text, language in ((zh, "zh"), (en, "en")):
        reply = (await turn(playbook, Session("t", REP.id), text)).reply
        assert reply.topics[0][0] == card and reply.action == "coach" and reply.language == language


@pytest.mark.parametrize("text", [pair[0] for pair in PAIRS] + [pair[1] for pair in PAIRS])
async def test_the_form_is_complete_and_fits_one_screen(playbook: App, text: str) -> None:
    reply = (await turn(playbook, Session("t", REP.id), text)).reply
    visible = [quote.role for quote in reply.of(Quote) if not quote.folded]
    assert 1 <= visible.count("diagnosis") <= 2 and visible.count("say") == 1 and visible.count("caution") == 1
    assert 1 <= visible.count("ask") <= 2 and 2 <= visible.count("step") <= 3
    assert len(plain(reply)) <= CAP[reply.language]


async def test_every_quote_stands_in_its_stored_passage_word_for_word(playbook: App) -> None:
    for zh, en, _ in PAIRS:
        for text in (zh, en):
            for quote in (await turn(playbook, Session("t", REP.id), text)).reply.of(Quote):
                passage = await playbook.shelf.passage(quote.source.passage_id, quote.source.version)
                assert passage is not None and quote.text in passage.text and quote.source.place == passage.place


async def test_tapping_another_cause_changes_the_advice_to_that_cause(playbook: App) -> None:
    first = await turn(playbook, Session("t", REP.id), PAIRS[0][0])
    token = next(item.token for offer in first.reply.of(Offer) for item in offer.choices if item.token.startswith("cause:"))
    second = await turn(playbook, first.session, choice=token)
    card = playbook.retriever.cards()["buck-passing"]
    cause = card.cause(token.split(":")[2])
    assert cause is not None
    shown = [quote.text for quote in second.reply.of(Quote)]
    before = [quote.text for quote in first.reply.of(Quote)]
    assert cause.zh in shown and cause.check.zh in [*before, *shown], "its check is shown, once"
    others = [item.zh for item in card.say if item.cause not in (None, cause.id)]
    assert not set(others) & set(shown), "sentences for other causes are not shown"


async def test_a_follow_up_stays_with_the_situation_and_brings_new_words(playbook: App) -> None:
    first = await turn(playbook, Session("t", REP.id), "我的联系人不让我见他们老总，每次都说不用")
    talked = first.session.heard("我的联系人不让我见他们老总，每次都说不用", first.reply, plain(first.reply))
    second = await turn(playbook, talked, "那如果他还是不肯呢？")
    assert second.reply.action == "coach"
    assert {card for card, _ in second.reply.topics[:3]} & {card for card, _ in first.reply.topics[:2]}


async def test_nothing_fits_is_said_and_becomes_a_gap(playbook: App) -> None:
    for text in ("明天北京天气怎么样，要带伞吗", "What is the best recipe for sourdough bread?"):
        outcome = await turn(playbook, Session("t", REP.id), text)
        assert outcome.reply.action == "abstain" and not outcome.reply.of(Quote)
        assert [record.kind for record in outcome.records] == ["gap"] and outcome.records[0].data["text"] == text


async def test_a_very_long_message_is_answered(playbook: App) -> None:
    text = "客户那边三个部门互相推，谁都不肯牵头，我跑了很多趟。" * 800
    outcome = await turn(playbook, Session("t", REP.id), text)
    assert outcome.reply.topics[0][0] == "buck-passing" and len(plain(outcome.reply)) <= CAP["zh"]


@pytest.mark.parametrize("text", ["😀😀😀", "\u202e\u0000???", "1234567", "。。。", "a" * 20000, "کیف حالك"], ids=repr)
async def test_odd_input_gets_an_answer_and_no_crash(playbook: App, text: str) -> None:
    outcome = await turn(playbook, Session("t", REP.id), text)
    assert plain(outcome.reply)


async def test_an_old_button_is_explained(playbook: App) -> None:
    for token in ("cause:no-such-card:x", "card:gone", "nonsense", "src:999:0", "vote:up:999"):
        outcome = await turn(playbook, Session("t", REP.id), choice=token)
        assert "按钮" in plain(outcome.reply)


def test_the_aim_is_below_the_cap() -> None:
    assert AIM["zh"] < CAP["zh"] and AIM["en"] < CAP["en"]
