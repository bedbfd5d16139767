"""REP: a situation in, advice on one phone screen out: reading, questions, steps, a sentence, a caution, sources."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from bot import diagnosis, guard
from bot.diagnosis import Question
from bot.drafting import RICH, Brief, Drafted, draft
from bot.grounding import Piece, Role, Source
from bot.phrases import say
from bot.ports import App, Outcome
from bot.sessions import Advising, Session
from bot.turns import (
    Block,
    Choice,
    Citation,
    Draft,
    Incoming,
    Language,
    Offer,
    Quote,
    Record,
    Reply,
    Say,
    plain,
)  # fmt: skip
from knowledge.cards import Both, Card, Cause
from knowledge.notes import ANSWER
from knowledge.passages import Hit, Passage, Reading, TopicBelief, size
from knowledge.splitting import OUTLINE

MAX_QUESTION = 4000  # characters read of a question; longer ones are answered by their beginning, and told so
MYTH = 0.8  # belief from which a sentence counts as stating a misconception
WIDE = 20  # documents' passages looked through: tables of contents among them are left out, own answers kept …
FIRST = 6  # … and of the others the first
SAME_SUBJECT = 0.4  # cosine from which a document's passage, or one line of it, is on the subject
NEAR_SUBJECT = 0.15  # … of the whole passage from which its lines are looked at one by one
LINES = 12  # of a passage that are looked at
SAME_QUESTION = 0.72  # cosine from which two questions mean the same
ALSO = 0.18  # belief above which a second topic is named
AIM = {"zh": 450, "en": 900}  # visible characters
CAP = {"zh": 900, "en": 1500}
TO_ONESELF = re.compile(r"（问自己）|\(To yourself\) ?")  # how cards mark a question that is not for the customer


async def hear(app: App, session: Session, incoming: Incoming, language: Language) -> Outcome:
    """Plain text: a new situation, or a follow-up to the one being worked on."""
    text = incoming.text[:MAX_QUESTION]
    before = session.activity if isinstance(session.activity, Advising) else Advising()
    earlier = [item.text for item in session.history if item.role == "rep"] or ([before.situation] if before.situation else [])
    alone = app.retriever.read(text)
    told = bool(before.asked) and before.topic is None  # an answer to our question
    together = _in_talk(app, text, before.situation if told else None, earlier) or alone
    follows = (told or together.goes_on) and not _myth(app, alone) and not (told and alone.improper)
    reading = together if follows else alone
    if follows and text.rstrip().endswith(("?", "？", "呢")):
        reading = replace(reading, chat=False)  # a question in the middle of a talk is no small talk
    if told and not reading.improper:
        reading = replace(reading, topics=_after_answer(app, before, alone, reading, text))
    return await answer(app, session, incoming, text, reading, before if follows else Advising(), language)


def _in_talk(app: App, text: str, answered: str | None, earlier: Sequence[str]) -> Reading | None:
    """A line read with what was said before it; `answered` is the situation that our question was about, if it had one."""
    if answered is not None:
        return app.retriever.read(f"{answered}\n{text}")
    return app.retriever.read(text, context=earlier) if earlier else None


def _after_answer(app: App, before: Advising, alone: Reading, together: Reading, text: str) -> tuple[TopicBelief, ...]:
    """The belief after the rep answered our question in words of their own."""
    cards = app.retriever.cards()
    options = [name for name in before.asked[-1].split(":")[-1].split(",") if name]
    names = [_option(cards, before.asked[-1].split(":")[1], name) for name in options]
    near = app.retriever.similarity([text], [item.text(together.language) for item in names if item])[0] if all(names) else []
    now = diagnosis.heard(dict(before.topics), alone, together, before.asked[-1], cards, text, [float(score) for score in near])
    return diagnosis.as_topics(now, together)


def _option(cards: Mapping[str, Card], card_id: str, name: str) -> Both | None:
    """What an option of a question stands for: a topic's summary, or a cause."""
    if name in cards:
        return cards[name].summary
    return cards[card_id].cause(name) if card_id in cards else None


