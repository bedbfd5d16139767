"""NEW HIRE and REP: short quizzes that bring back what is about to be forgotten; an answer is followed by its proof."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from bot import memory
from bot.curriculum import bank_of, modules_of, skills_of
from bot.errors import CannotHelp
from bot.people import Person
from bot.phrases import say
from bot.ports import App, Outcome
from bot.sessions import Idle, Quizzing, Session
from bot.store.learning import moment
from bot.turns import Block, Citation, Incoming, Language, Offer, Poll, Quote, Record, Reply, Say, choices
from knowledge.cards import Card
from knowledge.questions import MAX_EXPLANATION, Question, SpokenCheck

LENGTH = 5  # questions of a session
LETTERS = "ABCDEFGHIJKL"
STRANGE = 0.2  # a description that the playbook hardly treats: single words of ours lie above, other words near 0
ASKED_TWICE = timedelta(days=30)  # a topic asked about twice in this time is worth a question


@dataclass(frozen=True, slots=True)
class Asked:
    """A question as it was put to a person: texts, order of options and version are those that were shown."""

    token: str
    snapshot: Mapping[str, Any]
    answered: bool = False

    @property
    def key(self) -> int:
        return int(self.snapshot["key"])


# -- the screens -------------------------------------------------------------------------------------------------------


async def open_quiz(app: App, person: Person, session: Session, incoming: Incoming, language: Language) -> Outcome:
    """`/quiz` starts a session or goes on with one; `/quiz <card or topic>` asks about that."""
    about = incoming.text.strip()
    if isinstance(session.activity, Quizzing) and session.activity.state.get("token") and not about:
        return await _again(app, person, session, incoming, language)
    card = _card_named(app, about) if about else None
    return await begin(app, person, session, incoming, language, [card] if card else None)


async def begin(
    app: App, person: Person, session: Session, incoming: Incoming, language: Language, cards: Sequence[str] | None = None
) -> Outcome:
    """A new session of at most five questions: what is due, what was asked twice, then what is new."""
    return _started(app, session, language, await choose_questions(app, person, incoming.at, cards))


async def _diagnose(app: App, person: Person, session: Session, incoming: Incoming, language: Language) -> Outcome:
    """One question of each module, to see where to start."""
    found = [await choose_questions(app, person, incoming.at, module.cards, limit=1) for module in modules_of(app)]
    return _started(app, session, language, [question for questions in found for question in questions])


def _started(app: App, session: Session, language: Language, questions: Sequence[Question]) -> Outcome:
    if not questions:
        raise CannotHelp("quiz.none")
    run = f"{app.chance.getrandbits(40):010x}"
    state = {"left": [item.id for item in questions], "asked": 0, "right": 0, "of": len(questions), "token": ""}
    opening = Say(say(language, "quiz.start", count=len(questions)), "heading")
    return _next(app, session.doing(Quizzing(run, state)), language, [opening], [])


async def heard(app: App, person: Person, session: Session, incoming: Incoming, language: Language) -> Outcome:
    """Text in the middle of a quiz: a letter, an option's words, or a free answer."""
    assert isinstance(session.activity, Quizzing)
    asked = await _asked(app, person, session.activity.state.get("token", ""))
    if asked is None or asked.answered:
        return await _again(app, person, session, incoming, language)
    if asked.snapshot.get("checks"):
        return _graded(app, session, incoming, asked, language)
    picked = _picked(incoming.text, asked.snapshot["options"])
    if picked is None:
        raise CannotHelp("quiz.pick_one", letters="/".join(LETTERS[: len(asked.snapshot["options"])]))
    return _answered(app, session, asked, picked, language)


async def voted(app: App, person: Person, session: Session, incoming: Incoming, language: Language) -> Outcome:
    """A vote in a poll of ours. Polls that were answered, taken back, or put to somebody else change nothing."""
    asked = await _asked(app, person, incoming.poll or "")
    if asked is None:
        raise CannotHelp("quiz.not_yours")
    if asked.answered or not incoming.poll_options:
        raise CannotHelp("quiz.counted_before")
    if not 0 <= incoming.poll_options[0] < len(asked.snapshot["options"]):
        raise CannotHelp("quiz.not_yours")
    return _answered(app, session, asked, incoming.poll_options[0], language)


