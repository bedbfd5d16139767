"""What keeps the playbook good: rules over cards, each finding with file, line, reason and cure.

A rule is a function `Card -> findings`; `RULES` lists them all. Rules over the whole playbook stand in `WHOLE`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from knowledge.cards import Both, Card, parse_card, read_source
from knowledge.problems import ContentProblem, ContentProblems

SITUATIONS, ALIASES = 10, 6
SENTENCE = {"zh": 60, "en": 34}  # longest sentence: characters, words


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong with a field, and how to mend it."""

    field: str
    what: str
    fix: str


def lint_folder(path: Path, *, search: bool = True) -> list[ContentProblem]:
    """Every finding in a card file or a folder of cards. `search` adds the rules that need the embedder."""
    problems: list[ContentProblem] = []
    cards: dict[str, tuple[Path, str, Card]] = {}
    for file in sorted(path.glob("*.md")) if path.is_dir() else [path]:
        source = read_source(file)
        try:
            card = parse_card(source, str(file))
        except ContentProblems as error:
            problems += error.problems
            continue
        cards[card.id] = (file, source, card)
        if card.id != file.stem:
            problems.append(ContentProblem(str(file), 2, f"the id {card.id!r} differs from the file name", f"rename the file to {card.id}.md"))
        problems += [_at(finding, file, source) for rule in RULES for finding in rule(card)]
    if path.is_dir():
        whole = {card_id: card for card_id, (_, _, card) in cards.items()}
        for check in WHOLE:
            problems += [_at(finding, *cards[card_id][:2]) for card_id, finding in check(whole)]
    return problems


def _at(finding: Finding, file: Path, source: str) -> ContentProblem:
    """The finding with the line on which its field starts."""
    name = finding.field.split(".")[0]
    line = next((n for n, text in enumerate(source.split("\n"), 1) if text.startswith(f"{name}:")), 1)
    return ContentProblem(str(file), line, f"{finding.field}: {finding.what}", finding.fix)


def enough(card: Card) -> Iterator[Finding]:
    """Enough words of reps to be found by, and the parts without which a card is no help."""
    for language in card.languages:
        if (count := len(card.situations.texts(language))) < SITUATIONS:
            yield Finding(f"situations.{language}", f"{count} messages", f"write at least {SITUATIONS} in reps' own words")
        if (count := len(card.aliases.texts(language))) < ALIASES:
            yield Finding(f"aliases.{language}", f"{count} names", f"write at least {ALIASES}")
    for name in ("ask", "steps", "say", "avoid", "exit"):
        if not getattr(card, name):
            yield Finding(name, "missing", "add at least one entry")


def causes_are_treated(card: Card) -> Iterator[Finding]:
    """Each cause needs its check, a treatment and something to say."""
    said = {item.cause for item in card.say}
    for cause in card.causes:
        if not cause.treat:
            yield Finding("causes", f"{cause.id} has no treatment", "add `treat` with steps for this cause")
        if cause.id not in said:
            yield Finding("say", f"nothing to say for the cause {cause.id}", f"add a sentence with `cause: {cause.id}`")


def sentences_are_short(card: Card) -> Iterator[Finding]:
    for field, item in texts(card):
        for language in card.languages:
            for sentence in _sentences(item.text(language)):
                size = len(sentence) if language == "zh" else len(sentence.split())
                if size > SENTENCE[language]:
                    yield Finding(field, f"a {language} sentence of {size}: {sentence[:40]}…", "split it")


def numbers_have_sources(card: Card) -> Iterator[Finding]:
    for number in card.numbers:
        if number.year is None:
            yield Finding("numbers", f"{number.value!r} has no year", "add the year of the source, or drop the number")
        if number.confidence == "low":
            yield Finding("numbers", f"{number.value!r} is of low confidence", "drop it: nobody may quote it")


def ethics_are_marked(card: Card) -> Iterator[Finding]:
    touchy = ("招标", "投标", "礼", "招待", "对手的报价", "tender", "bid", "gift", "hospitality", "bribe")
    words = f"{card.title.zh} {card.title.en} {card.summary.zh} {card.summary.en}".lower()
    if card.ethics.level == "none" and any(word in words for word in touchy):
        yield Finding("ethics", "the card touches tenders, gifts or confidential data but its level is none", "set level: caution or gate, and list limits")
    if card.ethics.level != "none" and not card.ethics.limits:
        yield Finding("ethics", f"level {card.ethics.level} without limits", "list at least one limit")


def myths_are_marked(card: Card) -> Iterator[Finding]:
    if card.id.startswith("myth-") and card.polarity not in ("myth", "warning"):
        yield Finding("polarity", f"a misconception is marked {card.polarity}", "set polarity: myth (or warning)")


RULES: tuple[Callable[[Card], Iterable[Finding]], ...] = (
    enough, causes_are_treated, sentences_are_short, numbers_have_sources, ethics_are_marked, myths_are_marked,
)  # fmt: skip


def references_exist(cards: Mapping[str, Card]) -> Iterator[tuple[str, Finding]]:
    for card in cards.values():
        named = [("related", item) for item in card.related] + [("contrast", item.id) for item in card.contrast]
        for field, other in named:
            if other not in cards:
                yield card.id, Finding(field, f"there is no card {other!r}", "correct the id or remove it")
            elif other == card.id:
                yield card.id, Finding(field, "the card names itself", "remove it")


def situations_are_unique(cards: Mapping[str, Card]) -> Iterator[tuple[str, Finding]]:
    """The same message may not stand for two cards."""
    seen: dict[str, str] = {}
    for card in cards.values():
        for item in (*card.situations.zh, *card.situations.en):
            key = "".join(item.text.lower().split())
            if (other := seen.setdefault(key, card.id)) != card.id:
                yield card.id, Finding("situations", f"{item.text[:40]!r} also stands in {other}", "keep it where it fits best")


WHOLE: tuple[Callable[[Mapping[str, Card]], Iterable[tuple[str, Finding]]], ...] = (references_exist, situations_are_unique)


def texts(card: Card) -> Iterator[tuple[str, Both]]:
    """Every bilingual text of a card with the name of its field."""
    yield "title", card.title
    yield "summary", card.summary
    for name in ("signals", "ask", "steps", "say", "avoid", "exit", "objectives"):
        for item in getattr(card, name):
            yield name, item
            for aside in ("why", "when", "purpose"):
                if (extra := getattr(item, aside, None)) is not None:
                    yield f"{name}.{aside}", extra
    for cause in card.causes:
        yield from (("causes", item) for item in (cause, cause.check, *cause.signals, *cause.treat))
    yield from (("ethics", item) for item in card.ethics.limits)


def _sentences(text: str) -> list[str]:
    found, start = [], 0
    for index, char in enumerate(text):
        if char in "。！？!?；;" or (char == "." and text[index + 1 : index + 2] in (" ", "")):
            found.append(text[start : index + 1].strip())
            start = index + 1
    return [item for item in (*found, text[start:].strip()) if item]