def _myth(app: App, reading: Reading) -> Card | None:
    """The misconception that a message states, if it states one."""
    card = app.retriever.cards().get(reading.topics[0].card) if reading.topics else None
    return card if card and card.polarity == "myth" and reading.topics[0].score >= MYTH else None


async def answer(
    app: App, session: Session, incoming: Incoming, text: str, reading: Reading, before: Advising, language: Language
) -> Outcome:
    """Decline, chat, abstain, clarify or coach: the first that applies."""
    if reading.improper:
        return Outcome(session.doing(Advising(situation=text)), guard.refusal(app, reading, language))
    if reading.chat:
        return Outcome(session, greeting(language, again=bool(session.history)))
    documents = documents_on(app, text, language)
    if note := next((hit.passage for hit in documents if hit.passage.part == ANSWER), None):
        return Outcome(session.doing(Advising(situation=text)), reviewed(app, note, language))
    if reading.in_scope < 0.5 and not before.situation:
        if documents:
            return Outcome(session.doing(Advising(situation=text)), from_documents(app, documents, language))
        return abstain(app, session, incoming, reading, language)
    if not reading.topics:
        return abstain(app, session, incoming, reading, language)
    situation = f"{before.situation}\n{text}".strip()[-2000:]
    state = replace(before, situation=situation, learned=diagnosis.learned(text, language, before.learned))
    cards = app.retriever.cards()
    topics = {item.card: item.score for item in reading.topics} if before.asked else diagnosis.belief(reading, cards, text)
    causes = reading.topics[0].causes
    question = None if before.topic else diagnosis.question(topics, causes, cards, situation, before.asked, reading.topics[0].score)
    if question and documents and not before.asked:  # what is asked stands in a document: no need to ask back
        return Outcome(session.doing(replace(state, topics=tuple(topics.items())[:6])), from_documents(app, documents, language))
    if question:
        state = replace(state, asked=(*before.asked, question.mark), topics=tuple(topics.items())[:6])
        return Outcome(session.doing(state), clarify(app, question, language, tuple(topics.items())[:5]))
    return await coach(app, session, state, reading.topics, language, documents)


def documents_on(app: App, text: str, language: Language) -> list[Hit]:
    """Passages of documents that treat what was asked, best first; a team's own answer only if its question means the same."""
    found = app.retriever.search(text, limit=WIDE, language=language, kind="document").hits
    plain = [hit for hit in found if hit.passage.part != OUTLINE]
    hits = [hit for place, hit in enumerate(plain) if place < FIRST or hit.passage.part == ANSWER]
    if not hits:
        return []
    asked = [hit.passage.heading.split("\n") if hit.passage.part == ANSWER else [hit.passage.search_text] for hit in hits]
    whole = _nearest_line(app, text, asked)
    # a slide says several things: what was asked for is often one line of it, and the whole lies further away
    split = [_lines_of(hit.passage) if hit.passage.part != ANSWER and NEAR_SUBJECT <= score < SAME_SUBJECT else [] for hit, score in zip(hits, whole, strict=True)]
    alike = map(max, whole, _nearest_line(app, text, split))
    floors = [SAME_QUESTION if hit.passage.part == ANSWER else SAME_SUBJECT for hit in hits]
    return [hit for score, floor, hit in zip(alike, floors, hits, strict=True) if score >= floor]


def _lines_of(passage: Passage) -> list[str]:
    """A passage's lines, alone and under its heading."""
    lines = [line.strip() for line in passage.text.split("\n") if line.strip()][:LINES]
    return [*lines, *(f"{passage.heading} {line}" for line in lines if passage.heading)]


def _nearest_line(app: App, text: str, groups: Sequence[Sequence[str]]) -> list[float]:
    """Per group the cosine of the line that is nearest to the text; 0 for a group without lines."""
    lines = [line for group in groups for line in group]
    scores = iter(app.retriever.similarity([text], lines)[0] if lines else ())
    return [max([float(next(scores)) for _ in group], default=0.0) for group in groups]


