"""A hundred shown quotes with the line they stand for and the whole stored passage: what an independent reader judges.

`make quotes` writes docs/reports/quotes-sample.jsonl: one shown quote of each of 100 answers to golden report rows,
drawn by a seed. The reader sees no code and no score.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
from pathlib import Path

from bot.app import open_app
from bot.conversation import respond
from bot.people import Person, Role
from bot.sessions import Session
from bot.settings import read_settings
from bot.turns import Incoming, Quote, plain

ROOT = Path(__file__).parents[1]
SEED, COUNT = 20261123, 100


async def main(data: Path) -> int:
    rows = [json.loads(line) for path in sorted((ROOT / "tests/golden").glob("batch-*.jsonl")) for line in path.read_text("utf-8").splitlines()]
    rows = [row for row in rows if row["part"] == "report" and row["action"] == "coach" and not row.get("context")]
    chance = random.Random(SEED)
    chance.shuffle(rows)
    person = Person("reader", frozenset({Role.REP}))
    found: list[dict[str, str]] = []
    async with open_app(read_settings(data), model=False) as app:
        for row in rows:
            incoming = Incoming(row["id"], "reader", "reader", app.clock(), row["text"])
            reply = (await respond(app, person, Session("reader", "reader"), incoming)).reply
            quotes = [quote for quote in reply.of(Quote) if not quote.folded]
            if reply.action != "coach" or not quotes:
                continue
            quote = chance.choice(quotes)
            passage = app.retriever.passage(quote.source.passage_id)
            assert passage is not None and quote.text in passage.text
            found.append({"id": row["id"], "message": row["text"], "answer": plain(reply), "label": quote.label, "shown": quote.text,
                          "place": quote.source.place, "passage": passage.text})  # fmt: skip
            if len(found) == COUNT:
                break
    (ROOT / "docs/reports/quotes-sample.jsonl").write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in found), "utf-8")
    print(len(found), "quotes")
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main(Path(sys.argv[1] if len(sys.argv) > 1 else ".venv/golden"))))