async def choose(app: App, person: Person, session: Session, incoming: Incoming, language: Language) -> Outcome:
    """Buttons: `quiz:more|stop|diagnose`, `quiz:skip:<token>`, `quiz:card:<id>`, `quiz:module:<id>`, `quiz:src:<token>`."""
    match (incoming.choice or "").split(":"):
        case ["quiz", "more"]:
            return await begin(app, person, session, incoming, language)
        case ["quiz", "card", card] if card in app.retriever.cards():
            return await begin(app, person, session, incoming, language, [card])
        case ["quiz", "module", name]:
            cards = [card for module in modules_of(app) if module.id == name for card in module.cards]
            return await begin(app, person, session, incoming, language, cards)
        case ["quiz", "diagnose"]:
            return await _diagnose(app, person, session, incoming, language)
        case ["quiz", "src", token]:
            return await _source(app, person, session, token, language)
        case ["quiz", "stop"] if isinstance(session.activity, Quizzing):
            return _finished(session, language, [])
        case ["quiz", "skip", token] if isinstance(session.activity, Quizzing) and session.activity.state["token"] == token:
            return _next(app, session, language, [], [])
        case _:
            raise CannotHelp("core.old_button")


# -- asking ------------------------------------------------------------------------------------------------------------


def _next(app: App, session: Session, language: Language, blocks: list[Block], records: list[Record]) -> Outcome:
    """The next question of the session, or its end."""
    assert isinstance(session.activity, Quizzing)
    state, bank = dict(session.activity.state), bank_of(app)
    left = [name for name in state["left"] if name in bank.by_id]  # a question may have been retired meanwhile
    if not left:
        return _finished(session, language, blocks, records)
    question = bank.by_id[left[0]]
    state["asked"] += 1
    token = f"{session.activity.run}.{state['asked']}"
    state |= {"left": left[1:], "token": token}
    snapshot = taken(app, question, language)
    records = [*records, Record("asked", {"token": token, "snapshot": snapshot})]
    blocks += _shown(snapshot, token, state, language)
    return Outcome(session.doing(replace(session.activity, state=state)), Reply(tuple(blocks), language, "chat"), tuple(records))


def taken(app: App, question: Question, language: Language) -> dict[str, Any]:
    """What is shown and needed to judge the answer, whatever happens to the question later."""
    card: Card = app.retriever.cards()[question.card]
    order = list(range(len(question.options)))
    app.chance.shuffle(order)
    passages = {item.part: item for item in app.retriever.passages_of(card.id, language)}
    passage = passages[question.part]
    return {
        "question": question.id, "kind": question.kind, "card": card.id, "objective": question.objective, "language": language,
        "stem": question.stem.text(language), "options": [question.options[i].text(language) for i in order],
        "key": order.index(question.key) if order else 0, "quote": question.quote.text(language),
        "passage": passage.id, "title": passage.title, "place": passage.place, "version": app.retriever.version,
        "checks": [_check_json(check, language) for check in question.checks],
    }  # fmt: skip


def _check_json(check: SpokenCheck, language: Language) -> dict[str, Any]:
    return {
        "id": check.id, "name": check.name.text(language),
        "like": [item.text(language) for item in check.like], "unlike": [item.text(language) for item in check.unlike],
    }  # fmt: skip


def _shown(snapshot: Mapping[str, Any], token: str, state: Mapping[str, Any], language: Language) -> list[Block]:
    where = Say(say(language, "quiz.progress", number=state["asked"], of=state["of"]), "note")
    buttons = Offer(choices([(say(language, "quiz.skip"), f"quiz:skip:{token}"), (say(language, "quiz.stop"), "quiz:stop")]), columns=2)
    if snapshot["checks"]:
        return [where, Say(snapshot["stem"]), Say(say(language, "quiz.speak_hint"), "note"), buttons]
    explanation = explained(snapshot, language)
    return [where, Poll(token, snapshot["stem"], tuple(snapshot["options"]), int(snapshot["key"]), explanation), buttons]


def explained(snapshot: Mapping[str, Any], language: Language) -> str:
    """What a poll shows after the vote: the playbook's words and where they stand."""
    text = say(language, "quiz.explanation", quote=snapshot["quote"], title=snapshot["title"])
    return text if len(text) <= MAX_EXPLANATION else text[: MAX_EXPLANATION - 1] + "…"


async def _again(app: App, person: Person, session: Session, incoming: Incoming, language: Language) -> Outcome:
    """The open question once more (after a break, on another device); if it is answered, the next one."""
    assert isinstance(session.activity, Quizzing)
    state = session.activity.state
    asked = await _asked(app, person, state.get("token", ""))
    if asked is None or asked.answered:
        return _next(app, session, language, [], [])
    blocks = [Say(say(language, "quiz.resume"), "note"), *_shown(asked.snapshot, asked.token, state, language)]
    return Outcome(session, Reply(tuple(blocks), language, "chat"))


# -- answers -----------------------------------------------------------------------------------------------------------


