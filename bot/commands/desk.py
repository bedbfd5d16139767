"""`coach docs | publish | rollback | retire | gaps | report`: the trainer's desk on the command line."""

from __future__ import annotations

import argparse
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from bot import desk, digest
from bot.commands import ProgressLine, settings_of
from bot.errors import CannotHelp, CoachError
from bot.phrases import say
from bot.ports import App
from bot.store.tables import audit

AUTHOR = "local"
ANSWER_LIMIT = 6000  # characters, as in the chat


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of the command that `parser` is for (its last word)."""
    name = parser.prog.split()[-1]
    parser.add_argument("--json", action="store_true", help="print JSON")
    match name:
        case "docs":
            parser.add_argument("id", nargs="?", help="a document: its revisions and passages")
            parser.add_argument("--diff", action="store_true", help="what its last revision changed (a card: against the bundled one)")
            parser.add_argument("--drafts", action="store_true", help="list drafts")
            parser.add_argument("--versions", action="store_true", help="list published versions")
        case "publish":
            parser.add_argument("draft", type=int, help="number of the draft (coach docs --drafts)")
            parser.add_argument("--discard", action="store_true", help="discard it instead")
        case "rollback":
            parser.add_argument("version", type=int, help="version to go back to (coach docs --versions)")
        case "retire":
            parser.add_argument("id", help="document or card to take off the shelf")
            parser.add_argument("--reason", required=True, help="why (kept in the audit)")
        case "gaps":
            _answering(parser)
        case "report":
            parser.add_argument("--out", type=Path, metavar="DIR", help="where picture and table go (default: reports in the data directory)")
            parser.add_argument("--lang", choices=("zh", "en"), default="zh")


def _answering(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION")
    new = actions.add_parser("answer", help="answer a group of questions: a draft for coach publish, which tells those who asked")
    new.add_argument("gap", type=int, metavar="ID", help="number of the group (coach gaps)")
    new.add_argument("--text", required=True, help="the answer, in your words (at most 6,000 characters)")
    new.add_argument("--title", default="", help="its title (default: made of the first question)")
    new.add_argument("--publish", action="store_true", help="publish at once")
    new.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print JSON")
    new.add_argument("--data", type=Path, metavar="DIR", default=argparse.SUPPRESS, help=argparse.SUPPRESS)


async def run(options: argparse.Namespace) -> int:
    from bot.app import open_app

    command: Callable[[App, argparse.Namespace], Awaitable[int]] = _COMMANDS[options.command]
    searching = options.command in ("gaps", "report")
    async with open_app(settings_of(options), retrieval=searching, model=False, progress=ProgressLine(), purpose=f"coach {options.command}") as app:
        try:
            return await command(app, options)
        except CannotHelp as error:
            raise CoachError(say("en", error.phrase, **error.values)) from None


async def _docs(app: App, options: argparse.Namespace) -> int:
    if options.drafts:
        rows = [{"draft": row["id"], "document": row["document"], "title": row["details"].get("title", ""), "by": row["author"], "at": str(row["at"])[:16]} for row in await app.shelf.drafts()]
        return _print(options, rows, "{draft}  {at}  {title}  [{document}]")
    if options.versions:
        rows = [{"version": row["number"], "at": str(row["at"])[:16], "by": row["author"], "note": row["note"], "changes": row["changes"]} for row in await app.shelf.history()]
        return _print(options, rows, "{version}  {at}  {by}  {note}")
    if options.id:
        return await _document(app, options)
    rows = [
        {"id": item.document, "kind": item.kind, "owner": item.owner, "title": item.title, "revision": item.revision, "by": item.author, "at": str(item.at)[:16]}
        for item in await app.shelf.documents()
    ]
    changed = await desk.newer(app)
    for row in rows:
        row["newer"] = row["id"] in changed
    code = _print(options, rows, "{id}  {owner} {kind}  {title}")
    if changed and not options.json:
        print(f"\nThe product has a newer version of {', '.join(sorted(changed))}; your team's was left alone. What is different: coach docs ID --diff")
    return code


async def _document(app: App, options: argparse.Namespace) -> int:
    here = {item.document: item for item in await app.shelf.documents()}
    if options.id not in here:
        raise CannotHelp("desk.not_published", id=options.id)
    item = here[options.id]
    if options.diff:
        legend, before = await _before(app, item)
        lines = desk.diff(before, desk.readable(await app.shelf.revision(item.revision)))
        print("\n".join([legend, *lines]) if lines else say("en", "desk.no_difference"))
        return 0
    passages = await app.shelf.draft_passages(item.revision)
    rows = [{"id": passage.id, "place": passage.place, "polarity": passage.polarity, "text": passage.text, "original": passage.original} for passage in passages]
    history = [row["number"] for row in await app.shelf.history(options.id)]
    if options.json:
        print(json.dumps({"id": options.id, "title": item.title, "versions": history, "passages": rows}, ensure_ascii=False, indent=2))
    else:
        print(f"{item.title}  [{options.id}]  versions {', '.join(map(str, history))}\n")
        print("\n\n".join(f"{row['place']}  ({row['polarity']})\n{row['text']}" for row in rows))
    return 0


async def _before(app: App, item: Any) -> tuple[str, str]:
    """What to compare with: the bundled card of the same id, or the revision before."""
    from bot.app import bundled_playbook

    bundled = (app.settings.playbook_dir or bundled_playbook()) / f"{item.document}.md"
    if item.kind == "card" and item.owner == "team" and bundled.exists():
        return "− the product's, + your team's", bundled.read_text(encoding="utf-8")
    before = await app.shelf.previous_revision(item.revision)
    return "− the revision before, + now", desk.readable(before) if before else ""


async def publish(app: App, options: argparse.Namespace) -> int:
    if options.discard:
        done = await app.shelf.discard_draft(options.draft)
        return _print(options, [{"draft": options.draft, "discarded": done}], "draft {draft} discarded: {discarded}")
    version, told = await desk.publish(app, options.draft, AUTHOR)
    line = "published: version {version}" + (", askers told: {told}" if told else "")
    return _print(options, [{"draft": options.draft, "version": version, "told": told}], line)


async def _rollback(app: App, options: argparse.Namespace) -> int:
    entry = {"at": app.clock(), "person": AUTHOR, "what": "rollback", "details": {"to": options.version}}
    try:
        version = await app.shelf.rollback(options.version, at=app.clock(), author=AUTHOR, note=f"back to version {options.version}", also=[sa.insert(audit).values(**entry)])
    except LookupError as error:
        raise CoachError(f"{error}. coach docs --versions lists them.") from None
    return _print(options, [{"to": options.version, "version": version}], "version {to} is back, as version {version}")


async def _retire(app: App, options: argparse.Namespace) -> int:
    version = await desk.retire(app, options.id, options.reason, AUTHOR)
    return _print(options, [{"id": options.id, "version": version}], "{id} retired: version {version}")


async def answer_gap(app: App, options: argparse.Namespace) -> int:
    """The answer as a draft; with --publish published, and its askers told."""
    text = options.text.strip()
    if not 0 < len(text) <= ANSWER_LIMIT:
        raise CoachError(f"--text has {len(text)} characters; write between 1 and {ANSWER_LIMIT}.")
    draft, asked, remarks = await desk.answer_gap(app, options.gap, text, AUTHOR, options.title.strip())
    row: dict[str, Any] = {"draft": draft, "answers": asked, "remarks": remarks}
    if options.publish:
        row["version"], row["told"] = await desk.publish(app, draft, AUTHOR)
    done = "published: version {version}, askers told: {told}" if options.publish else "draft {draft}: coach publish {draft} publishes it and tells those who asked"
    lines = "\n".join([*(f"    – {item}" for item in asked), *(f"    ! {item}" for item in remarks)])
    return _print(options, [row], done + "\n" + lines.replace("{", "{{").replace("}", "}}"))


async def _gaps(app: App, options: argparse.Namespace) -> int:
    if getattr(options, "action", None) == "answer":
        return await answer_gap(app, options)
    rows: list[dict[str, Any]] = [{"id": max(group.ids), "people": group.crowd, "questions": len(group.ids), "wordings": list(group.wordings), "reasons": dict(group.reasons)} for group in await desk.open_gaps(app)]
    if options.json:
        return _print(options, rows, "")
    for row in rows:
        print(f"{row['id']}  {row['people']} people, {row['questions']} questions")
        print("\n".join(f"    – {text}" for text in row["wordings"][:5]))
    print("\nAnswer one: coach gaps answer ID --text …" if rows else say("en", "desk.no_gaps"))
    return 0


async def _report(app: App, options: argparse.Namespace) -> int:
    week = await digest.week(app.store, app.retriever.cards(), app.clock(), len(await desk.open_gaps(app)))
    folder = options.out or app.data_dir / "reports"
    name = f"{app.clock():%Y-%m-%d}"
    picture = digest.draw(week, folder / f"{name}-{options.lang}.png", options.lang)
    table = digest.write_csv(week, folder / f"{name}.csv")
    row = {"questions": week.questions, "people": digest.crowd(week.people), "answered": week.answered_share, "gaps": week.gaps, "unused": len(week.unused), "picture": str(picture), "table": str(table)}
    return _print(options, [row], "{questions} questions from {people} people, {answered}% got advice, {gaps} groups of gaps, {unused} cards unused\n{picture}\n{table}")


def _print(options: argparse.Namespace, rows: list[dict[str, Any]], line: str) -> int:
    if options.json:
        print(json.dumps(rows, ensure_ascii=False, indent=2))
    else:
        print("\n".join(line.format(**row) for row in rows) or "–")
    return 0


_COMMANDS: dict[str, Callable[[App, argparse.Namespace], Awaitable[int]]] = {
    "docs": _docs,
    "publish": publish,
    "rollback": _rollback,
    "retire": _retire,
    "gaps": _gaps,
    "report": _report,
}
