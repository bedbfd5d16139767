"""Let the checker judge every question that the rules make of the bundled cards; keep the fair ones' digests."""

import sys
from collections import Counter
from typing import Any

import numpy as np

from knowledge.cards import load_cards
from knowledge.embedders import open_embedder
from knowledge.keywords import normalise
from knowledge.questions import FOLDER, made_from
from knowledge.quiz_checks import check


def main() -> int:
    embedder, known = open_embedder("bundled"), {}

    def rows(texts: Any) -> Any:
        new = [text for text in dict.fromkeys(map(normalise, texts)) if text not in known]
        if new:
            known.update(zip(new, embedder.documents(new), strict=True))
        return np.stack([known[normalise(text)] for text in texts])

    cards, kept, refused = load_cards(), [], Counter[str]()
    for n, card in enumerate(cards.values()):
        for question in made_from(card, cards):
            flaws = [flaw for language in card.languages for flaw in check(question.item(card, language), lambda a, b: rows(a) @ rows(b).T)]
            if flaws:
                refused[f"{question.kind}: {flaws[0].kind}"] += 1
            else:
                kept.append(question)
        print(f"{n + 1}/{len(cards)} {card.id}: {len(kept)} kept so far", file=sys.stderr, flush=True)
    (FOLDER / "checked.txt").write_text("".join(f"{item.id} {item.digest}\n" for item in sorted(kept, key=lambda item: item.id)), "utf-8")
    print(len(kept), Counter(item.kind for item in kept), len({item.card for item in kept}), "cards", refused.most_common(20))
    return 0


if __name__ == "__main__":
    sys.exit(main())
