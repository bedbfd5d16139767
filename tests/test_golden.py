"""The golden set itself: well-formed, twinned, and not a copy of what the models learn from."""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path

from knowledge.cards import load_cards
from knowledge.keywords import normalise
from knowledge.topics import load_examples

GOLDEN = Path(__file__).parent / "golden"
ROWS = [json.loads(line) for path in sorted(GOLDEN.glob("batch-*.jsonl")) for line in path.read_text("utf-8").splitlines()]


def grams(text: str) -> set[str]:
    """Runs of four characters, without spaces and punctuation."""
    plain = "".join(char for char in normalise(text) if char.isalnum())
    return {plain[i : i + 4] for i in range(len(plain) - 3)}


def runs(text: str) -> set[str]:
    """Runs of four Chinese characters or English words: what counts as copying in a corpus of thousands of examples."""
    words = re.findall(r"[\u3400-\u9fff]|[a-z0-9']+", normalise(text))
    return {" ".join(words[i : i + 4]) for i in range(len(words) - 3)}


def test_ids_are_unique_and_twins_point_at_each_other() -> None:
    by_id = {row["id"]: row for row in ROWS}
    assert len(by_id) == len(ROWS)
    for row in ROWS:
        twin = by_id[row["twin"]]
        assert twin["twin"] == row["id"] and {twin["lang"], row["lang"]} == {"zh", "en"}
        assert (twin["part"], twin["action"]) == (row["part"], row["action"])


def test_every_topic_is_asked_for_in_the_report_part_and_exists() -> None:
    cards = load_cards()
    named = Counter(row["topics"][0] for row in ROWS if row["topics"] and row["part"] == "report")
    assert set(named) <= set(cards)
    assert len([row for row in ROWS if row["part"] == "report"]) >= 200
    assert {"short", "long", "noisy", "mixed", "multi", "followup", "outside-near", "improper"} <= {row["kind"] for row in ROWS}


def copies(texts: Iterable[str], cut: Callable[[str], set[str]], least: int) -> list[str]:
    """Rows that share more than half of their grams with one of the texts."""
    index, sizes = defaultdict(list), []
    for number, text in enumerate(texts):
        sizes.append(len(cut(text)))
        for gram in cut(text):
            index[gram].append(number)
    found = []
    for row in ROWS:
        mine = cut(row["text"])
        shared = Counter(number for gram in mine for number in index.get(gram, ()) if sizes[number] <= 5 * len(mine))
        if len(mine) >= least and shared and shared.most_common(1)[0][1] > len(mine) / 2:
            found.append(f"{row['id']} ({shared.most_common(1)[0][1]} of {len(mine)})")
    return found


def test_no_row_shares_more_than_half_of_its_4_grams_with_a_situation() -> None:
    situations = [item.text for card in load_cards().values() for language in card.languages for item in card.situations.texts(language)]
    assert not copies(situations, grams, 8)


def test_no_row_is_copied_from_any_other_example() -> None:
    examples = load_examples(load_cards())
    assert not copies([item.text for item in (*examples.topics, *examples.outside, *examples.improper, *examples.honest)], runs, 4)