def reviewed(app: App, note: Passage, language: Language) -> Reply:
    """A trainer's own answer to a question that means the same."""
    source = Sources(app, language)
    quote = replace(source.passage(note), text=note.text, label=say(language, "desk.reviewed"))
    return Reply((quote, *source_line([quote], language)), language, "coach", ())


def _pairs(topics: Sequence[TopicBelief], limit: int = 5) -> tuple[tuple[str, float], ...]:
    return tuple((item.card, round(item.score, 4)) for item in topics[:limit])


def greeting(language: Language, *, again: bool = False) -> Reply:
    """Who I am and what to write; in the middle of a conversation just a nod."""
    return Reply((Say(say(language, "advice.nod" if again else "advice.greeting")),), language, "chat")


def abstain(app: App, session: Session, incoming: Incoming, reading: Reading, language: Language) -> Outcome:
    """Nothing fits: say so, offer the nearest topics, record a gap."""
    cards = app.retriever.cards()
    near = [Choice(cards[item.card].title.text(language), f"card:{item.card}") for item in reading.topics[:3] if item.card in cards]
    blocks: list[Block] = [Say(say(language, "advice.nothing_found"))]
    if near:
        blocks.append(Offer(tuple(near), say(language, "advice.nearest")))
    blocks += gap_noted(incoming.id, language)
    gap = Record("gap", {"text": incoming.text, "language": language, "reason": "abstained", "topics": [list(p) for p in _pairs(reading.topics, 3)]})
    return Outcome(session, Reply(tuple(blocks), language, "abstain"), (gap,))


def gap_noted(turn: str, language: Language) -> list[Block]:
    """That the question of `turn` (an id of what came in) goes to the trainers, and the choice that keeps it from them."""
    return [Say(say(language, "desk.gap_noted"), "note"), Offer((Choice(say(language, "desk.withhold"), f"desk:withhold:{turn}"),))]


def clarify(app: App, question: Question, language: Language, topics: tuple[tuple[str, float], ...]) -> Reply:
    """The question that tells most, to tap; with a first question for the customer that is safe whatever it turns out to be."""
    cards = app.retriever.cards()
    blocks: list[Block] = []
    if question.about == "topic":
        top = cards[question.options[0]]
        source = Sources(app, language)
        blocks.append(Say(say(language, "diagnosis.short", title=top.title.text(language))))
        blocks += source.quotes(top, [(top.ask[0], "ask")], say(language, "advice.ask"), "ask")
        options = [Choice(cards[name].title.text(language), f"card:{name}") for name in question.options]
        asked = say(language, "diagnosis.which_topic")
    else:
        card = cards[question.card]
        causes = [cause for name in question.options if (cause := card.cause(name))]
        options = [Choice(shorten(cause.text(language), 32 if language == "zh" else 70), f"cause:{card.id}:{cause.id}") for cause in causes]
        asked = say(language, "diagnosis.which_cause", title=card.title.text(language))
    blocks += source_line(blocks, language)
    blocks.append(Offer((*options, Choice(say(language, "diagnosis.other"), "tell")), asked))
    return Reply(tuple(blocks), language, "clarify", topics)