async def _asked(app: App, person: Person, token: str) -> Asked | None:
    rows = await app.store.rows("SELECT snapshot, answered FROM quiz_asked WHERE token = :t AND person = :p", t=token, p=person.id)
    return Asked(token, json.loads(rows[0]["snapshot"]), rows[0]["answered"] is not None) if rows else None


def _picked(text: str, options: Sequence[str]) -> int | None:
    """Which option a typed answer means: its letter, its number from 1, or its words."""
    plain = re.sub(r"[\s.．、,，。)）]+", "", text).upper().translate(str.maketrans("ＡＢＣＤＥＦ１２３４５６", "ABCDEF123456"))
    if len(plain) == 1 and plain in LETTERS[: len(options)]:
        return LETTERS.index(plain)
    if plain.isdecimal() and 1 <= int(plain) <= len(options):
        return int(plain) - 1
    same = [i for i, option in enumerate(options) if option.strip().lower() == text.strip().lower()]
    return same[0] if same else None


def _answered(app: App, session: Session, asked: Asked, picked: int, language: Language) -> Outcome:
    """Right or wrong with the proof, kept with the answer, and the next question if this one was open here."""
    right, shot = picked == asked.key, asked.snapshot
    told = say(language, "quiz.right") if right else say(language, "quiz.wrong", answer=shot["options"][asked.key])
    return _go_on(app, session, asked, right, picked, [Say(told)], language)


def _go_on(app: App, session: Session, asked: Asked, right: bool, picked: int, said: list[Block], language: Language) -> Outcome:
    shot = asked.snapshot
    blocks: list[Block] = [*said, _proof(shot, language)]
    record = Record("answer", {"token": asked.token, "picked": picked, "right": right, "card": shot["card"], "objective": shot["objective"]})
    mine = session.activity
    if not isinstance(mine, Quizzing) or mine.state.get("token") != asked.token:
        blocks.append(Offer(choices([(say(language, "quiz.more"), "quiz:more")])))
        return Outcome(session, Reply(tuple(blocks), language, "chat"), (record,))
    state = {**mine.state, "right": mine.state["right"] + right}
    return _next(app, session.doing(replace(mine, state=state)), language, blocks, [record])


def _proof(shot: Mapping[str, Any], language: Language) -> Quote:
    source = Citation(shot["passage"], shot["title"], shot["place"], "card", shot["version"])
    return Quote(shot["quote"], source, say(language, "quiz.proof", place=shot["place"]), "passage")


def _finished(session: Session, language: Language, blocks: list[Block], records: Sequence[Record] = ()) -> Outcome:
    assert isinstance(session.activity, Quizzing)
    state = session.activity.state
    blocks = [*blocks, Say(say(language, "quiz.end", right=state["right"], of=state["of"]), "heading")]
    blocks.append(Offer(choices([(say(language, "quiz.more"), "quiz:more"), (say(language, "quiz.see_progress"), "progress:me")])))
    return Outcome(session.doing(Idle()), Reply(tuple(blocks), language, "chat"), tuple(records))


async def _source(app: App, person: Person, session: Session, token: str, language: Language) -> Outcome:
    """The whole passage behind a question, as it was when the question was put."""
    asked = await _asked(app, person, token)
    if asked is None or not asked.answered:
        raise CannotHelp("core.old_button")
    shot = asked.snapshot
    passage = await app.shelf.passage(shot["passage"], shot["version"]) or app.retriever.passage(shot["passage"])
    if passage is None:
        raise CannotHelp("quiz.passage_gone")
    source = Citation(passage.id, passage.title, passage.place, passage.kind, shot["version"])
    return Outcome(session, Reply((Quote(passage.text, source, passage.place, "passage"),), language, "chat"))


# -- "what would you say?" ---------------------------------------------------------------------------------------------

SAID = 0.45  # similarity from which a sentence does what a check asks for


def _graded(app: App, session: Session, incoming: Incoming, asked: Asked, language: Language) -> Outcome:
    """Each check is met by a sentence of the person's own, which is quoted back, or it is not met."""
    found = met(app, incoming.text, asked.snapshot["checks"])
    lines = [
        say(language, "quiz.met", name=check["name"], quote=quote) if quote else say(language, "quiz.unmet", name=check["name"])
        for check, quote in zip(asked.snapshot["checks"], found, strict=True)
    ]
    right = sum(quote is not None for quote in found) * 3 >= 2 * len(found)
    told: list[Block] = [Say(say(language, "quiz.said_well" if right else "quiz.said_partly")), Say("\n".join(lines))]
    return _go_on(app, session, asked, right, sum(quote is not None for quote in found), told, language)


