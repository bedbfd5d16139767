"""TRAINER: a file or a text in, a preview out; publish, mend, retire, roll back; answer what nobody could."""

from __future__ import annotations

import asyncio
import contextlib
import difflib
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from bot import digest, gaps
from bot.errors import CannotHelp, ContentProblem, ContentProblems, NotAllowed
from bot.masking import wording
from bot.people import Person
from bot.phrases import phrases, say
from bot.ports import App, Outcome
from bot.sessions import Idle, Publishing, Session
from bot.store.desk import answered
from bot.store.tables import audit
from bot.turns import (
    Aside,
    Block,
    Choice,
    Citation,
    File,
    Incoming,
    Language,
    Offer,
    Picture,
    Quote,
    Record,
    Reply,
    Say,
    choices,
)  # fmt: skip
from knowledge.cards import BUNDLED, parse_card, read_source
from knowledge.notes import ANSWER, MAX_SITUATIONS, Note, note_edition, note_id, note_of, title_for
from knowledge.passages import Passage
from knowledge.shelf import Edition, card_edition

SAMPLES = 2  # passages shown in a preview
REMARKS = 6  # remarks shown in a preview; the rest is counted
FIXES = 8  # corrections shown at once
DRAFTS = 8  # undecided drafts shown at once
DIFFERENCES = 40  # changed lines shown at once
FIELDS = ("title", "situations", "text")


def _screen(session: Session, language: Language, *blocks: Block, records: Iterable[Record] = (), asides: Iterable[Aside] = ()) -> Outcome:
    return Outcome(session, Reply(tuple(blocks), language, "chat"), tuple(records), tuple(asides))


def _offer(language: Language, pairs: Sequence[tuple[str, str]], text: str = "", **values: object) -> Offer:
    """Choices from (phrase key, token)."""
    return Offer(choices([(say(language, f"desk.{key}"), token) for key, token in pairs]), text)


# ------------------------------------------------------------------ upload and preview


async def upload(app: App, person: Person, session: Session, incoming: Incoming, language: Language) -> Outcome:
    """A file that was sent (or, in the terminal, named): read, checked, stored as a draft, and shown."""
    if not person.may("upload"):
        raise NotAllowed("desk.only_trainers")
    if incoming.attachment is None and not incoming.chat.startswith("terminal:"):
        raise CannotHelp("desk.send_a_file")
    await _within_limits(app, person)
    path, name = await _file(app, incoming)
    prepared = await _prepared(path, name)
    remarks, replaces = await _examined(app, prepared.edition)
    details = {**prepared.edition.details, "checks": remarks, "replaces": replaces}
    edition = replace(prepared.edition, details=details)
    draft = await app.shelf.draft(edition, at=incoming.at, author=person.id)
    return _screen(
        session.doing(Publishing(str(draft))), language, *_preview(edition, draft, language),
        records=[Record("audit", {"what": "upload", "details": {"file": name, "draft": draft}})],
    )  # fmt: skip


async def _within_limits(app: App, person: Person) -> None:
    since = app.clock() - timedelta(days=1)
    count = await app.store.rows("SELECT COUNT(*) AS n FROM audit WHERE person = :p AND what = 'upload' AND at > :since", p=person.id, since=since)
    if count[0]["n"] >= app.settings.uploads_per_day:
        raise CannotHelp("desk.too_many_uploads", limit=app.settings.uploads_per_day)


