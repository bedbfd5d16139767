"""Quizzes: questions stand on the playbook, answers count once, memory follows, nothing breaks on odd input."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import pytest

from bot.conversation import serve
from bot.curriculum import bank_of, skills_of
from bot.people import Person, Role
from bot.ports import App
from bot.quiz import choose_questions
from bot.sessions import Quizzing
from bot.store import SqlStore
from bot.store.database import open_engine
from bot.turns import Incoming, Poll, Quote, Reply, plain
from knowledge.cards import load_cards
from knowledge.questions import MAX_EXPLANATION, MAX_OPTION, MAX_STEM, Bank, load_authored, misquoted

AMY = Person("amy", frozenset({Role.NEWHIRE}), "Amy", chat="t:amy", language="en")
BEN = Person("ben", frozenset({Role.REP}), "Ben", chat="t:ben", language="en")
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


class Desk:
    """Somebody at the bot: says things, taps, votes; keeps count of turns and moves the clock."""

    def __init__(self, app: App, person: Person = AMY) -> None:
        self.app, self.person, self.now, self.turn = app, person, NOON, 0

    async def does(self, text: str = "", **what: object) -> Reply:
        self.turn += 1
        incoming = Incoming(f"{self.person.id}:{self.turn}", self.person.chat, self.person.id, self.now, text, **what)  # type: ignore[arg-type]
        reply = await serve(self.app, self.person, incoming)
        assert reply is not None
        return reply

    async def opens(self, about: str = "") -> Poll:
        reply = await self.does(about, command="quiz")
        return next(block for block in reply.blocks if isinstance(block, Poll))

    async def votes(self, poll: Poll, right: bool = True) -> Reply:
        picked = poll.key if right else (poll.key + 1) % len(poll.options)
        return await self.does(poll=poll.token, poll_options=(picked,))


@pytest.fixture
async def app(playbook: App, tmp_path: Path) -> AsyncIterator[App]:
    """The shared playbook with a database of this test's own."""
    engine = await open_engine(None, tmp_path)
    yield replace(playbook, store=SqlStore(engine), chance=Random(7), data_dir=tmp_path, extras={})
    await engine.dispose()


@pytest.fixture
async def amy(app: App) -> Desk:
    bank = bank_of(app)
    bank.by_id = {name: item for name, item in bank.by_id.items() if item.options}  # polls only; free answers have a test of their own
    await app.store.welcome(AMY, NOON)
    await app.store.welcome(BEN, NOON)
    return Desk(app)


async def reviews(app: App) -> int:
    return int((await app.store.rows("SELECT COUNT(*) AS n FROM reviews"))[0]["n"])


def next_poll(reply: Reply) -> Poll:
    return next(block for block in reply.blocks if isinstance(block, Poll))


# -- the bank


def test_there_are_at_least_three_hundred_checked_questions_and_each_fits_a_poll() -> None:
    cards = load_cards()
    bank = Bank(cards)
    asked = [question for question in bank.by_id.values() if question.options]
    assert len(asked) >= 300
    assert len(bank.by_card) >= 45
    for question in asked:
        assert 2 <= len(question.options) <= 6
        for language in ("zh", "en"):
            assert len(question.stem.text(language)) <= MAX_STEM
            assert all(len(option.text(language)) <= MAX_OPTION for option in question.options)
            assert len({option.text(language) for option in question.options}) == len(question.options)


def test_every_quote_stands_in_the_passage_that_it_names() -> None:
    cards = load_cards()
    assert misquoted(Bank(cards).by_id.values(), cards) == []
    assert misquoted(load_authored(), cards) == []


def test_keys_stand_at_every_place_about_equally_often() -> None:
    keys = [question.key for question in Bank(load_cards()).by_id.values() if len(question.options) == 4]
    assert all(0.2 < keys.count(place) / len(keys) < 0.3 for place in range(4))


