"""TRAINER: assign modules, issue certificates that can be verified, look after questions."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from bot import charts
from bot.curriculum import bank_of, modules_of, skills_of, standings
from bot.errors import CannotHelp
from bot.people import Person
from bot.phrases import say
from bot.ports import App, Outcome
from bot.sessions import Session
from bot.store.learning import moment
from bot.turns import Aside, Block, Incoming, Language, Offer, Picture, Record, Reply, Say, choices
from knowledge.path import Module

ALPHABET = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"  # nothing that reads like something else
JUDGED = 30  # answers after which a question's difficulty is judged
TOO_HARD, TOO_EASY = 0.20, 0.95


def _said(session: Session, language: Language, *blocks: Block) -> Outcome:
    return Outcome(session, Reply(tuple(blocks), language, "chat"))


# -- assignments -------------------------------------------------------------------------------------------------------


async def assign(app: App, person: Person, session: Session, incoming: Incoming, language: Language) -> Outcome:
    """`/assign <module> <YYYY-MM-DD> <name|all>`; without words the modules are listed."""
    words = incoming.text.split(maxsplit=2)
    if len(words) < 3:
        lines = [f"{module.id} – {module.title.text(language)}" for module in modules_of(app)]
        return _said(session, language, Say(say(language, "teaching.assign_how")), Say("\n".join(lines)))
    module, due = _module(app, words[0]), _date(words[1], incoming.at)
    people = await _people(app, person, words[2])
    record = Record("assignment", {"persons": [row["id"] for row in people], "module": module.id, "due": due})
    asides = tuple(_told(row, module, due, incoming) for row in people if row["chat"])
    text = say(language, "teaching.assigned", title=module.title.text(language), count=len(people), date=due)
    return Outcome(session, Reply((Say(text),), language, "chat"), (record,), asides)


def _told(row: Mapping[str, Any], module: Module, due: str, incoming: Incoming) -> Aside:
    language: Language = "en" if row["language"] == "en" else "zh"
    text = say(language, "teaching.you_have", title=module.title.text(language), date=due)
    offer = Offer(choices([(say(language, "reminders.begin"), f"quiz:module:{module.id}")]))
    return Aside(row["chat"], Reply((Say(text), offer), language, "chat"), f"assign:{incoming.id}:{row['id']}"[:100])


def _module(app: App, name: str) -> Module:
    found = next((item for item in modules_of(app) if name in (item.id, item.title.zh, item.title.en)), None)
    if found is None:
        raise CannotHelp("teaching.no_module", name=name[:40], known=", ".join(item.id for item in modules_of(app)))
    return found


def _date(text: str, now: datetime) -> str:
    try:
        due = date.fromisoformat(text)
    except ValueError:
        raise CannotHelp("teaching.no_date", text=text[:20]) from None
    if due < now.date():
        raise CannotHelp("teaching.past", text=text)
    return due.isoformat()


async def _people(app: App, trainer: Person, who: str) -> list[Mapping[str, Any]]:
    """The people of the trainer's team that a name, an id or "all" means."""
    rows = await app.store.rows("SELECT id, name, team, chat, language FROM persons WHERE active ORDER BY name")
    mine = [row for row in rows if not trainer.team or row["team"] == trainer.team]
    if who.lower() in ("all", "全部", "所有人"):
        found = [row for row in mine if row["id"] != trainer.id]
    else:
        found = [row for row in mine if who.lower() in (row["name"].lower(), row["id"].lower())]
    if not found:
        raise CannotHelp("teaching.nobody", name=who[:40])
    if len(found) > 1 and who.lower() not in ("all", "全部", "所有人"):
        raise CannotHelp("teaching.several", name=who[:40], ids=", ".join(row["id"] for row in found[:5]))
    return found


# -- certificates ------------------------------------------------------------------------------------------------------


async def certify(app: App, person: Person, session: Session, incoming: Incoming, language: Language) -> Outcome:
    """`/certify <name> <module>`: issues a certificate when the module's gate is open; issuing twice shows the first."""
    who, _, name = incoming.text.strip().rpartition(" ")
    if not who:
        raise CannotHelp("teaching.certify_how")
    module = _module(app, name)
    learner = (await _people(app, person, who))[0]
    found = next(item for item in standings(app, await skills_of(app, learner["id"]), incoming.at) if item.module.id == module.id)
    issued = await app.store.rows("SELECT * FROM certificates WHERE person = :p AND module = :m", p=learner["id"], m=module.id)
    if not issued and not found.passed:
        raise CannotHelp("teaching.not_yet", name=learner["name"] or who, mastered=found.mastered, of=found.cards)
    code = issued[0]["code"] if issued else new_code(app)
    when = moment(issued[0]["at"]) if issued else incoming.at
    picture = await _certificate(app, learner, module, code, when, person.name or person.id, language)
    record = Record("certificate", {"code": code, "person": learner["id"], "name": learner["name"] or who, "module": module.id})
    asides = (Aside(learner["chat"], Reply((picture,), language, "chat"), f"certificate:{code}"),) if learner["chat"] else ()
    return Outcome(session, Reply((picture,), language, "chat"), () if issued else (record,), asides)