async def coach(
    app: App,
    session: Session,
    state: Advising,
    topics: Sequence[TopicBelief],
    language: Language,
    documents: Sequence[Hit] = (),
    cause: str | None = None,
) -> Outcome:
    """Advice from the best card, fitted to its likely cause; other topics are offered.

    With a language model the parts are written for this situation; whatever it leaves out, or gets wrong, the card says.
    """
    cards = app.retriever.cards()
    topics = [item for item in topics if item.card in cards]
    card = cards[topics[0].card]
    causes = topics[0].causes
    chosen = cause or (causes[0][0] if causes else None)
    source = Sources(app, language)
    notes = [*_remembered(state, language), *_premise(app, state, card, source, language)]
    menu = Menu.of(card, chosen, Fresh(state.shown), language)
    drafted = await draft(app, _brief(menu, causes, state, source, documents), language) if state.situation else None
    blocks = [*notes, *_advice(card, chosen, causes, topics, menu, drafted, source, language)]
    for hit in documents[:1]:
        blocks.append(source.passage(hit.passage))
    offers = _next(card, chosen, topics, cards, language)
    blocks = fit(blocks, language, plus=offers)
    blocks += [*source_line(blocks, language), *offers]
    shown = (*state.shown, *source.used)[-60:]
    reply = Reply(tuple(blocks), language, "coach", _pairs(topics), drafted.model if drafted else None)
    new = replace(state, topic=card.id, cause=chosen, topics=_pairs(topics), shown=shown)
    return Outcome(session.doing(new), reply)


def _remembered(state: Advising, language: Language) -> list[Say]:
    """In a follow-up: what is kept of the lines before."""
    facts = [say(language, f"diagnosis.{key}", **{name: state.learned[name]}) for key, name in (("role", "roles"), ("date", "date")) if name in state.learned]
    comma = "；" if language == "zh" else "; "
    return [Say(say(language, "diagnosis.remembered", facts=comma.join(facts)), "note")] if state.topic and facts else []


def _premise(app: App, state: Advising, card: Card, source: Sources, language: Language) -> list[Block]:
    """A misconception stated in passing is corrected first, whatever else the message is about."""
    said = state.situation.split("\n")[-1]
    sentences = [part for part in re.split(r"(?<=[。！？!?；;])|(?<=[.])\s", said) if size(part) >= 6]
    if len(sentences) < 2:
        return []
    for sentence in sentences[:4]:
        myth = _myth(app, app.retriever.read(sentence))
        if myth and myth.id != card.id:
            heading = Say(say(language, "diagnosis.premise", title=myth.title.text(language)), "heading")
            return [heading, *source.quotes(myth, [(myth.summary, "overview")], "", "diagnosis")]
    return []


Line = tuple[Both, str]  # a text of a card, and the part of the card where it stands


@dataclass(frozen=True)
class Menu:
    """What a card has for one cause, best first: unseen before shown, for the cause before general."""

    card: Card
    cause: Cause | None
    language: Language
    lines: Mapping[Role, Sequence[Line]]

    @staticmethod
    def of(card: Card, cause_id: str | None, fresh: Fresh, language: Language) -> Menu:
        cause = card.cause(cause_id)
        here = f"cause:{cause_id}"
        ask = [(cause.check, here)] if cause else []
        steps = [(item, here) for item in cause.treat] if cause else []
        lines: dict[Role, list[Line]] = {
            "ask": [*ask, *((item, "ask") for item in fitting(card.ask, cause_id))],
            "step": [*steps, *((item, "steps") for item in fitting(card.steps, cause_id))],
            "say": [(item, "say") for item in fitting(card.say, cause_id)],
            "caution": [(item, "avoid") for item in fitting(card.avoid, cause_id)],
        }
        return Menu(card, cause, language, {role: fresh.pick(found, language, 6) for role, found in lines.items()})


# how many lines of each part a model may choose from: (small machine, big model)
CHOICE: Mapping[Role, tuple[int, int]] = {"ask": (3, 6), "step": (4, 6), "say": (2, 4), "caution": (2, 4)}


