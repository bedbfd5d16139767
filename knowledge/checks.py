"""What a trainer should know before publishing: duplicates, contradictions, passages that nobody would find.

Two statements are compared in `knowledge/statements.py`. Everything here is a hint for a person who decides.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from knowledge.keywords import normalise
from knowledge.passages import Language, Passage
from knowledge.statements import Kind, clashing_amounts, weighed

Similarity = Callable[[Sequence[str], Sequence[str]], Any]  # cosines, shape (left, right)

NEAR = 0.42  # cosine from which two passages are compared sentence by sentence
NEIGHBOURS = 4  # published passages that one new passage is compared with
FINDABLE = 10  # a reworded passage should come back among so many
WIDE = 60  # results looked through for those of documents
PAIRS = 8  # pairs of statements of two passages that are compared word by word
CLASHES = 3  # contradictions named for one pair of passages
MAX_CHECKED = 400  # passages of one document that are checked one by one


@dataclass(frozen=True, slots=True)
class Remark:
    """Something to look at. `kind` names it (phrases `desk.remark_<kind>`), `values` fill the phrase."""

    kind: str
    passage: str = ""
    other: str = ""  # id of the passage that it is about, too
    values: Mapping[str, str] = field(default_factory=dict)


# ------------------------------------------------------------------ passages


def sentences(text: str) -> list[str]:
    """The statements of a passage, without list marks; very short ones are left out."""
    pieces = re.split(r"(?<=[。！？!?；;])\s*|(?<=[.])\s+|\n", text)
    bare = [re.sub(r"^\s*(?:[-*•]|\(?[\da-z]{1,2}[.)、])\s*", "", piece).strip() for piece in pieces]
    return [piece for piece in bare if len(piece) >= 6]


def compare(
    new: Sequence[Passage], published: Sequence[Passage], vectors: tuple[Any, Any], similarity: Similarity
) -> list[Remark]:
    """Duplicates and contradictions between a document and the shelf (other documents), and inside the document.

    `vectors`: of `new` and `published`, L2-normalised rows.
    """
    found: list[Remark] = []
    mine, theirs = vectors
    shown = [item for item in new if item.part != "outline"][:MAX_CHECKED]
    rows = [i for i, item in enumerate(new) if item.part != "outline"][:MAX_CHECKED]
    if statements := [text for item in shown for text in sentences(item.text)]:
        similarity(statements, statements[:1])  # in one batch; a similarity that remembers has them from now on
    for i, passage in zip(rows, shown, strict=True):
        near = _nearest(mine[i], theirs, published, passage)
        near += [other for other in _nearest(mine[i], mine[:i], new[:i], passage) if other.part != "outline"]
        found += _between(passage, near, similarity)
    return found


def _nearest(vector: Any, vectors: Any, passages: Sequence[Passage], mine: Passage) -> list[Passage]:
    if not len(passages):
        return []
    scores = vectors @ vector
    order = np.argsort(-scores)[: 3 * NEIGHBOURS]
    near = [passages[i] for i in order if scores[i] >= NEAR and passages[i].language == mine.language and passages[i].id != mine.id]
    return near[:NEIGHBOURS]


def _between(passage: Passage, others: Sequence[Passage], similarity: Similarity) -> Iterator[Remark]:
    """What two passages say of each other: contradictions before a duplicate."""
    mine = sentences(passage.text)
    for other in others:
        theirs = sentences(other.text)
        if not mine or not theirs:
            continue
        cosines = similarity(mine, theirs)
        found = [(*weighed(mine[i], theirs[j], float(cosines[i, j])), mine[i], theirs[j]) for i, j in _nearest_pairs(cosines)]
        yield from _strongest(passage, other, found)


def _nearest_pairs(cosines: Any) -> list[tuple[int, int]]:
    """The pairs of statements worth comparing word by word, nearest first."""
    order = np.argsort(-cosines, axis=None)[:PAIRS]
    return [divmod(int(index), cosines.shape[1]) for index in order]


def _strongest(passage: Passage, other: Passage, found: Sequence[tuple[Kind, float, str, str]]) -> Iterator[Remark]:
    """Contradictions before duplicates; the kind that is surest somewhere, with the pairs of statements that show it."""
    opposite_meant = {passage.polarity, other.polarity} == {"myth", "advice"}
    # A misconception and the advice against it contradict each other on purpose; agreeing would be the fault.
    turned: dict[Kind, Kind] = {"polarity": "none", "duplicate": "polarity"} if opposite_meant else {}
    named = [(turned.get(kind, kind), sure, left, right) for kind, sure, left, right in found]
    clashes = sorted((row for row in named if row[0] != "none"), key=lambda row: (row[0] == "duplicate", -row[1]))
    for kind, _, left, right in [row for row in clashes if row[0] == clashes[0][0]][:CLASHES]:
        yield Remark(kind, passage.id, other.id, _quotes(left, right, other))


def _quotes(left: str, right: str, other: Passage) -> dict[str, str]:
    here, there = clashing_amounts(left, right)
    return {"mine": left[:120], "other": right[:120], "where": f"{other.title} · {other.place}", "amount": here, "other_amount": there}


# ------------------------------------------------------------------ will it be found?

_SYNONYMS: dict[Language, dict[str, str]] = {
    "zh": {"客户": "对方", "价格": "报价", "采购": "买方", "供应商": "厂家", "领导": "老板", "如何": "怎么", "需要": "要", "部门": "科室", "沟通": "聊", "合同": "协议", "问题": "麻烦", "了解": "知道", "应该": "该"},
    "en": {"customer": "client", "customers": "clients", "price": "cost", "purchase": "buy", "supplier": "vendor", "manager": "boss", "should": "ought to", "meeting": "call", "contract": "agreement", "problem": "trouble", "help": "support", "ask": "enquire"},
}  # fmt: skip


def reworded(passage: Passage) -> str:
    """The passage's longest statement as somebody else might put it: other words, the order turned, fillers gone."""
    statements = sentences(passage.text) or [passage.text]
    text = max(statements, key=len)[:160]
    for word, other in _SYNONYMS[passage.language].items():
        text = text.replace(word, other) if passage.language == "zh" else re.sub(rf"\b{word}\b", other, text, flags=re.IGNORECASE)
    clauses = [clause for clause in re.split(r"[，,；;：:。.！？!?]\s*", text) if clause]
    return ("，" if passage.language == "zh" else ", ").join(reversed(clauses))


