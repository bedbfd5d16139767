"""`coach ingest`: documents and passages into the playbook, checked, shown, and published at once or kept as drafts."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from bot.commands import ProgressLine, lines_of, settings_of
from bot.errors import ContentProblem, SetupProblem
from bot.phrases import say
from bot.ports import App

BATCH = 25  # documents published in one version, so that an interrupted run keeps what it had done


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("paths", nargs="*", metavar="PATH", help="files, folders or patterns")
    parser.add_argument("--accept-cleaning", action="store_true", help="apply the proposed corrections of swapped words")
    parser.add_argument("--draft", action="store_true", help="stop at the preview: store drafts, publish nothing")
    parser.add_argument("--dry-run", action="store_true", help="show what would happen and keep nothing")
    parser.add_argument("--passages", type=Path, metavar="FILE", help="JSON Lines of ready passages: id, text, lang?, title?, source?")
    parser.add_argument("--no-playbook", action="store_true", help="a new data directory holds only what is ingested")
    parser.add_argument("--no-checks", action="store_true", help="skip duplicates, contradictions and findability")
    parser.add_argument("--json", action="store_true", help="print the summary as JSON")


@dataclass
class Summary:
    """What a run did, for people and for machines."""

    published: list[dict[str, Any]] = field(default_factory=list)
    drafts: list[dict[str, Any]] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    refused: list[dict[str, Any]] = field(default_factory=list)
    passages: int = 0
    version: int = 0
    seconds: float = 0.0


async def run(options: argparse.Namespace) -> int:
    from bot.app import open_app

    if not options.paths and not options.passages:
        raise SetupProblem("Nothing to ingest: name files or folders, or give --passages FILE.")
    settings, summary, started = settings_of(options), Summary(), time.monotonic()
    shared: dict[str, Any] = {"playbook": not options.no_playbook, "model": False, "purpose": "coach ingest"}
    new: list[Any] = []
    with contextlib.ExitStack() as unpacked:
        async with open_app(settings, retrieval=False, **shared) as app:  # whether there is work is known without the views
            before = await app.shelf.version()
            if options.passages:
                await _take_passages(app, options, summary)
            if options.paths:
                new = await _changed(app, options, summary, unpacked)
            summary.version = await app.shelf.version()
        if new or summary.version > before:
            async with open_app(settings, progress=ProgressLine(), **shared) as app:
                await _take_documents(app, new, options, summary)
                summary.version = await app.shelf.version()
                views: Any = app.retriever
                await views.refresh()  # so that the next question is quick
                await views.settle()
    summary.seconds = round(time.monotonic() - started, 1)
    _report(summary, options)
    if not (summary.published or summary.drafts or summary.unchanged):
        return 2
    return 1 if summary.refused else 0


async def _take_passages(app: App, options: argparse.Namespace, summary: Summary) -> None:
    from knowledge.ingest import passage_editions, passage_rows

    name = str(options.passages)
    rows, problems = passage_rows(lines_of(options.passages), name)
    _refuse(summary, problems)
    here = {item.document: item for item in await app.shelf.documents()}
    editions = passage_editions(rows, name)
    new = [item for item in editions if item.id not in here or here[item.id].sha256 != item.sha256]
    summary.unchanged += [item.title for item in editions if item not in new]
    if new and not options.dry_run:
        await app.shelf.publish(new, at=app.clock(), author="local", note=f"ingest --passages {Path(name).name}")
    summary.published += [{"id": item.id, "title": item.title, "passages": len(item.passages)} for item in new]
    summary.passages += sum(len(item.passages) for item in new)


async def _changed(app: App, options: argparse.Namespace, summary: Summary, unpacked: contextlib.ExitStack) -> list[Any]:
    """The sources that are not on the shelf as they are; archives are unpacked for as long as `unpacked` is open."""
    from knowledge.ingest import find_sources, is_unchanged, open_archives, sha256_of

    given, problems = find_sources(options.paths)
    _refuse(summary, problems)
    here = {item.document: item for item in await app.shelf.documents()}
    sources, problems = open_archives(given, Path(unpacked.enter_context(tempfile.TemporaryDirectory(prefix="coach-"))))
    _refuse(summary, problems)
    new = []
    for source in sources:
        if is_unchanged(source, sha256_of(source.path), here, options.accept_cleaning):
            summary.unchanged.append(source.name)
        else:
            new.append(source)
    return new


async def _take_documents(app: App, sources: Sequence[Any], options: argparse.Namespace, summary: Summary) -> None:
    """Read, check and publish in batches, so that an interrupted run keeps what it had done."""
    from knowledge.ingest import Prepared, prepare_all

    progress, waiting = ProgressLine(), list[Prepared]()
    done = 0
    async for _, result in prepare_all(sources, accept=options.accept_cleaning):
        done += 1
        progress("files", done, len(sources))
        if isinstance(result, ContentProblem):
            _refuse(summary, [result])
            continue
        waiting.append(result)
        if len(waiting) >= BATCH:
            await _keep(app, waiting, options, summary)
            waiting = []
    await _keep(app, waiting, options, summary)


async def _keep(app: App, prepared: Sequence[Any], options: argparse.Namespace, summary: Summary) -> None:
    """Publish a batch in one transaction; or store drafts; or only count."""
    if not prepared:
        return
    checks = {} if options.no_checks else await _checked(app, [item.edition for item in prepared])
    for item in prepared:
        row = _row(item, checks.get(item.edition.id, []), options)
        if options.draft and not options.dry_run:
            edition = replace(item.edition, details={**item.edition.details, "checks": row["checks"]})
            row["draft"] = await app.shelf.draft(edition, at=app.clock(), author="local")
        (summary.drafts if options.draft else summary.published).append(row)
        summary.passages += len(item.edition.passages)
    if not options.draft and not options.dry_run:
        names = ", ".join(str(item.edition.details.get("file", item.edition.id)) for item in prepared[:3])
        await app.shelf.publish([item.edition for item in prepared], at=app.clock(), author="local", note=f"ingest {names}")


async def _checked(app: App, editions: Sequence[Any]) -> dict[str, list[dict[str, Any]]]:
    """Remarks by document. The batch is tried as a whole, so that documents in it are compared with each other, too."""
    from knowledge.checks import examine

    retriever: Any = app.retriever
    new = [passage for edition in editions for passage in edition.passages]
    replaced = {edition.id for edition in editions}
    trial = await retriever.trial(new, replaced)
    found: dict[str, list[dict[str, Any]]] = {}
    owner = {passage.id: passage.document for passage in new}
    for remark in await asyncio.to_thread(examine, new, replaced, retriever.library, trial):
        for document in [owner[remark.passage]] if remark.passage in owner else sorted(replaced):
            found.setdefault(document, []).append({"kind": remark.kind, "passage": remark.passage, "other": remark.other, "values": dict(remark.values)})
    return found


def _row(item: Any, checks: list[dict[str, Any]], options: argparse.Namespace) -> dict[str, Any]:
    return {
        "id": item.edition.id, "title": item.edition.title, "pages": item.pages, "passages": len(item.edition.passages),
        "dropped": [{"place": drop.place, "text": drop.text, "why": drop.why} for drop in item.dropped],
        "corrections": [{"place": fix.place, "before": fix.before, "after": fix.after} for fix in item.corrections],
        "corrected": bool(options.accept_cleaning and item.corrections),
        "remarks": item.edition.details.get("remarks", []),
        "checks": checks,
    }  # fmt: skip


def _refuse(summary: Summary, problems: Sequence[ContentProblem]) -> None:
    for problem in problems:
        print(f"coach: {problem}", file=sys.stderr)
        summary.refused.append({"path": problem.path, "line": problem.line, "what": problem.what, "fix": problem.fix})


def _report(summary: Summary, options: argparse.Namespace) -> None:
    if options.json:
        print(json.dumps(vars(summary), ensure_ascii=False, indent=2))
        return
    for row in (*summary.published, *summary.drafts):
        _report_document(row, options)
    verb = "would be published" if options.dry_run else "published"
    print(
        f"{len(summary.published)} {verb}, {len(summary.drafts)} drafts, {len(summary.unchanged)} unchanged, "
        f"{len(summary.refused)} refused; {summary.passages} new passages, version {summary.version}, {summary.seconds} s"
    )


def _report_document(row: dict[str, Any], options: argparse.Namespace) -> None:
    """A document's line, and what was left out or could be corrected."""
    draft = f", draft {row['draft']}" if "draft" in row else ""
    print(f"{row['title']}  [{row['id']}]  {row['passages']} passages{draft}")
    lines = [f"  left out ({drop['why']}): {drop['text']}" for drop in row.get("dropped", []) if drop["text"]]
    empty = sum(not drop["text"] for drop in row.get("dropped", []))
    lines += [f"  left out: {empty} empty slides or pages"] if empty else []
    fixes = row.get("corrections", [])
    if fixes:
        how = "corrected" if row["corrected"] else "proposed, not applied (--accept-cleaning applies them)"
        lines.append(f"  {len(fixes)} corrections {how}:")
        lines += [f"    - {fix['before']}\n    + {fix['after']}" for fix in fixes]
    checks = row.get("checks", [])
    lines += [f"  {say('en', 'desk.check_' + item['kind'], **item['values'])}" for item in checks[:8]]
    lines += [f"  … and {len(checks) - 8} more remarks (--json shows them)"] if len(checks) > 8 else []
    lines += [f"  {place}: {remark}" for place, remark in row.get("remarks", [])[:10]]
    print("\n".join(lines[:80]) + ("\n" if lines else ""), end="")