def _brief(
    menu: Menu, causes: Sequence[tuple[str, float]], state: Advising, source: Sources, documents: Sequence[Hit]
) -> Brief:
    """The numbered sources for a model: likely causes, lines to choose from, limits, a document's passage."""
    rich = source.app.settings.llm_context >= RICH
    likely = [menu.card.cause(name) for name, _ in causes[:2]] or [menu.cause]
    lines: list[tuple[str, Both, str]] = [("cause", item, f"cause:{item.id}") for item in likely if item]
    lines = lines or [("cause", menu.card.summary, "overview")]
    lines += [(role, item, part) for role, most in CHOICE.items() for item, part in menu.lines[role][: most[rich]]]
    lines += [("limit", item, "limits") for item in menu.card.ethics.limits[: 3 if rich else 1]]
    sources: list[Source] = []
    for role, item, part in lines:
        if quotes := source.quotes(menu.card, [(item, part)], "", "point", shown=False):
            sources.append(Source(f"S{len(sources) + 1}", quotes[0].text, role, quotes[0].source, part))  # type: ignore[arg-type]
    for hit in documents[:1]:
        cited = source.passage(hit.passage)
        sources.append(Source(f"S{len(sources) + 1}", cited.text, "passage", cited.source))
    known = [f"{name}: {value}" for name, value in state.learned.items()]
    return Brief(state.situation, sources, known)


def _advice(
    card: Card,
    cause_id: str | None,
    causes: Sequence[tuple[str, float]],
    topics: Sequence[TopicBelief],
    menu: Menu,
    drafted: Drafted | None,
    source: Sources,
    language: Language,
) -> Iterator[Block]:
    """The parts of the form, each from the draft where it has one, else in the card's words."""
    cause = card.cause(cause_id)
    title = card.title.text(language)
    key = {"myth": "reading_myth", "warning": "reading_warning"}.get(card.polarity, "reading")
    yield Say(say(language, f"advice.{key}", title=title), "heading")
    read = source.pieces(drafted.of("reading") if drafted else [], "", "diagnosis")
    yield from read
    if card.kind != "problem" or cause is None:  # an idea or a method is first of all explained
        yield from source.quotes(card, [(card.summary, "overview")], "", "diagnosis")
    if cause:
        label = "cause" if card.kind == "problem" else "pitfall"
        quotes = source.quotes(card, [(cause, f"cause:{cause.id}")], say(language, f"advice.{label}"), "diagnosis")
        yield from (replace(quote, folded=bool(read)) for quote in quotes)
    yield from _change_of_mind(card, causes, topics, source, language)
    for role, name, least, most in FORM:
        label = say(language, f"advice.{name}")
        pieces = drafted.of(role) if drafted else []
        yield from source.pieces(pieces, label, role)
        if len(pieces) < least:
            used = {piece.text for piece in pieces}
            rest = [line for line in menu.lines[role] if line[0].text(language) not in used]
            yield from source.quotes(card, rest[: most - len(pieces)], label, role)


# role, phrase of its label, how many a draft must have (else the card adds), how many the card gives
FORM: tuple[tuple[Role, str, int, int], ...] = (
    ("ask", "ask", 1, 2), ("step", "steps", 2, 3), ("say", "say", 1, 1), ("caution", "avoid", 1, 1),
)  # fmt: skip


def _change_of_mind(
    card: Card, causes: Sequence[tuple[str, float]], topics: Sequence[TopicBelief], source: Sources, language: Language
) -> Iterator[Block]:
    """What would change the reading: the difference to the runner-up topic, else the check of the runner-up cause."""
    label = say(language, "advice.change")
    others = {item.id: item for item in card.contrast}
    rival = next((others[item.card] for item in topics[1:3] if item.card in others), None)
    if rival:
        yield from source.quotes(card, [(rival.how_to_tell_apart, f"contrast:{rival.id}")], label, "change")
    elif len(causes) > 1 and (second := card.cause(causes[1][0])):
        yield from source.quotes(card, [(second.check, f"cause:{second.id}")], label, "change")


def fitting(items: Iterable[Both], cause_id: str | None) -> list[Both]:
    """Items for the cause first, then general ones; those for other causes are left out."""
    found = [item for item in items if getattr(item, "cause", None) in (cause_id, None)]
    return sorted(found, key=lambda item: getattr(item, "cause", None) is None)