def test_a_question_whose_card_has_changed_is_not_asked_until_it_was_checked_again() -> None:
    cards = dict(load_cards())
    card = cards["buck-passing"]
    cause = card.causes[0]
    new = cause.model_copy(update={"en": cause.en + " Really."})
    changed = {**cards, card.id: card.model_copy(update={"causes": (new, *card.causes[1:])})}
    before, after = Bank(cards), Bank(changed)
    assert {item.id for item in before.by_card[card.id]} > {item.id for item in after.by_card[card.id]}


# -- a session


@pytest.mark.parametrize("words", ["qwertzuiop", "banana bread"])
async def test_a_quiz_about_nothing_we_teach_says_so(app: App, words: str) -> None:
    reply = await Desk(app).does(words, command="quiz")
    assert words in plain(reply)
    assert not any(isinstance(block, Poll) for block in reply.blocks)


@pytest.mark.parametrize("words", ["招标", "decision maker", "price"])
async def test_a_quiz_about_a_word_of_ours_asks_about_it(app: App, words: str) -> None:
    reply = await Desk(app).does(words, command="quiz")
    assert any(isinstance(block, Poll) for block in reply.blocks)


async def test_five_questions_answered_leave_five_reviews_and_their_proof(amy: Desk) -> None:
    poll = await amy.opens()
    for n in range(5):
        reply = await amy.votes(poll, right=n % 2 == 0)
        assert any(isinstance(block, Quote) for block in reply.blocks)
        if n < 4:
            poll = next_poll(reply)
    assert "3 of 5 right" in plain(reply)
    assert await reviews(amy.app) == 5


async def test_the_proof_is_the_passage_word_for_word(amy: Desk) -> None:
    reply = await amy.votes(await amy.opens())
    quote = next(block for block in reply.blocks if isinstance(block, Quote))
    passage = amy.app.retriever.passage(quote.source.passage_id)
    assert passage is not None and quote.text in passage.text


async def test_the_explanation_fits_telegram(amy: Desk) -> None:
    for card in list(amy.app.retriever.cards())[:6]:
        poll = await amy.opens(card)
        assert len(poll.explanation) <= MAX_EXPLANATION and poll.explanation.count("\n") <= 2


async def test_a_second_vote_is_not_counted(amy: Desk) -> None:
    poll = await amy.opens()
    await amy.votes(poll)
    reply = await amy.votes(poll, right=False)
    assert "isn't scored again" in plain(reply)
    assert await reviews(amy.app) == 1


async def test_two_devices_answering_at_once_count_once(amy: Desk) -> None:
    poll = await amy.opens()
    session = await amy.app.store.session("t:amy", "amy")
    from bot.conversation import respond

    votes = [Incoming(f"v{n}", "t:amy", "amy", NOON, poll=poll.token, poll_options=(poll.key,)) for n in (1, 2)]
    outcomes = [await respond(amy.app, AMY, session, vote) for vote in votes]  # both read before either writes
    for vote, outcome in zip(votes, outcomes, strict=True):
        current = await amy.app.store.session("t:amy", "amy")
        await amy.app.store.keep(vote, replace(outcome.session, version=current.version), outcome.reply, [r for r in outcome.records if r.kind == "answer"])
    assert await reviews(amy.app) == 1


async def test_a_vote_in_somebody_elses_poll_changes_nothing(amy: Desk) -> None:
    poll = await amy.opens()
    reply = await Desk(amy.app, BEN).votes(poll)
    assert "wasn't put to you" in plain(reply)
    assert await reviews(amy.app) == 0


@pytest.mark.parametrize("options", [(), (99,), (-1,)])
async def test_a_vote_that_is_no_vote_changes_nothing(amy: Desk, options: tuple[int, ...]) -> None:
    poll = await amy.opens()
    await amy.does(poll=poll.token, poll_options=options)
    assert await reviews(amy.app) == 0