async def _file(app: App, incoming: Incoming) -> tuple[Path, str]:
    """The file on disk and the name that its owner gave it."""
    attachment = incoming.attachment
    if attachment is None:
        given = incoming.text.strip().strip("'\"")
        with contextlib.suppress(OSError, RuntimeError):  # too long for a name; ~somebody who has no account here
            path = Path(given).expanduser()
            if given and path.is_file():
                return path, path.name
        raise CannotHelp("desk.no_such_file", name=given or "?")
    if attachment.size > app.settings.upload_megabytes * 1024 * 1024:
        raise CannotHelp("desk.refused_too_big", file=attachment.name, megabytes=attachment.size // 1_048_576, limit=app.settings.upload_megabytes)
    if attachment.path is None and (fetch := app.extras.get("fetch")):
        attachment = await fetch(attachment)
    if attachment.path is None:
        raise CannotHelp("desk.no_such_file", name=attachment.name)
    return Path(attachment.path), Path(attachment.name).name


async def _prepared(path: Path, name: str) -> Any:
    """The file as an edition; what is wrong with it is said in the person's language."""
    from knowledge.ingest import Source, prepare
    from knowledge.readers.refusals import Unreadable
    from knowledge.readers.worker import ReadingWorker

    try:
        async with ReadingWorker() as reader:
            return await prepare(Source(name, path), reader)
    except Unreadable as problem:
        raise CannotHelp(f"desk.refused_{problem.code}", file=name, **problem.values) from problem
    except ContentProblem as problem:
        raise CannotHelp("desk.bad_card", file=name, line=problem.line, what=problem.what, fix=problem.fix) from problem
    except ContentProblems as error:
        first = error.problems[0]
        raise CannotHelp("desk.bad_card", file=name, line=first.line, what=first.what, fix=first.fix) from error


async def _examined(app: App, edition: Edition) -> tuple[list[dict[str, Any]], str]:
    """Remarks on an edition beside what is published, and the title of what it would replace."""
    from knowledge.checks import examine, golden_questions

    here = {item.document: item for item in await app.shelf.documents()}
    retriever: Any = app.retriever
    trial = await retriever.trial(edition.passages, (edition.id,))
    questions = golden_questions(retriever.cards(), {item.language for item in edition.passages})
    found = await asyncio.to_thread(examine, edition.passages, (edition.id,), retriever.library, trial, questions)
    rows = [{"kind": item.kind, "passage": item.passage, "other": item.other, "values": dict(item.values)} for item in found]
    return rows, here[edition.id].title if edition.id in here else ""


def _preview(edition: Edition, draft: int, language: Language) -> list[Block]:
    """What a trainer decides on: counts, samples, what was left out, remarks, choices."""
    spoken = Counter(item.language for item in edition.passages)
    names = "、".join if language == "zh" else ", ".join
    details = edition.details
    blocks: list[Block] = [
        Say(say(language, "desk.preview", title=edition.title), "heading"),
        Say(say(
            language, "desk.counts", pages=details.get("pages", 1), passages=len(edition.passages),
            languages=names([say(language, f"desk.language_{item}") for item in spoken]),
        )),
    ]  # fmt: skip
    if details.get("replaces"):
        blocks.append(Say(say(language, "desk.replaces", title=details["replaces"])))
    blocks += _samples(edition.passages, language)
    blocks += [Say(line, "note") for line in (*_left_out(details, language), *_remarks(details.get("checks", ()), language))]
    fixes = [] if details.get("accepted") else details.get("corrections", [])
    if fixes:
        _, before, after = fixes[0]
        blocks.append(Say(say(language, "desk.fixes", count=len(fixes), before=before, after=after), "note"))
    blocks.append(_decision(draft, language, fixes=bool(fixes), replaces=bool(details.get("replaces"))))
    return blocks


def _decision(draft: int, language: Language, *, fixes: bool, replaces: bool = False, compared: bool = False) -> Offer:
    pairs = [("publish_replacing" if replaces else "publish", f"desk:publish:{draft}")]
    pairs += [("compare", f"desk:diff:{draft}")] if replaces and not compared else []
    pairs += [("fix", f"desk:fix:{draft}")] if fixes else []
    return _offer(language, [*pairs, ("discard", f"desk:discard:{draft}")], say(language, "desk.decide"))


def _samples(passages: Sequence[Passage], language: Language) -> list[Block]:
    """The first passage and one from the middle, as they would be quoted."""
    shown = [item for item in passages if item.part != "outline"] or list(passages)
    chosen = list(dict.fromkeys((0, len(shown) // 2)))[:SAMPLES]
    label = say(language, "desk.sample")
    return [
        Quote(_beginning(shown[i].text), Citation(shown[i].id, shown[i].title, shown[i].place, shown[i].kind), f"{label} · {shown[i].place}{_meant(shown[i], language)}", "passage")
        for i in chosen
    ]


def _meant(passage: Passage, language: Language) -> str:
    return f" · {say(language, f'desk.meant_{passage.polarity}')}" if passage.polarity in ("myth", "warning") else ""


def _beginning(text: str, limit: int = 160) -> str:
    return text if len(text) <= limit else text[:limit]


def _left_out(details: Mapping[str, Any], language: Language) -> list[str]:
    counts = Counter(why for _, _, why in details.get("dropped", []))
    lines = []
    if counts:
        parts = [say(language, f"desk.why_{why.replace('-', '_')}", count=count) for why, count in counts.items()]
        example = next((text for _, text, why in details["dropped"] if text and why in ("watermark", "running")), "")
        lines.append(say(language, "desk.left_out", what=("；" if language == "zh" else "; ").join(parts)) + (f"\n“{example[:80]}”" if example else ""))
    for code, places in _by_code(details.get("remarks", [])).items():
        key = f"desk.remark_{code.split(':')[0]}"
        if key in phrases(language):
            lines.append(say(language, key, places=_few(places, language), value=code.partition(":")[2]))
    return lines


def _by_code(remarks: Iterable[Sequence[str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for place, code in remarks:
        found.setdefault(code, []).append(place)
    return found


def _few(places: Sequence[str], language: Language, limit: int = 6) -> str:
    more = f" … ({len(places)})" if len(places) > limit else ""
    return ("、" if language == "zh" else ", ").join(place for place in places[:limit] if place) + more


def _remarks(checks: Sequence[Mapping[str, Any]], language: Language) -> list[str]:
    """Contradictions first, then duplicates, then the rest; what doesn't fit is counted."""
    order = ("unchecked", "number", "polarity", "duplicate", "answer", "unfindable", "language", "mixed")
    ranked = sorted(checks, key=lambda item: order.index(item["kind"]))
    lines = [say(language, f"desk.check_{item['kind']}", **item["values"]) for item in ranked[:REMARKS]]
    if len(ranked) > REMARKS:
        rest = Counter(item["kind"] for item in ranked[REMARKS:])
        parts = [f"{say(language, f'desk.kind_{kind}')} {count}" for kind, count in rest.items()]
        lines.append(say(language, "desk.more_remarks", what=("、" if language == "zh" else ", ").join(parts)))
    return lines


# ------------------------------------------------------------------ deciding on a draft


async def choose(app: App, person: Person, session: Session, incoming: Incoming, language: Language) -> Outcome:
    """A tapped choice of the desk: `desk:<what>:<number>`."""
    _, what, *rest = (incoming.choice or "").split(":")
    if what == "withhold":
        return await _withhold(app, person, session, replace(incoming, text=":".join(rest)), language)
    if not person.may("upload"):
        raise NotAllowed("desk.only_trainers")
    handler = _CHOICES.get(what)
    if handler is None:
        raise CannotHelp("core.old_button")
    return await handler(app, person, session, replace(incoming, text=":".join(rest)), language)  # type: ignore[no-any-return]


async def _withhold(app: App, person: Person, session: Session, incoming: Incoming, language: Language) -> Outcome:
    """The question of the turn that the button names, if it was this person's, is kept from the trainers."""
    turns = await app.store.rows("SELECT said FROM turns WHERE incoming = :i AND person = :p", i=incoming.text, p=person.id)
    if not turns:
        raise CannotHelp("core.old_button")
    said = turns[0]["said"]
    asides = await _tell_drafters(app, person, said)
    return _screen(session, language, Say(say(language, "desk.withheld")), records=[Record("gap-withheld", {"text": said})], asides=asides)


async def _tell_drafters(app: App, person: Person, said: str) -> list[Aside]:
    """Trainers whose open draft holds a withheld question: its words leave the draft, and they hear of it."""
    ids = {row["id"] for row in await app.store.rows("SELECT id FROM gaps WHERE person = :p AND text = :t", p=person.id, t=said)}
    asides = []
    for row in await app.shelf.drafts():
        author = await app.store.person(row["author"]) if ids & set(row["details"].get("gaps", ())) else None
        if author and author.chat:
            language: Language = "en" if author.language == "en" else "zh"
            blocks = (Say(say(language, "desk.withdrawn_aside")), _offer(language, [("open_draft", f"desk:show:{row['id']}")]))
            asides.append(Aside(author.chat, Reply(blocks, language, "chat"), key=f"withdrawn:{row['id']}:{max(ids)}"))
    return asides


async def _draft(app: App, incoming: Incoming) -> Mapping[str, Any]:
    row = await app.shelf.revision(_number(incoming.text)) if incoming.text else None
    if row is None:
        raise CannotHelp("core.old_button")
    return row  # type: ignore[no-any-return]


def _number(text: str) -> int:
    head = text.split(":")[0]
    if not head.isdigit():
        raise CannotHelp("core.old_button")
    return int(head)


async def _publish(app: App, person: Person, session: Session, incoming: Incoming, language: Language) -> Outcome:
    """Publish a draft; tapping twice publishes once."""
    row = await _draft(app, incoming)
    number, told = await publish(app, row["id"], person.id, here=incoming.chat)
    await _refresh(app)
    blocks = [Say(say(language, "desk.published", title=row["title"], version=number))]
    blocks += [Say(say(language, "desk.told", count=told), "note")] if told else []
    return _screen(session.doing(Idle()), language, *blocks)


async def publish(app: App, draft: int, author: str, *, here: str = "") -> tuple[int, int]:
    """Publish a draft, its audit row, the gaps it answers and word to their askers in one transaction.

    Returns the version and how many chats are told; `here` is a chat that need not be told. A draft that was published
    before stays so: the version of now, nobody told again.
    """
    row = await app.shelf.revision(draft)
    if row is None:
        raise CannotHelp("desk.draft_gone")
    entry = {"at": app.clock(), "person": author, "what": "publish", "details": {"document": row["document"], "revision": draft}}
    ids = [int(item) for item in row["details"].get("gaps", [])]
    letters = await _letters(app, ids, row, here) if ids else {}
    closing = answered(ids, row["document"], letters, app.clock()) if ids else []
    note = row["details"].get("file") or row["title"]
    try:
        number = await app.shelf.publish_draft(draft, at=app.clock(), author=author, note=note, also=[sa.insert(audit).values(**entry), *closing])
    except LookupError:
        if row["state"] != "published":
            raise CannotHelp("desk.draft_gone") from None
        return int(await app.shelf.version()), 0
    return int(number), len(letters)


async def _refresh(app: App) -> None:
    """The search views of this process catch up with the shelf."""
    retriever: Any = app.retriever
    await retriever.refresh()


async def _letters(app: App, ids: Sequence[int], row: Mapping[str, Any], here: str) -> dict[int, Aside]:
    """By gap the message to its asker, one for each chat, in the language of their question."""
    rows = [item for item in await app.store.rows(gaps.waiting(ids)) if item["chat"] not in ("", here)]
    return {item["id"]: _letter(item, row) for item in {item["chat"]: item for item in rows}.values()}


def _letter(gap: Mapping[str, Any], row: Mapping[str, Any]) -> Aside:
    language: Language = "en" if gap["language"] == "en" else "zh"
    blocks: list[Block] = [Say(say(language, "desk.answered", question=gap["text"][:120]))]
    if row["details"].get("note"):
        blocks.append(Quote(note_of(row["content"]).text[:600], Citation(f"{row['document']}/1", row["title"], row["title"], "document"), "", "passage"))
    return Aside(gap["chat"], Reply(tuple(blocks), language, "chat"), key=f"gap:{gap['id']}")


async def _discard(app: App, person: Person, session: Session, incoming: Incoming, language: Language) -> Outcome:
    done = await app.shelf.discard_draft(_number(incoming.text))
    return _screen(session.doing(Idle()), language, Say(say(language, "desk.discarded" if done else "desk.draft_gone")))


async def _fix(app: App, person: Person, session: Session, incoming: Incoming, language: Language) -> Outcome:
    """The proposed corrections, numbered: take all, or name those that should stay as they are."""
    row = await _draft(app, incoming)
    fixes = row["details"].get("corrections", [])
    start = int(incoming.text.split(":")[1]) if incoming.text.count(":") else 0
    lines = [f"{i}. − {before}\n    + {after}" + (f"  ({place})" if place else "") for i, (place, before, after) in enumerate(fixes, 1)][start : start + FIXES]
    pairs = [("fix_all", f"desk:apply:{row['id']}")]
    pairs += [("fix_more", f"desk:fix:{row['id']}:{start + FIXES}")] if start + FIXES < len(fixes) else []
    pairs += [("fix_none", f"desk:show:{row['id']}")]
    session = session.doing(Publishing(str(row["id"]), {"field": "keep"}))
    return _screen(session, language, Say(say(language, "desk.fix_how", count=len(fixes))), Say("\n".join(lines)), _offer(language, pairs))


async def _apply(app: App, person: Person, session: Session, incoming: Incoming, language: Language, keep: Iterable[int] = ()) -> Outcome:
    """A new draft with the corrections, except those that stay as they are; the old draft goes."""
    from knowledge.ingest import with_corrections

    row = await _draft(app, incoming)
    edition = await _edition(app, row)
    stays = set(keep)
    accepted = {before: after for i, (_, before, after) in enumerate(row["details"].get("corrections", []), 1) if i not in stays}
    fixed = with_corrections(edition, accepted)
    remarks, replaces = await _examined(app, fixed)
    fixed = replace(fixed, details={**fixed.details, "checks": remarks, "replaces": replaces})
    draft = await app.shelf.draft(fixed, at=incoming.at, author=person.id)
    await app.shelf.discard_draft(row["id"])
    return _screen(session.doing(Publishing(str(draft))), language, *_preview(fixed, draft, language))


async def _show(app: App, person: Person, session: Session, incoming: Incoming, language: Language) -> Outcome:
    row = await _draft(app, incoming)
    if row["state"] != "draft":
        raise CannotHelp("desk.draft_gone")
    edition = await _edition(app, row)
    blocks = (_note_blocks if row["details"].get("note") else _preview)(edition, row["id"], language)
    return _screen(session.doing(Publishing(str(row["id"]), {"gaps": row["details"].get("gaps", [])})), language, *blocks)


async def _edition(app: App, row: Mapping[str, Any]) -> Edition:
    """A stored revision as an edition again."""
    passages = tuple(await app.shelf.draft_passages(row["id"]))
    source = row["details"].get("source", "")
    return Edition(row["document"], row["kind"], row["title"], row["content"], row["sha256"], passages, row["owner"], source, row["details"])


# ------------------------------------------------------------------ notes: a text becomes an answer


async def add(app: App, person: Person, session: Session, incoming: Incoming, language: Language) -> Outcome:
    """`/add text` or a forwarded message: a note to edit and publish. Without text the next message is it."""
    text = incoming.text.strip()
    if not text:
        return _screen(session.doing(Publishing("", {"field": "text", "note": {}})), language, Say(say(language, "desk.add_how")))
    return await _note_screen(app, person, session, incoming, language, _new_note(incoming, text))


def _new_note(incoming: Incoming, text: str, situations: Sequence[str] = ()) -> Note:
    title = title_for(situations[0] if situations else text)
    return Note(note_id(incoming.id), title, text[:6000], tuple(situations[:MAX_SITUATIONS]))


async def _note_screen(
    app: App, person: Person, session: Session, incoming: Incoming, language: Language, note: Note, about: Sequence[int] = (), withdrawn: int = 0
) -> Outcome:
    """The note as a draft: `about` are the gaps that it answers, `withdrawn` counts questions that were taken back."""
    edition = note_edition(note, details={"gaps": list(about), "withdrawn": withdrawn})
    remarks, replaces = await _examined(app, edition)
    edition = replace(edition, details={**edition.details, "checks": remarks, "replaces": replaces})
    before = session.activity.draft if isinstance(session.activity, Publishing) else ""
    if before.isdigit():
        await app.shelf.discard_draft(int(before))
    draft = await app.shelf.draft(edition, at=incoming.at, author=person.id)
    return _screen(session.doing(Publishing(str(draft), {"gaps": list(about)})), language, *_note_blocks(edition, draft, language))


def _note_blocks(edition: Edition, draft: int, language: Language) -> list[Block]:
    """A drafted note, with a choice for each field."""
    note, withdrawn = note_of(edition.content), edition.details.get("withdrawn", 0)
    replaces = bool(edition.details.get("replaces"))
    pairs = [("publish_replacing" if replaces else "publish", f"desk:publish:{draft}"), *((f"edit_{field}", f"desk:edit:{draft}:{field}") for field in FIELDS)]
    pairs += [("compare", f"desk:diff:{draft}")] if replaces else []
    situations = "\n".join(f"– {item}" for item in note.situations) or say(language, "desk.no_situations")
    return [
        Say(say(language, "desk.note", title=note.title), "heading"),
        Say(say(language, "desk.note_situations", situations=situations)),
        Quote(note.text, Citation(f"{note.id}/1", note.title, note.title, "document"), say(language, "desk.note_text"), "passage"),
        *([Say(say(language, "desk.withdrawn", count=withdrawn), "note")] if withdrawn else []),
        *(Say(line, "note") for line in _remarks(edition.details.get("checks", ()), language)),
        _offer(language, [*pairs, ("discard", f"desk:discard:{draft}")], say(language, "desk.decide")),
    ]


async def _edit(app: App, person: Person, session: Session, incoming: Incoming, language: Language) -> Outcome:
    """Ask for the new words of one field."""
    field = incoming.text.partition(":")[2]
    row = await _draft(app, incoming)
    if field not in FIELDS or not row["details"].get("note"):
        raise CannotHelp("core.old_button")
    session = session.doing(Publishing(str(row["id"]), {"field": field, "gaps": row["details"].get("gaps", [])}))
    return _screen(session, language, Say(say(language, f"desk.ask_{field}")))


async def hear(app: App, person: Person, session: Session, incoming: Incoming, language: Language) -> Outcome:
    """Plain text while a draft is open: the words of the field that was asked for."""
    assert isinstance(session.activity, Publishing)
    state, text = session.activity.state, incoming.text.strip()
    match state.get("field"):
        case "keep":
            numbers = [int(number) for number in re.findall(r"\d+", text)]
            return await _apply(app, person, session, replace(incoming, text=session.activity.draft), language, keep=numbers)
        case "reason":
            return await _retired(app, person, session, incoming, language, str(state["document"]), text)
        case "text" if not session.activity.draft:
            asked, about = await _still_asked(app, state)
            withdrawn = len(state.get("situations", ())) - len(asked)
            return await _note_screen(app, person, session, incoming, language, _new_note(incoming, text, asked), about, withdrawn)
        case "title" | "situations" | "text" as field:
            row = await _draft(app, replace(incoming, text=session.activity.draft))
            value: Any = tuple(line.strip("–- \t") for line in text.split("\n") if line.strip()) if field == "situations" else text
            note = replace(note_of(row["content"]), **{field: value})
            details = row["details"]
            return await _note_screen(app, person, session, incoming, language, note, details.get("gaps", ()), details.get("withdrawn", 0))
    raise CannotHelp("desk.draft_open")


async def _still_asked(app: App, state: Mapping[str, Any]) -> tuple[list[str], list[int]]:
    """Of a group that was opened: the wordings and gaps that nobody has withheld or answered meanwhile."""
    rows = await app.store.rows(gaps.waiting(state.get("gaps", ())))
    words = {wording(row["text"], row["language"]) for row in rows}
    return [item for item in state.get("situations", ()) if item in words], [row["id"] for row in rows]


# ------------------------------------------------------------------ what is published


async def docs(app: App, person: Person, session: Session, incoming: Incoming, language: Language) -> Outcome:
    """The team's documents and drafts; bundled cards are only counted."""
    found = await app.shelf.documents()
    team = sorted((item for item in found if item.owner == "team"), key=lambda item: item.at, reverse=True)
    bundled = len(found) - len(team)
    text = say(language, "desk.docs", count=len(team), bundled=bundled, version=await app.shelf.version())
    offer = Offer(tuple(Choice(item.title[:40], f"desk:doc:{item.revision}") for item in team[:20]), say(language, "desk.docs_pick") if team else "")
    return _screen(session, language, Say(text), *([offer] if team else []), *await _drafts_offer(app, language), *await _news_offer(app, found, language), _offer(language, [("versions", "desk:versions")]))


async def _drafts_offer(app: App, language: Language) -> list[Block]:
    """Drafts that nobody has decided on yet, to be looked at again."""
    drafts = await app.shelf.drafts()
    rows = [Choice(say(language, "desk.draft", title=row["details"].get("title", row["document"])[:40]), f"desk:show:{row['id']}") for row in drafts[:DRAFTS]]
    return [Offer(tuple(rows), say(language, "desk.drafts", count=len(drafts)))] if rows else []


async def newer(app: App) -> dict[str, tuple[Path, str]]:
    """Cards that the team has replaced and whose text in the product has changed since: the product's files and their hashes.

    An upgrade never overwrites a team's card: what it says now is shown until the team takes it or keeps its own.
    """
    from knowledge.ingest import sha256_of

    folder, seen = app.settings.playbook_dir or BUNDLED, await app.shelf.seen()
    kept = [row["details"] if isinstance(row["details"], dict) else json.loads(row["details"]) for row in await app.store.rows("SELECT details FROM audit WHERE what = 'kept-ours'")]
    seen |= {(item.get("document", ""), item.get("sha256", "")) for item in kept}
    cards = [item.document for item in await app.shelf.documents() if item.kind == "card" and item.owner == "team"]
    files = {card: folder / f"{card}.md" for card in cards if (folder / f"{card}.md").is_file()}
    found = {card: (path, sha256_of(path)) for card, path in files.items()}
    return {card: (path, sha256) for card, (path, sha256) in found.items() if (card, sha256) not in seen}


async def _news_offer(app: App, found: Sequence[Any], language: Language) -> list[Block]:
    changed = await newer(app)
    rows = [Choice(item.title[:40], f"desk:news:{item.revision}") for item in found if item.document in changed]
    return [Offer(tuple(rows), say(language, "desk.newer"))] if rows else []


async def _product_card(app: App, incoming: Incoming) -> tuple[Mapping[str, Any], str, str]:
    """A team's card, and the text and hash of the product's newer one."""
    row = await _draft(app, incoming)
    changed = await newer(app)
    if row["document"] not in changed:
        raise CannotHelp("core.old_button")
    path, sha256 = changed[row["document"]]
    return row, read_source(path), sha256


async def _news(app: App, person: Person, session: Session, incoming: Incoming, language: Language) -> Outcome:
    """What the product's new version of a card says against the team's."""
    row, source, _ = await _product_card(app, incoming)
    lines = _shown(diff(row["content"], source), language)
    offer = _offer(language, [("take", f"desk:take:{row['id']}"), ("keep_ours", f"desk:keep:{row['id']}")])
    return _screen(session, language, Say(say(language, "desk.news_head", title=row["title"])), Say(lines), offer)


async def _take(app: App, person: Person, session: Session, incoming: Incoming, language: Language) -> Outcome:
    """The product's version as a draft: checked and decided on like any other."""
    row, source, sha256 = await _product_card(app, incoming)
    edition = card_edition(parse_card(source, row["document"]), source, sha256, "bundled")
    remarks, replaces = await _examined(app, edition)
    edition = replace(edition, details={"checks": remarks, "replaces": replaces})
    draft = await app.shelf.draft(edition, at=incoming.at, author=person.id)
    return _screen(session.doing(Publishing(str(draft))), language, *_preview(edition, draft, language))


async def _keep(app: App, person: Person, session: Session, incoming: Incoming, language: Language) -> Outcome:
    """The team's version stays; the product's is not mentioned again until it changes."""
    row, _, sha256 = await _product_card(app, incoming)
    entry = {"what": "kept-ours", "details": {"document": row["document"], "sha256": sha256}}
    return _screen(session, language, Say(say(language, "desk.kept_ours", title=row["title"])), records=[Record("audit", entry)])


async def _doc(app: App, person: Person, session: Session, incoming: Incoming, language: Language) -> Outcome:
    row = await _draft(app, incoming)
    count = len(await app.shelf.draft_passages(row["id"]))
    history = await app.shelf.history(row["document"])
    blocks: list[Block] = [
        Say(row["title"], "heading"),
        Say(say(language, "desk.doc", passages=count, at=str(row["at"])[:16], versions=", ".join(str(item["number"]) for item in history[:8]))),
    ]
    pairs = [("diff", f"desk:diff:{row['id']}"), ("retire", f"desk:retire:{row['id']}")]
    pairs += [("edit_text", f"desk:edit:{row['id']}:text")] if row["details"].get("note") else []
    return _screen(session, language, *blocks, _offer(language, pairs))


async def _diff(app: App, person: Person, session: Session, incoming: Incoming, language: Language) -> Outcome:
    """What this revision changed against the one before it; what a draft would change in what is published now."""
    row = await _draft(app, incoming)
    before = await app.shelf.previous_revision(row["id"])
    drafted = row["state"] == "draft"
    if before is None:
        return _screen(session, language, Say(say(language, "desk.first_revision")))
    lines = diff(readable(before), readable(row))
    decision = [_decision(row["id"], language, fixes=False, replaces=True, compared=True)] if drafted else []
    return _screen(session, language, Say(say(language, "desk.diff_published" if drafted else "desk.diff_head")), Say(_shown(lines, language)), *decision)


def readable(row: Mapping[str, Any]) -> str:
    """A revision's text as a person compares it: a note's fields on lines of their own."""
    if not row["details"].get("note"):
        return str(row["content"])
    note = note_of(row["content"])
    return "\n".join([note.title, *note.situations, note.text])


def _shown(lines: Sequence[str], language: Language) -> str:
    """Changed lines that fit a screen; the rest is counted."""
    more = [say(language, "desk.more_lines", count=len(lines) - DIFFERENCES)] if len(lines) > DIFFERENCES else []
    return "\n".join([*lines[:DIFFERENCES], *more]) or say(language, "desk.no_difference")


def diff(before: str, after: str) -> list[str]:
    """Changed lines only, with − and +."""
    changes = difflib.unified_diff(before.split("\n"), after.split("\n"), lineterm="", n=0)
    return [("− " if line[0] == "-" else "+ ") + line[1:].strip() for line in changes if line[0] in "+-" and not line.startswith(("---", "+++")) and line[1:].strip()]


async def _retire(app: App, person: Person, session: Session, incoming: Incoming, language: Language) -> Outcome:
    row = await _draft(app, incoming)
    session = session.doing(Publishing("", {"field": "reason", "document": row["document"]}))
    return _screen(session, language, Say(say(language, "desk.ask_reason", title=row["title"])))


async def _retired(app: App, person: Person, session: Session, incoming: Incoming, language: Language, document: str, reason: str) -> Outcome:
    number = await retire(app, document, reason, person.id)
    await _refresh(app)
    return _screen(session.doing(Idle()), language, Say(say(language, "desk.retired", version=number)))


async def retire(app: App, document: str, reason: str, author: str) -> int:
    """Take a document off the shelf, with its reason in the audit; the new version."""
    if document not in {item.document for item in await app.shelf.documents()}:
        raise CannotHelp("desk.not_published", id=document)
    entry = {"at": app.clock(), "person": author, "what": "retire", "details": {"document": document, "reason": reason}}
    return int(await app.shelf.publish(retire=[document], at=app.clock(), author=author, note=f"retired: {reason}"[:200], also=[sa.insert(audit).values(**entry)]))


async def _versions(app: App, person: Person, session: Session, incoming: Incoming, language: Language) -> Outcome:
    history = (await app.shelf.history())[:8]
    lines = [f"{item['number']}  {str(item['at'])[:16]}  {item['note'][:60]}" for item in history]
    back = [Choice(say(language, "desk.back_to", version=item["number"]), f"desk:back:{item['number']}") for item in history[1:5]]
    return _screen(session, language, Say(say(language, "desk.versions_head")), Say("\n".join(lines)), *([Offer(tuple(back))] if back else []))


async def _back(app: App, person: Person, session: Session, incoming: Incoming, language: Language) -> Outcome:
    """Confirm first; `desk:back:<version>:yes` rolls back."""
    number = _number(incoming.text)
    if not incoming.text.endswith(":yes"):
        return _screen(session, language, Say(say(language, "desk.back_sure", version=number)), _offer(language, [("back_yes", f"desk:back:{number}:yes"), ("versions", "desk:versions")]))
    try:
        entry = {"at": incoming.at, "person": person.id, "what": "rollback", "details": {"to": number}}
        new = await app.shelf.rollback(number, at=incoming.at, author=person.id, note=f"back to version {number}", also=[sa.insert(audit).values(**entry)])
    except LookupError:
        raise CannotHelp("core.old_button") from None
    await _refresh(app)
    return _screen(session, language, Say(say(language, "desk.rolled_back", to=number, version=new)))


# ------------------------------------------------------------------ gaps and the weekly digest


async def open_gaps(app: App) -> list[gaps.Group]:
    rows = await app.store.rows(gaps.OPEN)
    return await asyncio.to_thread(gaps.grouped, rows, app.retriever.similarity)


async def show_gaps(app: App, person: Person, session: Session, incoming: Incoming, language: Language) -> Outcome:
    """Questions without a good answer, by meaning; those that concern most people first."""
    groups = (await open_gaps(app))[:8]
    if not groups:
        return _screen(session, language, Say(say(language, "desk.no_gaps")))
    offer = Offer(tuple(Choice(f"{group.wordings[0][:48]}  ({group.crowd})", f"desk:gap:{max(group.ids)}") for group in groups), say(language, "desk.gaps_pick"))
    return _screen(session, language, Say(say(language, "desk.gaps", count=len(groups))), offer)


async def _gap(app: App, person: Person, session: Session, incoming: Incoming, language: Language) -> Outcome:
    """One group: its wordings, and the wish for an answer."""
    wanted = _number(incoming.text)
    group = next((item for item in await open_gaps(app) if wanted in item.ids), None)
    if group is None:
        raise CannotHelp("desk.gap_gone")
    state = {"field": "text", "note": {}, "situations": list(group.wordings[:MAX_SITUATIONS]), "gaps": list(group.ids)}
    lines = "\n".join(f"– {item}" for item in group.wordings[:8])
    return _screen(session.doing(Publishing("", state)), language, Say(say(language, "desk.gap", people=group.crowd)), Say(lines), Say(say(language, "desk.gap_answer")))


async def answer_gap(app: App, gap: int, text: str, author: str, title: str = "") -> tuple[int, list[str], list[str]]:
    """A group of gaps (any number in it) answered outside a chat: draft, its questions, remarks in English. `publish` tells the askers."""
    group = next((item for item in await open_gaps(app) if gap in item.ids), None)
    if group is None:
        raise CannotHelp("desk.gap_gone")
    asked = group.wordings[:MAX_SITUATIONS]
    note = Note(note_id(f"{author}:{max(group.ids)}:{text}"), title or title_for(asked[0]), text, tuple(asked))
    edition = note_edition(note, details={"gaps": list(group.ids), "withdrawn": 0})
    remarks, replaces = await _examined(app, edition)
    edition = replace(edition, details={**edition.details, "checks": remarks, "replaces": replaces})
    return await app.shelf.draft(edition, at=app.clock(), author=author), list(asked), _remarks(remarks, "en")


async def report(app: App, person: Person, session: Session, incoming: Incoming, language: Language) -> Outcome:
    """The week in one picture and one table."""
    week = await digest.week(app.store, app.retriever.cards(), app.clock(), len(await open_gaps(app)))
    folder = app.data_dir / "reports"
    name = f"{app.clock():%Y-%m-%d}"
    picture = await asyncio.to_thread(digest.draw, week, folder / f"{name}-{language}.png", language)
    table = digest.write_csv(week, folder / f"{name}.csv")
    summary = say(language, "desk.report", questions=week.questions, people=digest.crowd(week.people), answered=week.answered_share, gaps=week.gaps)
    rising = "、".join(week.titles[item][language] for item in week.rising) if language == "zh" else ", ".join(week.titles[item][language] for item in week.rising)
    lines = [say(language, "desk.report_rising", topics=rising)] if rising else []
    lines += [say(language, "desk.report_unused", count=len(week.unused))] if week.unused else []
    return _screen(session, language, Say("\n".join([summary, *lines])), Picture(str(picture), summary), File(str(table), table.name, say(language, "desk.report_table")))


_CHOICES: dict[str, Any] = {
    "publish": _publish,
    "discard": _discard,
    "fix": _fix,
    "apply": _apply,
    "show": _show,
    "edit": _edit,
    "doc": _doc,
    "diff": _diff,
    "news": _news,
    "take": _take,
    "keep": _keep,
    "retire": _retire,
    "versions": _versions,
    "back": _back,
    "gap": _gap,
}

__all__ = ["ANSWER", "add", "answer_gap", "choose", "diff", "docs", "hear", "newer", "open_gaps", "publish", "readable", "report", "retire", "show_gaps", "upload"]