@dataclass
class Fresh:
    """Keeps a conversation from repeating itself: what was shown comes last."""

    shown: Sequence[str]

    def pick(self, items: Sequence[tuple[Both, str]], language: Language, limit: int) -> list[tuple[Both, str]]:
        """The first `limit` items that were not shown and do not say the same as another one picked."""
        seen, picked = set(self.shown), list[tuple[Both, str]]()
        for item in sorted(items, key=lambda item: _mark(item[0].text(language)) in seen):
            if len(picked) < limit and not any(_alike(item[0], other, language) for other, _ in picked):
                picked.append(item)
        return picked


def _alike(one: Both, other: Both, language: Language) -> bool:
    """Do two items say nearly the same (they share more than half of their character trigrams)?"""
    left, right = ({text[i : i + 3] for i in range(len(text) - 2)} for text in (one.text(language), other.text(language)))
    return len(left & right) > 0.5 * min(len(left), len(right))


def _mark(text: str) -> str:
    return text[:24]


@dataclass
class Sources:
    """Turns card items into quotes with their place, and lists the places once at the end."""

    app: App
    language: Language
    places: dict[str, Citation] = field(default_factory=dict)
    used: list[str] = field(default_factory=list)

    def quotes(
        self, card: Card, items: Sequence[tuple[Both, str]], label: str, role: str, *, shown: bool = True
    ) -> list[Quote]:
        """Quotes of card items; an item that isn't in its stored passage word for word is not shown."""
        passages = {item.part: item for item in self.app.retriever.passages_of(card.id, self.language)}
        found = []
        for item, part in items:
            text = item.text(self.language)
            if (passage := passages.get(part)) and text in passage.text:
                found.append(self._addressed(Quote(text, self._cite(passage), label, role)))  # type: ignore[arg-type]
                self.used += [_mark(text)] if shown else []
        return found

    def _addressed(self, quote: Quote) -> Quote:
        """A question to oneself is not put under "ask the customer": its mark becomes the label."""
        if quote.role == "ask" and (mark := TO_ONESELF.match(quote.text)):
            return replace(quote, text=quote.text[mark.end() :], label=say(self.language, "advice.ask_yourself"))
        return quote

    def pieces(self, pieces: Sequence[Piece], label: str, role: str) -> list[Quote | Draft]:
        """What a model chose or wrote: the playbook's words as quotes, its own as drafts with their sources."""
        found: list[Quote | Draft] = []
        for piece in pieces:
            self.used += [_mark(item.text) for item in piece.sources]
            cited = tuple(dict.fromkeys(item.citation for item in piece.sources))
            if piece.verbatim:
                found.append(Quote(piece.text, cited[0], label, role))  # type: ignore[arg-type]
            else:
                found.append(Draft(piece.text, cited, label, piece.supported))
        return found

    def passage(self, passage: Passage) -> Quote:
        """A document's passage: its beginning, on the screen as a quotation."""
        key = "document_myth" if passage.polarity == "myth" else "document"
        return Quote(excerpt(passage.text), self._cite(passage), say(self.language, f"advice.{key}", title=passage.title), "passage")

    def _cite(self, passage: Passage) -> Citation:
        citation = Citation(passage.id, passage.title, passage.place, passage.kind, self.app.retriever.version)
        return self.places.setdefault(passage.id, citation)


def source_line(blocks: Sequence[Block], language: Language) -> list[Say]:
    """Where the visible quotes come from: card and sections, or document and place."""
    places: dict[tuple[str, str], dict[str, None]] = {}
    for block in blocks:
        shown = block.sources if isinstance(block, Draft) else (block.source,) if isinstance(block, Quote) and not block.folded else ()
        for cited in shown:
            place = cited.place.removeprefix(cited.title).removeprefix(" › ").split(" · ")[0]
            places.setdefault((cited.kind, cited.title), {})[place] = None
    comma = "、" if language == "zh" else ", "
    parts = [
        say(language, f"advice.source_{kind}", title=title, places=comma.join(names))
        for (kind, title), names in places.items()
    ]
    return [Say(say(language, "advice.source_line", sources="; ".join(parts)), "source")] if parts else []