@pytest.mark.parametrize("typed", ["{letter}", "{number}", "{words}", "{letter}.", " {small} "])
async def test_an_answer_may_be_typed(amy: Desk, typed: str) -> None:
    poll = await amy.opens()
    letter = "ABCD"[poll.key]
    text = typed.format(letter=letter, small=letter.lower(), number=poll.key + 1, words=poll.options[poll.key])
    assert "Right." in plain(await amy.does(text))


async def test_an_unclear_answer_is_asked_again_and_cancel_ends(amy: Desk) -> None:
    await amy.opens()
    assert "letter" in plain(await amy.does("hmm, not sure"))
    await amy.does(command="cancel")
    assert not isinstance((await amy.app.store.session("t:amy", "amy")).activity, Quizzing)


async def test_after_a_break_the_open_question_comes_back(amy: Desk) -> None:
    poll = await amy.opens()
    amy.now += timedelta(days=400)
    again = await amy.opens()
    assert (again.token, again.stem, again.options) == (poll.token, poll.stem, poll.options)


async def test_an_old_poll_still_counts_after_the_quiz_was_left(amy: Desk) -> None:
    poll = await amy.opens()
    await amy.does(command="cancel")
    assert "Right." in plain(await amy.votes(poll))
    assert await reviews(amy.app) == 1


async def test_a_question_that_is_retired_while_open_is_judged_as_shown_and_not_asked_again(amy: Desk) -> None:
    poll = await amy.opens("buck-passing")
    rows = await amy.app.store.rows("SELECT question FROM quiz_asked")
    bank_of(amy.app).by_id.pop(rows[0]["question"])  # what an edit or deletion does to the bank
    assert "Right." in plain(await amy.votes(poll))


async def test_an_unknown_topic_and_an_old_button_are_answered_kindly(amy: Desk) -> None:
    assert plain(await amy.does(choice="quiz:card:nothing"))
    assert plain(await amy.does(choice="quiz:skip:zzz"))


async def test_what_would_you_say_is_judged_by_the_persons_own_sentence(amy: Desk) -> None:
    bank_of(amy.app).by_id = {item.id: item for item in load_authored() if item.id == "buck-passing.speak.lead"}
    await amy.does(command="quiz")
    reply = await amy.does("I'm not asking you to decide this. May I ask how a similar purchase was approved last time?")
    assert "you said “May I ask how a similar purchase was approved last time?”" in plain(reply)
    amy.now += timedelta(days=40)
    await amy.does(command="quiz")
    assert "not there" in plain(await amy.does("Then I will complain to your general manager."))


# -- memory


async def test_a_missed_check_of_a_role_play_feeds_the_same_skill(amy: Desk) -> None:
    from bot.turns import Record

    session = await amy.app.store.session("t:amy", "amy")
    record = Record("skill", {"card": "buck-passing", "objective": 0, "right": False})
    await amy.app.store.keep(Incoming("rp", "t:amy", "amy", NOON), session, Reply(()), [record, record])
    skill = (await skills_of(amy.app, "amy"))["buck-passing:0"]
    assert skill.reviews == 1 and skill.due - NOON < timedelta(hours=1)
    questions = await choose_questions(amy.app, AMY, NOON + timedelta(hours=1))
    assert questions[0].objective == "buck-passing:0"


async def test_five_hundred_due_reviews_make_one_short_session(amy: Desk) -> None:
    from bot.turns import Record

    goals = list(bank_of(amy.app).objectives())
    session = await amy.app.store.session("t:amy", "amy")
    records = [Record("skill", {"card": g.rpartition(":")[0], "objective": g, "right": True}) for g in goals]
    await amy.app.store.keep(Incoming("many", "t:amy", "amy", NOON), session, Reply(()), records)
    questions = await choose_questions(amy.app, AMY, NOON + timedelta(days=365))
    assert len(questions) == 5
    assert len({item.card for item in questions}) >= 3