def new_code(app: App) -> str:
    """A code that nobody guesses (60 bits), easy to read out."""
    from secrets import choice  # not `app.chance`: a certificate must not be foreseeable

    letters = "".join(choice(ALPHABET) for _ in range(12))
    return "-".join((letters[:4], letters[4:8], letters[8:]))


async def _certificate(
    app: App, learner: Mapping[str, Any], module: Module, code: str, when: datetime, by: str, language: Language
) -> Picture:
    name = learner["name"] or learner["id"]
    title = module.title.text(language)
    lines = [say(language, "teaching.certificate_line", title=title), say(language, "teaching.certificate_by", date=when.date().isoformat(), name=by)]
    target = app.data_dir / "pictures" / f"certificate-{code}-{language}.png"
    await asyncio.to_thread(charts.certificate, target, say(language, "teaching.certificate"), name, lines, say(language, "teaching.certificate_code", code=code))
    return Picture(str(target), say(language, "teaching.certificate_caption", name=name, title=title, code=code))


async def verify(app: App, person: Person, session: Session, incoming: Incoming, language: Language) -> Outcome:
    """`/verify <code>`: whose certificate it is, for what, since when."""
    code = incoming.text.strip().upper().replace(" ", "")
    if not code:
        raise CannotHelp("teaching.verify_how")
    rows = await app.store.rows("SELECT * FROM certificates WHERE code = :c", c=code)
    if not rows or rows[0]["revoked"]:
        raise CannotHelp("teaching.no_certificate", code=code[:20])
    titles = {module.id: module.title.text(language) for module in modules_of(app)}
    row = rows[0]
    text = say(language, "teaching.verified", name=row["name"], title=titles.get(row["module"], row["module"]), date=moment(row["at"]).date().isoformat())
    return _said(session, language, Say(text))


# -- questions ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Statistic:
    """How a question did: answers counted, share right."""

    question: str
    answers: int
    right: float

    @property
    def odd(self) -> bool:
        return self.answers >= JUDGED and not TOO_HARD <= self.right <= TOO_EASY


async def statistics(app: App) -> list[Statistic]:
    """Every question that was answered, oddest first."""
    rows = await app.store.rows(
        "SELECT question, COUNT(*) AS n, SUM(CASE WHEN correct THEN 1 ELSE 0 END) AS good FROM quiz_asked "
        "WHERE answered IS NOT NULL GROUP BY question"
    )
    found = [Statistic(row["question"], int(row["n"]), int(row["good"]) / int(row["n"])) for row in rows]
    return sorted(found, key=lambda item: -abs(item.right - 0.6))


async def questions(app: App, person: Person, session: Session, incoming: Incoming, language: Language) -> Outcome:
    """`/questions`: those that hardly anybody or everybody gets right; `/questions <id>`: one of them, to retire or restore."""
    bank, states = bank_of(app), await _states(app)
    if name := incoming.text.strip():
        return _one(app, session, name, states, language)
    odd = [item for item in await statistics(app) if item.odd and states.get(item.question) != "retired" and item.question in bank.by_id]
    retired = sum(state == "retired" for state in states.values())
    blocks: list[Block] = [Say(say(language, "teaching.questions", count=len(bank.by_id), cards=len(bank.by_card), retired=retired))]
    if odd:
        blocks.append(Offer(tuple(choices([(_statistic_line(item, language), f"question:show:{item.question}"[:64]) for item in odd[:8]])), say(language, "teaching.odd")))
    else:
        blocks.append(Say(say(language, "teaching.none_odd", least=JUDGED), "note"))
    return _said(session, language, *blocks)


def _statistic_line(item: Statistic, language: Language) -> str:
    return say(language, "teaching.statistic", id=item.question, right=f"{item.right:.0%}", answers=item.answers)


def _one(app: App, session: Session, name: str, states: Mapping[str, str], language: Language) -> Outcome:
    question = bank_of(app).by_id.get(name)
    if question is None:
        raise CannotHelp("teaching.no_question", name=name[:60])
    lines = [f"{'✓' if i == question.key else '·'} {option.text(language)}" for i, option in enumerate(question.options)]
    gone = states.get(name) == "retired"
    pair = (say(language, "teaching.restore"), f"question:approved:{name}") if gone else (say(language, "teaching.retire"), f"question:retired:{name}")
    return _said(session, language, Say(question.stem.text(language)), Say("\n".join(lines)), Offer(choices([pair])))


async def choose(app: App, person: Person, session: Session, incoming: Incoming, language: Language) -> Outcome:
    """Buttons: `question:show|retired|approved:<id>`."""
    _, what, name = [*(incoming.choice or "").split(":", 2), "", ""][:3]
    if not person.may("questions") or name not in bank_of(app).by_id:
        raise CannotHelp("core.old_button")
    if what == "show":
        return _one(app, session, name, await _states(app), language)
    if what not in ("retired", "approved"):
        raise CannotHelp("core.old_button")
    record = Record("question", {"question": name, "state": what})
    return Outcome(session, Reply((Say(say(language, f"teaching.{what}")),), language, "chat"), (record,))


async def _states(app: App) -> dict[str, str]:
    return {row["question"]: row["state"] for row in await app.store.rows("SELECT question, state FROM question_states")}
