"""The small screens around the activities: start, help, topics, a card, history, language, feedback, sources."""

from __future__ import annotations

from dataclasses import replace

from bot import advice, votes
from bot.errors import CannotHelp
from bot.people import PERMISSIONS, Person
from bot.phrases import phrases, say
from bot.ports import App, Outcome
from bot.sessions import Asking, Idle, Session
from bot.turns import (
    Block,
    Choice,
    Citation,
    Incoming,
    Language,
    Offer,
    Quote,
    Record,
    Reply,
    Say,
    choices,
    cited_in,
    reply_from_json,
)  # fmt: skip
from knowledge.cards import sections

GROUPS = ("problem", "method", "concept", "checklist")


def _said(session: Session, language: Language, *blocks: Block) -> Outcome:
    return Outcome(session, Reply(tuple(blocks), language, "chat"))


async def start(app: App, person: Person, session: Session, incoming: Incoming, language: Language) -> Outcome:
    return _said(session, language, Say(say(language, "advice.greeting")), Say(say(language, "core.start_hint")))


async def help_screen(app: App, person: Person, session: Session, incoming: Incoming, language: Language) -> Outcome:
    known = phrases(language)
    rows = [f"/{name} – {known[f'core.help_{name}']}" for name in PERMISSIONS if person.may(name) and f"core.help_{name}" in known]
    return _said(session, language, Say(say(language, "core.help")), Say("\n".join(rows)))


async def topics(app: App, person: Person, session: Session, incoming: Incoming, language: Language) -> Outcome:
    """Without a group: the groups. With one (`topics:<group>` or text): its cards to tap."""
    cards = app.retriever.cards()
    asked = (incoming.choice or "").partition(":")[2] or incoming.text.strip()
    groups = {kind: [c for c in cards.values() if c.kind == kind] for kind in GROUPS}
    if groups.get(asked):
        offer = [Choice(card.title.text(language), f"card:{card.id}") for card in groups[asked]]
        return _said(session, language, Offer(tuple(offer), say(language, f"core.topics_{asked}")))
    options = [(say(language, "core.topics_group", name=say(language, f"core.topics_{kind}"), count=len(found)), f"topics:{kind}") for kind, found in groups.items() if found]
    return _said(session, language, Offer(choices(options), say(language, "core.topics", count=len(cards))))


async def card(app: App, person: Person, session: Session, incoming: Incoming, language: Language) -> Outcome:
    """A whole card: summary on the screen, every section folded below it."""
    wanted = incoming.text.strip()
    cards = app.retriever.cards()
    if not wanted:
        return await topics(app, person, session, incoming, language)
    if wanted not in cards:
        found = [item.card for item in app.retriever.read(wanted).topics[:3]]
        offer = Offer(tuple(Choice(cards[item].title.text(language), f"card:{item}") for item in found))
        return _said(session, language, Say(say(language, "core.no_card", id=wanted)), offer)
    chosen = cards[wanted]
    passages = {item.part: item for item in app.retriever.passages_of(wanted, language)}
    blocks: list[Block] = [Say(chosen.title.text(language), "heading")]
    for section in sections(chosen, language):
        passage = passages[section.part]
        source = Citation(passage.id, passage.title, passage.place, "card", app.retriever.version)
        folded = section.part != "overview"
        blocks += [Quote(line, source, "" if not folded else section.heading, "point", folded=folded) for line in section.lines]
    return _said(session, language, *blocks)


async def history(app: App, person: Person, session: Session, incoming: Incoming, language: Language) -> Outcome:
    """The person's own last questions, here or in another chat of theirs."""
    rows = await app.store.rows(
        "SELECT at, said, topics FROM turns WHERE person = :person AND action <> 'chat' ORDER BY id DESC LIMIT 10",
        person=person.id,
    )
    if not rows or not incoming.private:
        return _said(session, language, Say(say(language, "core.no_history")))
    lines = [f"{str(row['at'])[5:16]}  {advice.shorten(row['said'], 60)}" for row in rows]
    return _said(session, language, Say(say(language, "core.history")), Say("\n".join(lines)))