def unfindable(new: Sequence[Passage], search: Callable[[str], Iterable[str]]) -> list[Remark]:
    """Passages that do not come back among the first results for a reworded version of themselves.

    `search` gives passage ids, best first, from a trial index that holds the new passages, too.
    """
    found = []
    for passage in [item for item in new if item.part != "outline"][:MAX_CHECKED]:
        question = reworded(passage)
        if passage.id not in list(search(question))[:FINDABLE]:
            found.append(Remark("unfindable", passage.id, values={"question": question[:80], "where": passage.place}))
    return found


def languages(new: Sequence[Passage]) -> list[Remark]:
    """A document in a language that the coach does not speak; one that mixes two is only mentioned."""
    text = "".join(item.text for item in new)[:20_000]
    letters = [char for char in text if char.isalpha()]
    other = sum(not (char < "\u0250" or "\u3400" <= char <= "\u9fff" or "\uff00" <= char <= "\uffef") for char in letters)
    if letters and other > 0.3 * len(letters):
        return [Remark("language")]
    spoken = Counter(item.language for item in new)
    return [Remark("mixed", values={"zh": str(spoken["zh"]), "en": str(spoken["en"])})] if min(spoken["zh"], spoken["en"]) >= 2 else []


def changed_answers(questions: Sequence[str], before: Callable[[str], str], after: Callable[[str], str], touched: Collection[str]) -> list[Remark]:
    """Golden questions whose first source would be another one.

    `before` and `after` name the source of a question's first passage; only `touched` sources can have moved, so
    that most questions are asked once.
    """
    found = []
    for question in questions:
        becomes = after(question)
        if becomes in touched and (was := before(question)) != becomes:
            found.append(Remark("answer", values={"question": question, "before": was, "after": becomes}))
    return found


# ------------------------------------------------------------------ everything at once


def examine(new: Sequence[Passage], replaced: Collection[str], library: Any, trial: Any, questions: Sequence[str] = ()) -> list[Remark]:
    """All remarks on new passages. `library` is what is published now, `trial` the same with the new passages last.

    Whether a passage is found is asked among documents: a card on the same subject may well stand before it.
    """
    rows = [i for i, item in enumerate(library.passages) if item.document not in replaced]
    published = [library.passages[i] for i in rows]
    vectors = trial.vectors[len(trial.passages) - len(new) :], library.vectors[rows]
    asked = unfindable(new, lambda question: [hit.passage.id for hit in trial.search(question, limit=WIDE).hits if hit.passage.kind == "document"])
    titles = {item.title for item in new}
    answers = changed_answers(questions, lambda question: _first_title(library, question), lambda question: _first_title(trial, question), titles)
    return [*languages(new), *compare(new, published, vectors, _remembering(trial.embedder)), *asked, *answers]


def _remembering(embedder: Any) -> Similarity:
    """Cosines of statements, each of which is encoded once."""
    known: dict[str, Any] = {}

    def similarity(left: Sequence[str], right: Sequence[str]) -> Any:
        new = [text for text in dict.fromkeys([*left, *right]) if text not in known]
        known.update(zip(new, embedder.documents([normalise(text) for text in new]), strict=True))
        return np.stack([known[text] for text in left]) @ np.stack([known[text] for text in right]).T

    return similarity


def _first_title(library: Any, question: str) -> str:
    hits = library.search(question, limit=1).hits
    return hits[0].passage.title if hits else ""


def golden_questions(cards: Mapping[str, Any], spoken: Collection[Language]) -> list[str]:
    """A message that each card names as its own, in the languages of the document that is checked."""
    return [card.situations.texts(language)[0].text for card in cards.values() for language in card.languages if language in spoken]
