"""`coach ask`: one question, or a batch of them (`--batch IN --out OUT`)."""

from __future__ import annotations

import argparse
import json
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from bot.commands import ProgressLine, settings_of
from bot.commands.batch import BadRow, add_batch_options, run_batch, text_of
from bot.conversation import respond, serve
from bot.people import Person, Role
from bot.ports import App
from bot.sessions import Session
from bot.turns import LANGUAGES, Exchange, Incoming, Quote, Reply, plain

ASKER = Person(id="local:local", roles=frozenset(Role), name="local", chat="terminal:ask")


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("question", nargs="*", help="the situation, in your own words")
    parser.add_argument("--json", action="store_true", help="print the answer as JSON")
    parser.add_argument("--lang", choices=LANGUAGES, help="language of the answer (default: the question's)")
    add_batch_options(parser)


async def run(options: argparse.Namespace) -> int:
    from bot.app import open_app

    if not options.batch and not options.question:
        raise BadRow("no question: write it behind `coach ask`, or give --batch FILE")
    async with open_app(settings_of(options), progress=ProgressLine(), purpose="coach ask") as app:
        if options.batch:
            return await run_batch(options.batch, options.out, lambda row: answer_row(app, row))
        return await _ask_one(app, " ".join(options.question), options)


async def _ask_one(app: App, question: str, options: argparse.Namespace) -> int:
    """One question takes the durable path: it is in the history, and a gap if nothing was found."""
    if options.json:
        print(json.dumps(await answer_row(app, {"text": question, "lang": options.lang}), ensure_ascii=False, indent=2))
        return 0
    if await app.store.person(ASKER.id) is None:
        await app.store.welcome(ASKER, app.clock())
    token = secrets.token_hex(6)
    person = ASKER if options.lang is None else Person(ASKER.id, ASKER.roles, ASKER.name, language=options.lang)
    incoming = Incoming(f"ask:{token}", f"terminal:ask:{token}", person.id, datetime.now(UTC), question)
    reply = await serve(app, person, incoming)
    assert reply is not None
    from rich.console import Console

    from bot.frontends.terminal_chat import Screen, render

    console = Console(highlight=False)
    for item in render(reply, Screen(), reply.language, more=False):
        console.print(item)
    return 0


async def answer_row(app: App, row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of `ask` in, a row out (evaluation.md). Nothing is stored."""
    text, language = text_of(row), row.get("lang")
    if language is not None and language not in LANGUAGES:
        raise BadRow(f"'lang' is {language!r}; use \"zh\", \"en\" or leave it out")
    history = tuple(_exchange(item) for item in row.get("context") or [])
    session = Session("batch", ASKER.id, language=language, history=history)
    incoming = Incoming("batch", "batch", ASKER.id, datetime.now(UTC), text)
    outcome = await respond(app, ASKER, session, incoming)
    return reply_row(outcome.reply)


def _exchange(item: Any) -> Exchange:
    if not isinstance(item, dict) or item.get("role") not in ("rep", "coach") or not isinstance(item.get("text"), str):
        raise BadRow("'context' must be a list of {\"role\": \"rep\" or \"coach\", \"text\": …}, oldest first")
    return Exchange(item["role"], item["text"])


def reply_row(reply: Reply) -> dict[str, Any]:
    """A reply in the shape of evaluation.md."""
    cited = [] if reply.action == "abstain" else reply.of(Quote)
    return {
        "reply": plain(reply),
        "lang": reply.language,
        "action": reply.action,
        "topics": [{"id": card, "score": round(score, 4)} for card, score in reply.topics],
        "citations": [
            {
                "kind": quote.source.kind, "title": quote.source.title, "place": quote.source.place,
                "passage_id": quote.source.passage_id, "quote": quote.text,
            }
            for quote in cited
        ],
        "blocks": [{"kind": block.kind, "text": plain(Reply((block,), reply.language), folded=True)} for block in reply.blocks],
        "model": reply.model,
    }  # fmt: skip