def excerpt(text: str, limit: int = 220) -> str:
    """The first sentences of a text, verbatim, up to `limit` characters."""
    if len(text) <= limit:
        return text
    cut = max(text.rfind(mark, 0, limit) for mark in "。！？.!?；;\n")
    return text[: cut + 1] if cut > 40 else text[:limit]


def from_documents(app: App, hits: Sequence[Hit], language: Language) -> Reply:
    """No card fits, but documents say something: their words, with their places."""
    source = Sources(app, language)
    quotes = [source.passage(hit.passage) for hit in hits[:3]]
    blocks: list[Block] = [Say(say(language, "advice.only_documents")), *quotes, *source_line(quotes, language)]
    return Reply(tuple(blocks), language, "coach", ())


def _next(
    card: Card, cause_id: str | None, topics: Sequence[TopicBelief], cards: Mapping[str, Card], language: Language
) -> list[Offer]:
    """Buttons for the next useful thing: another cause, another topic, the sources."""
    options = [
        Choice(say(language, "advice.other_cause", cause=shorten(item.text(language), 28 if language == "zh" else 60)), f"cause:{card.id}:{item.id}")
        for item in card.causes
        if item.id != cause_id
    ][:2]
    options += [
        Choice(say(language, "advice.other_topic", title=cards[item.card].title.text(language)), f"card:{item.card}")
        for item in topics[1:3]
        if item.score >= ALSO
    ]
    return [Offer(tuple(options), say(language, "advice.or_rather"))] if options else []


def shorten(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def fit(blocks: Sequence[Block], language: Language, plus: Sequence[Block] = ()) -> list[Block]:
    """Fold what does not fit on one phone screen: a third step and a second question first, then what must.

    `plus` is shown too but never folded.
    """
    fitted = list(blocks)
    for limit, role, keep in (
        (AIM, "step", 2), (AIM, "ask", 1), (CAP, "passage", 0), (CAP, "change", 0), (CAP, "caution", 0),
    ):  # fmt: skip
        whole = (*fitted, *source_line(fitted, language), *plus)
        if len(plain(Reply(whole, language))) > limit[language]:
            fitted = list(_folded(fitted, role, keep))
    return fitted


def _folded(blocks: Sequence[Block], role: str, keep: int = 0) -> Iterator[Block]:
    seen = 0
    for block in blocks:
        if isinstance(block, Quote) and block.role == role and not block.folded:
            seen += 1
            yield replace(block, folded=True) if seen > keep else block
        else:
            yield block


async def choose(app: App, session: Session, token: str, language: Language) -> Outcome | None:
    """A tapped choice of ours: `card:<id>`, `cause:<card>:<cause>`. None if it isn't, or is no longer valid."""
    cards = app.retriever.cards()
    state = session.activity if isinstance(session.activity, Advising) else Advising()
    match token.split(":"):
        case ["card", card_id] if card_id in cards:
            causes = dict.fromkeys((item.id for item in cards[card_id].causes), 1 / max(1, len(cards[card_id].causes)))
            if state.situation:
                told = app.retriever.read(state.situation).topics
                causes = next((dict(item.causes) for item in told if item.card == card_id), causes)
            belief = TopicBelief(card_id, 1.0, tuple(causes.items()))
            asking = bool(state.asked) and state.topic is None
            if asking and (more := diagnosis.question({card_id: 1.0}, belief.causes, cards, state.situation, state.asked)):
                state = replace(state, asked=(*state.asked, more.mark), topics=((card_id, 1.0),))
                return Outcome(session.doing(state), clarify(app, more, language, state.topics))
            return await coach(app, session, replace(state, shown=()), [belief], language)
        case ["cause", card_id, cause_id] if card_id in cards and cards[card_id].cause(cause_id):
            belief = TopicBelief(card_id, 1.0, ((cause_id, 1.0),))
            return await coach(app, session, state, [belief], language, cause=cause_id)
        case ["tell"]:
            return Outcome(session, Reply((Say(say(language, "diagnosis.more")),), language, "chat"))
    return None