def met(app: App, text: str, checks: Sequence[Mapping[str, Any]]) -> list[str | None]:
    """For each check, the sentence of the text that does it, or None."""
    pieces = [piece.strip() for piece in re.split(r"(?<=[。！？!?.;；\n])", text[:1000]) if piece.strip()]
    found: list[str | None] = []
    for check in checks:
        like = app.retriever.similarity(pieces, check["like"]).max(axis=1) if pieces else []
        unlike = app.retriever.similarity(pieces, check["unlike"]).max(axis=1) if pieces and check["unlike"] else [0.0] * len(pieces)
        good = [(float(a), piece) for a, b, piece in zip(like, unlike, pieces, strict=True) if a >= SAID and a > b]
        found.append(max(good)[1] if good else None)
    return found


# -- choosing ----------------------------------------------------------------------------------------------------------


async def choose_questions(app: App, person: Person, at: datetime, cards: Sequence[str] | None = None, limit: int = LENGTH) -> list[Question]:
    """Due objectives, topics asked about twice, then new ones; neighbours differ in topic."""
    bank, skills = bank_of(app), await skills_of(app, person.id)
    retired, seen = await _retired(app), await _seen(app, person.id)
    goals = {
        goal: [item for item in questions if item.id not in retired]
        for goal, questions in bank.objectives().items()
        if cards is None or goal.rpartition(":")[0] in cards
    }
    goals = {goal: questions for goal, questions in goals.items() if questions}
    due = [skill.objective for skill in memory.in_turn((skills[goal] for goal in goals if goal in skills), at)]
    twice = await _asked_twice(app, person.id, at)
    fresh = [goal for goal in goals if goal not in skills]
    app.chance.shuffle(fresh)
    fresh.sort(key=lambda goal: goal.rpartition(":")[0] not in twice)
    known = sorted((goal for goal in goals if goal in skills and goal not in due), key=lambda goal: skills[goal].due) if cards else []
    first = due[: max(1, limit - memory.room_for_new(skills.values()))]
    picked = _mixed([*first, *fresh[: limit - len(first)], *due[len(first) :], *fresh[limit - len(first) :], *known], limit, spread=cards is None)
    return [min(goals[goal], key=lambda item: (seen.get(item.id, 0), app.chance.random())) for goal in picked]


def _mixed(goals: Sequence[str], limit: int, *, spread: bool) -> list[str]:
    """The first goals, at most two of one card (if they are to be spread), no two of a card side by side if it can be helped."""
    picked: list[str] = []
    for goal in goals:
        card = goal.rpartition(":")[0]
        if len(picked) < limit and not (spread and sum(other.startswith(f"{card}:") for other in picked) >= 2):
            picked.append(goal)
    ordered: list[str] = []
    while picked:
        last = ordered[-1].rpartition(":")[0] if ordered else ""
        ordered.append(next((goal for goal in picked if goal.rpartition(":")[0] != last), picked[0]))
        picked.remove(ordered[-1])
    return ordered


async def _retired(app: App) -> set[str]:
    return {row["question"] for row in await app.store.rows("SELECT question FROM question_states WHERE state = 'retired'")}


async def _seen(app: App, person: str) -> dict[str, int]:
    rows = await app.store.rows("SELECT question, COUNT(*) AS n FROM quiz_asked WHERE person = :p GROUP BY question", p=person)
    return {row["question"]: int(row["n"]) for row in rows}


async def _asked_twice(app: App, person: str, at: datetime) -> set[str]:
    """Cards that the person was advised from at least twice lately."""
    rows = await app.store.rows(
        "SELECT topics, at FROM turns WHERE person = :p AND action = 'coach' ORDER BY id DESC LIMIT 50", p=person
    )
    counts: dict[str, int] = {}
    for row in rows:
        topics = json.loads(row["topics"]) if isinstance(row["topics"], str) else row["topics"]
        if topics and moment(row["at"]) > at - ASKED_TWICE:
            counts[topics[0][0]] = counts.get(topics[0][0], 0) + 1
    return {card for card, count in counts.items() if count >= 2}


def _card_named(app: App, text: str) -> str:
    """The card that a person means by an id, a title or a description."""
    cards = app.retriever.cards()
    if text in cards:
        return text
    named = [card.id for card in cards.values() if text.lower() in (card.title.zh.lower(), card.title.en.lower())]
    if named:
        return named[0]
    reading = app.retriever.read(text)
    if not reading.topics or reading.in_scope < STRANGE:
        raise CannotHelp("quiz.no_topic", text=text[:40])
    return reading.topics[0].card
