"""One flow for every front end: load the session, find who hears this turn, keep what came of it.

`COMMANDS` is what a person can call, `ACTIVITIES` who hears the next line, `CHOOSERS` who understands a tapped
choice (by the first word of its token). A room that teaches something new adds a line to these tables.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from bot import (
    advice,
    desk,
    membership,
    privacy,
    progress,
    quiz,
    rehearsal,
    reminders,
    screens,
    teaching,
    votes,
)
from bot.errors import CannotHelp, NotAllowed
from bot.logbook import turn
from bot.people import PERMISSIONS, PRIVATE, Person
from bot.phrases import say
from bot.ports import App, Outcome
from bot.sessions import Activity, Advising, Asking, Idle, Publishing, Quizzing, Rehearsing, Session
from bot.spending import metered
from bot.turns import LANGUAGES, Incoming, Language, Reply, Say, plain
from knowledge.passages import language_of

log = logging.getLogger(__name__)

Handler = Callable[[App, Person, Session, Incoming, Language], Awaitable[Outcome]]


@dataclass(frozen=True, slots=True)
class Command:
    """A `/command`. `keeps` = it may be used in the middle of another activity without ending it."""

    handler: Handler
    keeps: bool = True


async def _advise(app: App, person: Person, session: Session, incoming: Incoming, language: Language) -> Outcome:
    return await advice.hear(app, session, incoming, language)


async def _choose_advice(app: App, person: Person, session: Session, incoming: Incoming, language: Language) -> Outcome:
    outcome = await advice.choose(app, session.resumed(), incoming.choice or "", language)
    if outcome is None:
        raise CannotHelp("core.old_button")
    return outcome


# what a person can call; `/help` lists them in this order, for the person's roles
COMMANDS: dict[str, Command] = {
    "start": Command(screens.start),
    "help": Command(screens.help_screen),
    "roleplay": Command(rehearsal.roleplay),
    "quiz": Command(quiz.open_quiz),
    "progress": Command(progress.progress),
    "path": Command(progress.path),
    "remind": Command(reminders.remind),
    "verify": Command(teaching.verify),
    "team": Command(progress.team),
    "assign": Command(teaching.assign),
    "certify": Command(teaching.certify),
    "questions": Command(teaching.questions),
    "scenarios": Command(rehearsal.workshop),
    "appeals": Command(rehearsal.open_appeals),
    "topics": Command(screens.topics),
    "card": Command(screens.card),
    "history": Command(screens.history),
    "language": Command(screens.language),
    "settings": Command(privacy.settings),
    "privacy": Command(privacy.privacy),
    "feedback": Command(screens.feedback),
    "invite": Command(membership.invite),
    "people": Command(membership.people),
    "status": Command(membership.status),
    "add": Command(desk.add, keeps=False),
    "upload": Command(desk.upload, keeps=False),
    "docs": Command(desk.docs),
    "gaps": Command(desk.show_gaps),
    "report": Command(desk.report),
    "cancel": Command(screens.cancel, keeps=False),
}

# who hears plain text, by what the conversation is doing
ACTIVITIES: dict[type[Activity], Handler] = {
    Idle: _advise,
    Advising: _advise,
    Asking: screens.heard_answer,
    Quizzing: quiz.heard,
    Rehearsing: rehearsal.heard,
    Publishing: desk.hear,
}

# who understands a tapped choice, by the first word of its token
CHOOSERS: dict[str, Handler] = {
    "play": rehearsal.choose,
    "back": rehearsal.choose,
    "appeal": rehearsal.choose,
    "ruling": rehearsal.choose,
    "scenario": rehearsal.choose,
    "quiz": quiz.choose,
    "progress": progress.choose,
    "remind": reminders.choose,
    "question": teaching.choose,
    "card": _choose_advice,
    "cause": _choose_advice,
    "tell": _choose_advice,
    "lang": screens.choose_language,
    "vote": votes.choose,
    "src": screens.source,
    "topics": screens.topics,
    "desk": desk.choose,
    "zone": privacy.settings,
    "privacy": privacy.choose,
    "invite": membership.choose,
    "uninvite": membership.choose,
    "person": membership.choose,
    "role": membership.choose,
    "out": membership.choose,
    "in": membership.choose,
}


# choices that belong to a command of `PRIVATE`: its screens are not for groups, however the tap came about
PRIVATE_TAPS = {
    "play": "roleplay", "back": "roleplay", "appeal": "roleplay", "ruling": "appeals", "quiz": "quiz", "progress": "progress",
    "remind": "remind", "zone": "settings", "privacy": "privacy", "invite": "invite", "uninvite": "people", "person": "people",
    "role": "people", "out": "people", "in": "people",
}  # fmt: skip


async def serve(app: App, person: Person, incoming: Incoming) -> Reply | None:
    """One turn, durable: load, respond, keep. None if this turn was answered before (its reply is in the outbox)."""
    begun = time.perf_counter()
    with turn(incoming.id):
        reply, activity = await _serve(app, person, incoming)
        if reply is None:
            log.info("a repeated turn was left as it is")
            return None
        app.vitals.turn(activity, reply.action)
        facts = {"activity": activity, "action": reply.action, "ms": round(1000 * (time.perf_counter() - begun)), "model": reply.model}
        log.info("a turn was kept", extra={"facts": facts})
    return reply


async def _serve(app: App, person: Person, incoming: Incoming) -> tuple[Reply | None, str]:
    """The reply that was kept (None: it was kept before), and the activity that it leads to."""
    app, meter = await metered(app, person)
    refused: CannotHelp | None = None
    for _ in range(3):  # another turn of this chat may have moved the session on meanwhile
        with app.vitals.stage("load"):
            session = await app.store.session(incoming.chat, incoming.person)
        with app.vitals.stage("respond"):
            outcome = _refusal(app, person, session, incoming, refused) if refused else await respond(app, person, session, incoming)
        shown = plain(outcome.reply)
        records = (*outcome.records, *(meter.records() if meter else ()))
        said = incoming.text if incoming.command is None else f"/{incoming.command} {incoming.text}"
        after = outcome.session
        if incoming.command is None:
            after = after.heard(said or f"[{incoming.choice}]", outcome.reply, shown)
        try:
            with app.vitals.stage("keep"):
                kept = await app.store.keep(
                    incoming, replace(after, version=session.version), outcome.reply, records, outcome.asides,
                    shown=shown, playbook=app.retriever.version if app.retriever else 0,
                )  # fmt: skip
        except CannotHelp as error:  # the database knew better (the last admin, a used-up invitation): nothing was kept
            refused, kept = error, False
            continue
        if kept:
            return outcome.reply, after.activity.kind
        if await app.store.answered(incoming.id):
            return None, ""
    raise RuntimeError(f"turn {incoming.id}: the session kept moving")


async def respond(app: App, person: Person, session: Session, incoming: Incoming) -> Outcome:
    """What this turn leads to. Nothing is written here."""
    language = reply_language(app, person, session, incoming)
    try:
        return await _dispatch(app, person, session, incoming, language)
    except CannotHelp as error:
        return _refusal(app, person, session, incoming, error)


def _refusal(app: App, person: Person, session: Session, incoming: Incoming, error: CannotHelp) -> Outcome:
    """What the person can act on, in their language; the conversation stays as it was."""
    language = reply_language(app, person, session, incoming)
    return Outcome(session, Reply((Say(say(language, error.phrase, **error.values)),), language, "chat"))


async def _dispatch(app: App, person: Person, session: Session, incoming: Incoming, language: Language) -> Outcome:
    if incoming.command is not None:
        name = incoming.command
        if name not in COMMANDS or not person.may(name):
            raise NotAllowed("core.unknown_command" if name not in PERMISSIONS or name not in COMMANDS else "core.not_allowed", command=name)
        if name in PRIVATE and not incoming.private:
            raise CannotHelp("core.only_private", command=name)
        if not COMMANDS[name].keeps:
            session = session if name == "cancel" else session.doing(Idle())
        return await COMMANDS[name].handler(app, person, session, incoming, language)
    if not person.may("ask"):
        raise NotAllowed("core.not_allowed", command="ask")
    if incoming.choice is not None:
        handler = CHOOSERS.get(incoming.choice.split(":")[0])
        if handler is None:
            raise CannotHelp("core.old_button")
        if not incoming.private and (room := PRIVATE_TAPS.get(incoming.choice.split(":")[0])):
            raise CannotHelp("core.only_private", command=room)
        return await handler(app, person, session, incoming, language)
    if incoming.attachment is not None:
        return await desk.upload(app, person, session, incoming, language)
    if incoming.poll is not None:
        return await quiz.voted(app, person, session, incoming, language)
    if not incoming.text.strip():
        raise CannotHelp("core.empty")
    if incoming.forwarded and person.may("add") and not isinstance(session.activity, Publishing):
        return await desk.add(app, person, session, incoming, language)
    return await ACTIVITIES[type(session.activity)](app, person, session, incoming, language)


TELLING = 4  # letters from which a message tells its language ("A" in a quiz doesn't); a Chinese character is worth them all


def _letters(char: str) -> int:
    return 0 if not char.isalpha() else 1 if char.isascii() else TELLING


def reply_language(app: App, person: Person, session: Session, incoming: Incoming) -> Language:
    """By choice, else by the message, else what the platform says, else the company's setting."""
    for chosen in (session.language, person.language):
        if chosen in LANGUAGES:
            return chosen
    if incoming.command is None and incoming.choice is None and sum(map(_letters, incoming.text)) >= TELLING:
        return language_of(incoming.text)
    if session.history:
        return language_of(session.history[-1].text)
    if incoming.language_hint:
        return "zh" if incoming.language_hint.lower().startswith("zh") else "en"
    return "en" if app.settings.language == "en" else "zh"
