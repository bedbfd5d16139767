"""Ten cards for a blind reading, zh and en side by side: drawn by the commit's hash, so that nobody can choose them."""

from __future__ import annotations

import html
import random
import subprocess
import sys
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

from knowledge.cards import Both, Card, load_cards
from knowledge.passages import Language

ROOT = Path(__file__).parents[1]
REPORT = ROOT / "docs" / "reports" / "ten-cards.md"
COUNT = 10
Row = tuple[str, str]


def commit() -> str:
    return subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, cwd=ROOT, check=True).stdout.strip()


def draw(seed: str) -> list[Card]:
    """Ten cards; the same hash draws the same cards."""
    cards = load_cards()
    return [cards[card_id] for card_id in random.Random(seed).sample(sorted(cards), COUNT)]


def pages(seed: str) -> Iterator[str]:
    yield f"# Ten cards, whole, 中文 and English side by side\n\nDrawn by the seed `{seed}`, the hash of the commit before this report. "
    yield "`make cards-report` draws anew; `python .ci/cards_report.py HASH` draws these again.\n"
    for number, card in enumerate(draw(seed), 1):
        yield f"\n## {number}. {card.title.zh} · {card.title.en}\n"
        yield f"\n`{card.id}` · {card.kind} · {card.polarity} · ethics: {card.ethics.level}, {', '.join(card.ethics.jurisdictions)}\n"
        yield "\n<table>\n<tr><th width=\"50%\">中文</th><th width=\"50%\">English</th></tr>\n"
        for heading, rows in parts(card):
            if rows:
                yield f"<tr><th colspan=\"2\" align=\"left\">{heading}</th></tr>\n"
                yield from (f"<tr valign=\"top\"><td>{zh}</td><td>{en}</td></tr>\n" for zh, en in rows)
        yield "</table>\n"


def parts(card: Card) -> Iterator[tuple[str, list[Row]]]:
    """Every field of a card that people read, in its order; a row is an item in both languages."""
    yield "讲的是什么 · What it is", [row(card.summary)]
    yield "信号 · Signals", [row(item) for item in card.signals]
    for number, cause in enumerate(card.causes, 1):
        rows = [row(cause), *(row(item) for item in cause.signals), row(cause.check, "？"), *(row(item, "→") for item in cause.treat)]
        yield f"原因 {number} · Cause {number} (？ check, → treat)", rows
    yield "问 · Ask", [row(item, aside=item.purpose) for item in card.ask]
    yield "步骤 · Steps", [row(item, f"{n}.") for n, item in enumerate(card.steps, 1)]
    yield "说 · Say", [row(item, aside=item.when) for item in card.say]
    yield "不要 · Avoid", [row(item, aside=item.why) for item in card.avoid]
    yield "完成的标志 · Done when", [row(item) for item in card.exit]
    yield "边界 · Limits", [row(item) for item in card.ethics.limits]
    yield "数字 · Numbers", [row(item.claim, aside=None, note=f"{item.value}; {item.source}, {item.year}; {item.confidence}") for item in card.numbers]
    yield "容易混淆 · Easily confused", [row(item.how_to_tell_apart, f"{item.id}:") for item in card.contrast]
    yield "学完能做 · Objectives", [row(item) for item in card.objectives]
    yield "说法 · Aliases", [(", ".join(map(html.escape, card.aliases.zh)), ", ".join(map(html.escape, card.aliases.en)))]
    situations = zip_longest(card.situations.zh, card.situations.en)
    yield "销售怎么说 · In reps' words", [(html.escape(zh.text) if zh else "", html.escape(en.text) if en else "") for zh, en in situations]
    if card.body:
        yield "详解 · In depth", [(f"\n\n{card.body.get('zh', '')}\n\n", f"\n\n{card.body.get('en', '')}\n\n")]


def row(item: Both, mark: str = "", aside: Both | None = None, note: str = "") -> Row:
    def cell(language: Language) -> str:
        extra = f"<br><i>{html.escape(aside.text(language))}</i>" if aside else ""
        return f"{mark} {html.escape(item.text(language), quote=False)}{extra}{f'<br><i>{html.escape(note)}</i>' if note else ''}".strip()

    return cell("zh"), cell("en")


def main(arguments: list[str]) -> None:
    seed = arguments[0] if arguments else commit()
    REPORT.parent.mkdir(parents=True, exist_ok=True)
    REPORT.write_text("".join(pages(seed)), encoding="utf-8")
    print(f"{REPORT.relative_to(ROOT)}: {', '.join(card.id for card in draw(seed))}")


if __name__ == "__main__":
    main(sys.argv[1:])
