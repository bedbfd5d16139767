"""Let the checker judge every question that the rules make of the bundled cards; keep the digests of fair ones."""

import sys
from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np

from knowledge.cards import load_cards
from knowledge.embedders import open_embedder
from knowledge.keywords import normalise
from knowledge.questions import DIFFICULTY, FOLDER, Question, made_from
from knowledge.quiz_checks import check

ENOUGH = 16  # fair questions kept per card


def main() -> int:
    embedder, known = open_embedder("bundled"), {}

    def rows(texts: Any) -> Any:
        new = [text for text in dict.fromkeys(map(normalise, texts)) if text not in known]
        if new:
            known.update(zip(new, embedder.documents(new), strict=True))
        return np.stack([known[normalise(text)] for text in texts])

    cards, kept, refused = load_cards(), list[Question](), Counter[str]()
    for n, card in enumerate(cards.values()):
        fair = 0
        for question in mixed(made_from(card, cards)):
            if fair == ENOUGH:
                break
            items = (question.item(card, language) for language in card.languages)
            flaw = next((flaws[0] for item in items if (flaws := check(item, lambda a, b: rows(a) @ rows(b).T))), None)
            if flaw is None:
                kept.append(question)
                fair += 1
            else:
                refused[f"{question.kind}: {flaw.kind}"] += 1
        print(f"{n + 1}/{len(cards)} {card.id}: {len(kept)} kept so far", file=sys.stderr, flush=True)
        write(kept)
    print(len(kept), Counter(item.kind for item in kept), len({item.card for item in kept}), "cards; refused", refused.most_common(20))
    return 0


def mixed(questions: Iterable[Question]) -> list[Question]:
    """Kinds and objectives in turn, so that the first few of a card are of every sort."""
    turns = Counter[tuple[str, str]]()
    placed = []
    for question in questions:
        key = question.kind, question.objective
        placed.append((turns[key], DIFFICULTY[question.kind], question.id, question))
        turns[key] += 1
    return [question for *_, question in sorted(placed, key=lambda row: row[:3])]


def write(kept: list[Question]) -> None:
    lines = [f"{item.id} {item.digest}\n" for item in sorted(kept, key=lambda item: item.id)]
    (FOLDER / "checked.txt").write_text("".join(lines), "utf-8")


if __name__ == "__main__":
    sys.exit(main())
