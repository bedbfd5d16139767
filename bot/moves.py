"""What a line in a talk does: asks, acknowledges, proposes, presses … read by rules and by example sentences.

An `Ear` is trained once on `moves.yaml` (sentence vectors and words, as the topics are) and hears a line sentence by
sentence. It works without a language model; with one, a line that it can't place may be labelled by the model.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from bot.ports import App
from bot.turns import Language
from knowledge.keywords import normalise
from knowledge.passages import language_of
from knowledge.scenarios import Moves, Taught, load_moves, load_scenarios
from knowledge.topics import Example, Linear, Recipe, cues, load, save, train

Embed = Callable[[Sequence[str]], Any]  # texts → float32 array (len(texts), dimension), rows of length 1

SURE = 0.5  # probability from which a clause counts
SURE_BAD = 0.93  # … as a harmful move: an unjust accusation costs more than a missed one
SURE_GRAVE = 0.8  # … as one that closes the integrity gate
GRAVE = frozenset({"improper", "badmouth"})
BY_RULE = frozenset({"grader_talk"})  # has consequences for the whole score: never by resemblance alone
UNSURE = 0.2  # below it a move isn't even offered in "do you mean …?"

ASKS = frozenset({
    "ask_situation", "ask_problem", "ask_impact", "ask_precedent", "ask_process", "ask_stakeholder", "ask_fear",
    "ask_personal_win", "ask_criteria",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Heard:
    """A sentence and what it does. `moves`: best first. `guesses`: near misses with their probability."""

    text: str
    moves: tuple[str, ...]
    question: bool = False
    guesses: tuple[tuple[str, float], ...] = ()


_SENTENCE = re.compile(r"[^。！？!?；;\n.…]+(?:\.(?=\w)[^。！？!?；;\n.…]*)*[。！？!?；;.…]*")
_CLAUSE = re.compile(r"[^，,：:—]+[，,：:—]*")
_ASKING = {
    "zh": re.compile(r"[?？]|吗|呢|什么|怎么|怎样|如何|谁|哪|多少|几[个次天年家位级号月步]|多久|多大|为什么|能不能|可不可以|是不是|有没有|行不|请教|讲讲|说说|介绍一下您|对不对"),
    "en": re.compile(r"\?|^(and |so |but |then )?(who|what|when|where|which|why|how|could|can|would|will|do|does|did|is|are|was|were|have|has|may|shall|should)\b|\b(tell me|walk me|talk me|may i ask|i wonder|i'd like to (know|understand|ask))"),
}  # fmt: skip


def sentences(text: str) -> list[str]:
    """The sentences of a line, verbatim (each is a substring of it)."""
    return [found.group().strip() for found in _SENTENCE.finditer(text) if found.group().strip(" 。.，,!！?？…")]


def clauses(sentence: str) -> list[str]:
    """Parts of a sentence that may each do something; short ones stay with what follows."""
    found: list[str] = []
    for part in _CLAUSE.findall(sentence):
        if found and len(found[-1]) < (6 if language_of(found[-1]) == "zh" else 14):
            found[-1] += part
        else:
            found.append(part)
    return found


def is_question(text: str) -> bool:
    return _ASKING[language_of(text)].search(normalise(text)) is not None


@dataclass
class Ear:
    """Hears the moves in a rep's line and the reactions in a customer's."""

    taught: Moves
    embed: Embed
    models: dict[str, Linear]

    @cached_property
    def _rules(self) -> dict[str, list[tuple[str, Language, re.Pattern[str]]]]:
        return {"moves": _compiled(self.taught.moves), "customer": _compiled(self.taught.customer)}

    def hear(self, text: str) -> tuple[Heard, ...]:
        """The rep's line, sentence by sentence."""
        return self.hear_all([text])[0]

    def hear_all(self, texts: Sequence[str]) -> list[tuple[Heard, ...]]:
        """Several lines at once: their clauses are embedded together."""
        cut = [[(sentence, [sentence, *_longer(clauses(sentence))]) for sentence in sentences(text)] for text in texts]
        vectors = self._vectors([part for line in cut for _, parts in line for part in parts])
        return [tuple(self._sentence(sentence, parts, vectors) for sentence, parts in line) for line in cut]

    def reacts(self, text: str) -> frozenset[str]:
        """What a customer's line does: accepts, reveals, objects, deflects, annoyed, leaves, tempts."""
        parts = sentences(text)
        vectors = self._vectors(parts)
        found: set[str] = set()
        for part in parts:
            plain = normalise(part)
            found |= self._ruled("customer", plain)
            odds = self.models["customer"].probabilities(vectors[part], cues(part), language_of(part))
            best = int(odds.argmax())
            if odds[best] >= SURE:
                found.add(self.models["customer"].labels[best])
        return frozenset(found - {"neutral"})

    def _vectors(self, texts: Sequence[str]) -> dict[str, Any]:
        unique = list(dict.fromkeys(texts))
        return dict(zip(unique, self.embed([normalise(text) for text in unique]), strict=True)) if unique else {}

    def _ruled(self, kind: str, plain: str) -> set[str]:
        language = language_of(plain)
        found = [(name, rule.search(plain)) for name, spoken, rule in self._rules[kind] if spoken == language]
        bad = self.taught.bad()
        return {name for name, hit in found if hit and not (name in bad and name not in BY_RULE and denied(plain, hit.start()))}

    def _sentence(self, sentence: str, parts: Sequence[str], vectors: dict[str, Any]) -> Heard:
        """Rules on the whole sentence, the learned model on it and on its clauses."""
        plain, asking = normalise(sentence), is_question(sentence)
        ruled = self._ruled("moves", plain)
        whole, scores = self._scores(parts[:1], vectors), self._scores(parts, vectors)
        bad = self.taught.bad()
        sure = {name for name, score in scores.items() if score >= SURE and name not in bad}
        if not ruled - bad:  # a fragment may sound harsh inside a helpful sentence
            sure |= {name for name, score in whole.items() if name in bad - BY_RULE and score >= (SURE_GRAVE if name in GRAVE else SURE_BAD)}
        found = sure | ruled
        found = _consistent(found, ruled, asking) - {"other"}
        ordered = sorted(found, key=lambda name: (name not in ruled, -scores.get(name, 0.0)))
        guesses = sorted(((n, s) for n, s in scores.items() if n not in found and s >= UNSURE and n != "other"), key=lambda item: -item[1])
        return Heard(sentence, tuple(ordered), asking, tuple(guesses[:3]))


    def _scores(self, parts: Sequence[str], vectors: dict[str, Any]) -> dict[str, float]:
        """The best probability of each move over the parts (the three likeliest of each)."""
        model = self.models["moves"]
        scores: dict[str, float] = {}
        for part in parts:
            odds = model.probabilities(vectors[part], cues(part), language_of(part))
            for i in odds.argsort()[::-1][:3]:
                scores[model.labels[i]] = max(scores.get(model.labels[i], 0.0), float(odds[i]))
        return scores