async def language(app: App, person: Person, session: Session, incoming: Incoming, language: Language) -> Outcome:
    wanted = incoming.text.strip().lower()
    if wanted:
        return await choose_language(app, person, session, replace(incoming, choice=f"lang:{wanted}"), language)
    offer = Offer(choices([("中文", "lang:zh"), ("English", "lang:en"), (say(language, "core.language_auto"), "lang:auto")]))
    return _said(session, language, Say(say(language, "core.language")), offer)


async def choose_language(
    app: App, person: Person, session: Session, incoming: Incoming, language: Language
) -> Outcome:
    wanted = {"lang:zh": "zh", "lang:中文": "zh", "lang:en": "en", "lang:english": "en", "lang:auto": None}
    if incoming.choice not in wanted:
        raise CannotHelp("core.unknown_language", name=(incoming.choice or "").removeprefix("lang:"))
    chosen = wanted[incoming.choice]
    new: Language = "en" if chosen == "en" else "zh" if chosen == "zh" else language
    session = replace(session, language=chosen)  # type: ignore[arg-type]
    record = Record("person", {"language": chosen})
    return Outcome(session, Reply((Say(say(new, "core.language_set")),), new, "chat"), (record,))


async def feedback(app: App, person: Person, session: Session, incoming: Incoming, language: Language) -> Outcome:
    """`/feedback text` goes to the trainers; without text the next line does."""
    if incoming.text.strip():
        record = Record("audit", {"what": "feedback", "details": {"text": incoming.text.strip()[:2000]}})
        return Outcome(session, Reply((Say(say(language, "core.thanks")),), language, "chat"), (record,))
    return _said(session.doing(Asking("feedback")), language, Say(say(language, "core.feedback_ask")))


async def heard_answer(app: App, person: Person, session: Session, incoming: Incoming, language: Language) -> Outcome:
    """The free-text answer that `Asking` waited for."""
    assert isinstance(session.activity, Asking)
    if session.activity.about == "vote":
        return await votes.heard(app, session, incoming, language)
    record = Record("audit", {"what": "feedback", "details": {"text": incoming.text[:2000]}})
    return Outcome(session.doing(Idle()), Reply((Say(say(language, "core.thanks")),), language, "chat"), (record,))


async def source(app: App, person: Person, session: Session, incoming: Incoming, language: Language) -> Outcome:
    """`src:<incoming>:<n>`: the n-th passage that an answer cited, as it was then, with its place."""
    _, about, which = (incoming.choice or "").rsplit(":", 2) if (incoming.choice or "").count(":") >= 2 else ("", "", "")
    about = about or (incoming.choice or "").split(":")[1]
    rows = await app.store.rows(
        "SELECT reply FROM outbox WHERE incoming = :i AND part = 0 AND person = :p", i=about.removeprefix("src:"), p=person.id
    )
    if not rows or not which.isdigit():
        raise CannotHelp("core.old_button")
    cited = cited_in(reply_from_json(rows[0]["reply"]))
    if int(which) >= len(cited):
        raise CannotHelp("core.old_button")
    citation = cited[int(which)]
    passage = await app.shelf.passage(citation.passage_id, citation.version) or await app.shelf.passage(citation.passage_id)
    if passage is None:
        raise CannotHelp("core.old_button")
    blocks: list[Block] = [Say(say(language, "core.source_place", place=citation.place, version=citation.version), "note")]
    blocks.append(Quote(passage.text, citation, passage.place, "passage"))
    if passage.original and passage.original != passage.text:
        blocks.append(Say(say(language, "core.source_original", text=passage.original), "note"))
    return _said(session, language, *blocks)


async def cancel(app: App, person: Person, session: Session, incoming: Incoming, language: Language) -> Outcome:
    idle = isinstance(session.activity, Idle)
    return _said(session.doing(Idle()), language, Say(say(language, "core.nothing_to_cancel" if idle else "core.cancelled")))