_DENIES = {
    "zh": re.compile(r"(不会|不想|不是|不能|不打算|不该|不应该|不必|不用|绝不|决不|没有|没法|别|无意|不敢|不)[^，,。！？!?；;]{0,8}$"),
    "en": re.compile(r"(\bnot|n't|\bnever|\bwithout|\binstead of|\brather than|\bno|\bnobody|\bnor|\bwouldn't dream)\b[^.!?;]{0,30}$"),
}  # fmt: skip


def denied(plain: str, start: int) -> bool:
    """Is what begins at `start` said to be not so? ("I won't go to your boss")"""
    return _DENIES[language_of(plain)].search(plain[:start]) is not None


def _longer(parts: Sequence[str]) -> list[str]:
    return list(parts) if len(parts) > 1 else []


def _consistent(found: set[str], ruled: set[str], asking: bool) -> set[str]:
    """A question word is needed to ask; a decline isn't an offer; what sounds useful inside a threat isn't."""
    if not asking:
        found = {name for name in found if name not in ASKS}
    if "decline_legit" in found:
        found -= {"improper", "hold_firm"} if "improper" not in ruled else {"hold_firm"}
    if "improper" in found and "decline_legit" in found:
        found -= {"improper"}  # names the improper thing while refusing it
    if found & {"grader_talk"}:
        return {"grader_talk"}
    if "trade" in found and "hold_firm" not in ruled:
        found -= {"concede_price"}
    if "summarise" in ruled:  # a date that is repeated isn't proposed
        found -= {"propose_step_dated", "propose_meeting"}
    if "apologise" in ruled:  # names what was done wrong
        found -= {"bypass", "argue", "badmouth", "challenge_authority", "pressure"}
    if "pressure" in ruled:
        found -= {"propose_step_dated", "propose_meeting"}
    if "propose_step_dated" in found and asking and "bypass" not in ruled:
        found -= {"farewell"}
    return found


def _compiled(table: dict[str, Any]) -> list[tuple[str, Language, re.Pattern[str]]]:
    taught: Iterable[tuple[str, Taught]] = table.items()
    languages: tuple[Language, ...] = ("zh", "en")
    return [(name, language, re.compile(rule)) for name, item in taught for language in languages for rule in item.rules.texts(language)]


def examples_of(table: Any) -> list[Example]:
    languages: tuple[Language, ...] = ("zh", "en")
    return [Example(text, name, language) for name, item in table.items() for language in languages for text in item.texts(language)]


def _options() -> list[Example]:
    """The bundled scenarios' sentences that make a single move."""
    languages: tuple[Language, ...] = ("zh", "en")
    single = [item for scenario in load_scenarios().values() for beat in scenario.beats().values() for item in beat.options if len(item.moves) == 1]
    return [Example(item.text(language), item.move, language) for item in single if "{" not in item.zh for language in languages]


def open_ear(embed: Embed, fingerprint: str, cache: Path | None = None) -> Ear:
    """An ear for `moves.yaml`, trained or taken from the cache. `fingerprint` names the embedding model."""
    taught = load_moves()
    tables = {"moves": [*examples_of(taught.moves), *_options()], "customer": examples_of(taught.customer)}
    whole = repr([(item.text, item.label) for rows in tables.values() for item in rows])
    mark = f"{fingerprint}/{hashlib.sha256(whole.encode()).hexdigest()[:16]}/1"
    models = load(cache, mark) if cache else None
    if models is None:
        models = {name: _trained(rows, embed) for name, rows in tables.items()}
        if cache:
            save(cache, models, mark)
    return Ear(taught, embed, models)


def ear_of(app: App) -> Ear:
    """The app's ear: opened once, kept with the search views. The first time takes seconds: call it in a thread."""
    if "ear" not in app.extras:
        app.extras["ear"] = open_ear(app.retriever.features, app.retriever.embedding, app.data_dir / "views" / "moves.npz")
    ear: Ear = app.extras["ear"]
    return ear


def _trained(rows: Sequence[Example], embed: Embed) -> Linear:
    return train(rows, embed([normalise(row.text) for row in rows]), Recipe(dense=10.0, sparse=30.0, share=0.6))
