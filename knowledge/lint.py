"""What keeps the playbook good: rules over cards, each finding with file, line, reason and cure.

A rule is a function `Card -> findings`; `RULES` lists them. Rules over the whole playbook stand in `WHOLE`, those that
need an embedding model in `SEARCH`. The word lists are `content/lint.yaml`, the terms `content/glossary.yaml`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from knowledge import wording
from knowledge.cards import BUNDLED, Both, Card, line_of, load_cards, parse_card, read_source
from knowledge.confusion import At, Verdict, duplicates, hidden, judge, strays, words_of_cards
from knowledge.glossary import load_glossary
from knowledge.passages import Language
from knowledge.problems import ContentProblem, ContentProblems

SITUATIONS, ALIASES, CONTRASTS, OBJECTIVES = 10, 6, 1, 2
BALANCE = 2.2  # a text whose twin is so many times longer than usual lacks something
ACTIONS = ("steps", "treat", "ask", "check", "say", "avoid", "exit", "objectives")  # what a rep is told to do or not to do


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong at a place of a card, e.g. ("steps", 3, "zh"), and how to mend it."""

    at: At
    what: str
    fix: str

    @property
    def field(self) -> str:
        return ".".join(part for part in self.at if isinstance(part, str) and part != "text")


Found = Iterable[tuple[str, Finding]]  # with the card's id


def lint_folder(path: Path, *, search: bool = True) -> list[ContentProblem]:
    """Every finding in a card file or a folder of cards. `search` adds the rules that need the embedder.

    A single file is judged beside its neighbours in the folder, or beside the bundled playbook.
    """
    files = sorted(path.glob("*.md")) if path.is_dir() else [path]
    cards, sources, problems = _read(files)
    whole = cards if path.is_dir() else _neighbours(path) | cards
    found: list[tuple[str, Finding]] = [(card.id, finding) for card in cards.values() for rule in RULES for finding in rule(card)]
    for check in (*WHOLE, *(SEARCH if search and len(whole) > 1 else ())):
        found += [(card_id, finding) for card_id, finding in check(whole) if card_id in cards]
    problems += [_problem(finding, *sources[card_id]) for card_id, finding in found]
    return sorted(problems, key=lambda item: (item.path, item.line))


def _read(files: Iterable[Path]) -> tuple[dict[str, Card], dict[str, tuple[Path, str]], list[ContentProblem]]:
    """Cards, (file, source) by id, and what cannot be read."""
    cards: dict[str, Card] = {}
    sources: dict[str, tuple[Path, str]] = {}
    problems: list[ContentProblem] = []
    for file in files:
        try:
            source = read_source(file)
            card = parse_card(source, str(file))
        except ContentProblems as error:
            problems += error.problems
            continue
        if card.id != file.stem:
            problems.append(ContentProblem(str(file), 2, f"the id {card.id!r} differs from the file name", f"rename the file to {card.id}.md"))
        cards[card.id], sources[card.id] = card, (file, source)
    return cards, sources, problems


def _neighbours(path: Path) -> dict[str, Card]:
    siblings, _, _ = _read(file for file in sorted(path.parent.glob("*.md")) if file != path)
    return siblings or load_cards(BUNDLED)


def _problem(finding: Finding, file: Path, source: str) -> ContentProblem:
    return ContentProblem(str(file), line_of(source, finding.at), f"{finding.field}: {finding.what}", finding.fix)


# ------------------------------------------------------------------ the texts of a card


@dataclass(frozen=True, slots=True)
class Text:
    """A text of a card in one language, with its place."""

    at: At
    text: str
    language: Language

    @property
    def is_action(self) -> bool:
        """Told to do or say, as opposed to stated as a fact."""
        return any(part in ACTIONS for part in self.at) and not {"why", "purpose", "when"} & set(self.at)

    @property
    def is_step(self) -> bool:
        return self.at[0] == "steps" or "treat" in self.at


def texts(card: Card) -> Iterator[tuple[At, Both]]:
    """Every bilingual text of a card with its place. Not the words of reps (aliases, situations)."""
    yield ("title",), card.title
    yield ("summary",), card.summary
    for name in ("signals", "ask", "steps", "say", "avoid", "exit", "objectives"):
        for i, item in enumerate(getattr(card, name)):
            yield (name, i), item
            for aside in ("why", "when", "purpose"):
                if (extra := getattr(item, aside, None)) is not None:
                    yield (name, i, aside), extra
    for i, cause in enumerate(card.causes):
        yield ("causes", i), cause
        yield ("causes", i, "check"), cause.check
        for name in ("signals", "treat"):
            yield from ((("causes", i, name, n), item) for n, item in enumerate(getattr(cause, name)))
    yield from ((("ethics", "limits", i), item) for i, item in enumerate(card.ethics.limits))
    yield from ((("numbers", i, "claim"), item.claim) for i, item in enumerate(card.numbers))
    yield from ((("contrast", i, "how_to_tell_apart"), item.how_to_tell_apart) for i, item in enumerate(card.contrast))


def plain_texts(card: Card, *, bodies: bool = False) -> Iterator[Text]:
    """The same in each language on its own; `bodies` adds the lines of the bodies."""
    for at, both in texts(card):
        for language in card.languages:
            yield Text((*at, language), both.text(language), language)
    if bodies:
        for language, body in card.body.items():
            for n, line in enumerate(body.split("\n")):
                if line.strip():
                    yield Text(("body", language, n), line.strip(), language)


# ------------------------------------------------------------------ rules over one card


def enough(card: Card) -> Iterator[Finding]:
    """Enough words of reps to be found by, and the parts without which a card is no help."""
    for language in card.languages:
        if (count := len(card.situations.texts(language))) < SITUATIONS:
            yield Finding(("situations", language), f"{count} messages", f"write at least {SITUATIONS} in reps' own words")
        if (count := len(card.aliases.texts(language))) < ALIASES:
            yield Finding(("aliases", language), f"{count} names", f"write at least {ALIASES}")
    for name in ("signals", "causes", "ask", "steps", "say", "avoid", "exit", "sources"):
        if not getattr(card, name):
            yield Finding((name,), "missing", "add at least one entry")
    if len(card.contrast) < CONTRASTS:
        yield Finding(("contrast",), "no card that this one is confused with", "name the nearest card and how to tell them apart")
    if len(card.objectives) < OBJECTIVES:
        yield Finding(("objectives",), f"{len(card.objectives)} objectives", f"write at least {OBJECTIVES}: after this a rep can …")


def languages_match(card: Card) -> Iterator[Finding]:
    """The same parts in both languages: as many messages, bodies of the same build, no text half as rich as its twin."""
    for name in ("situations", "aliases"):
        zh, en = (len(getattr(card, name).texts(language)) for language in card.languages)
        if zh != en:
            yield Finding((name,), f"{zh} in zh, {en} in en", "write as many in both languages")
    if set(card.body) not in (set(), set(card.languages)):
        yield Finding(("body", *card.body), "a body in one language only", "write it in both languages, or in none")
    elif card.body and (builds := [_build(card.body[language]) for language in card.languages])[0] != builds[1]:
        yield Finding(("body", "en"), f"built otherwise than zh: {builds[1]} against {builds[0]}", "give both as many paragraphs, table rows and list items")
    for at, both in texts(card):
        richness = (len(both.en.split()) + 4) / (len(both.zh) * 0.62 + 4)
        if not 1 / BALANCE < richness < BALANCE:
            poor = "en" if richness < 1 else "zh"
            yield Finding((*at, poor), "says much less than in the other language", "write what is missing, or shorten the other")


def _build(body: str) -> str:
    lines = [line for line in body.split("\n") if line.strip()]
    rows = sum(line.startswith("|") for line in lines)
    items = sum(bool(re.match(r"(?:[-*]|\d+\.)\s", line)) for line in lines)
    return f"{len(lines) - rows - items} paragraphs, {rows} table rows, {items} list items"


def causes_are_treated(card: Card) -> Iterator[Finding]:
    """Each cause needs its treatment, something to say, and messages of reps that show it."""
    said = {item.cause for item in card.say}
    for i, cause in enumerate(card.causes):
        if not cause.treat:
            yield Finding(("causes", i), f"{cause.id} has no treatment", "add `treat` with steps for this cause")
        if cause.id not in said:
            yield Finding(("say",), f"nothing to say for the cause {cause.id}", f"add a sentence with `cause: {cause.id}`")
        for language in card.languages:
            if not any(item.cause == cause.id for item in card.situations.texts(language)):
                yield Finding(("situations", language), f"no message shows the cause {cause.id}", f"mark one with `cause: {cause.id}`")


def steps_open_with_a_verb(card: Card) -> Iterator[Finding]:
    for item in plain_texts(card):
        if item.is_step and not wording.opens_with_verb(item.text, item.language):
            yield Finding(item.at, f"no verb first: {item.text[:40]}", "say what to do, verb first (a time or condition may precede); if it is a verb, add it to content/lint.yaml")


def sentences_are_short(card: Card) -> Iterator[Finding]:
    for item in plain_texts(card, bodies=True):
        if item.text.startswith("|"):
            continue
        for sentence in wording.sentences(item.text):
            if (size := wording.length(sentence, item.language)) > wording.LONGEST[item.language]:
                yield Finding(item.at, f"a sentence of {size}: {sentence[:40]}…", f"split it (at most {wording.LONGEST[item.language]})")


def no_slogans(card: Card) -> Iterator[Finding]:
    for item in plain_texts(card, bodies=True):
        for word in wording.slogans(item.text, item.language):
            yield Finding(item.at, f"a slogan: {word}", "say what the rep does or sees instead, or put it in quotation marks if it is a warning")


def numbers_have_sources(card: Card) -> Iterator[Finding]:
    for i, number in enumerate(card.numbers):
        if number.year is None:
            yield Finding(("numbers", i, "year"), f"{number.value!r} has no year", "add the year of the source, or drop the number")
        if number.confidence == "low":
            yield Finding(("numbers", i, "confidence"), f"{number.value!r} is of low confidence", "drop it: nobody may quote it")


def figures_have_sources(card: Card) -> Iterator[Finding]:
    """A percentage or multiple stated as a fact stands in `numbers`; a figure to set, say or count with may stand alone."""
    known = {figure for number in card.numbers for text in (number.value, number.claim.zh, number.claim.en) for figure in _numbers(text)}
    examples = {language: wording.is_example(body, language) for language, body in card.body.items()}
    for item in plain_texts(card, bodies=True):
        if item.at[0] == "numbers":
            continue
        unknown = [figure for figure in wording.figures(item.text) if wording.digits(figure) not in known]
        evidence = wording.claims_evidence(item.text, item.language)
        allowed = examples[item.language] if item.at[0] == "body" else item.is_action or wording.is_example(item.text, item.language)
        if evidence and not card.numbers:
            yield Finding(item.at, f"claims evidence ({evidence[0]}) without a source", "add it to `numbers` with source and year, or drop the claim")
        elif unknown and not allowed:
            yield Finding(item.at, f"{unknown[0]} has no source", "add it to `numbers` with source and year, mark it as an example, or drop it")


def _numbers(text: str) -> set[str]:
    tenths = {wording.digits(match) for match in re.findall(r"[一二三四五六七八九]成", text)}
    return tenths | set(re.findall(r"\d+(?:\.\d+)?", text))


def terms_are_on_the_glossary(card: Card) -> Iterator[Finding]:
    glossary = load_glossary()
    for item in plain_texts(card, bodies=True):
        for wrong, right in glossary.wrong_words(item.text, item.language):
            yield Finding(item.at, f"“{wrong}” is off the glossary", f"write “{right}” (content/glossary.yaml)")


def law_is_reviewed(card: Card) -> Iterator[Finding]:
    """Numbers of articles only after a lawyer's review, which `ethics.legal_review` names."""
    if card.ethics.legal_review:
        return
    for item in plain_texts(card, bodies=True):
        if article := wording.article_of_law(item.text):
            yield Finding(item.at, f"an article of law that nobody verified: {article}", "name the law only, or have it reviewed and fill ethics.legal_review")


def ethics_are_marked(card: Card) -> Iterator[Finding]:
    level = card.ethics.level
    if level != "none" and not card.ethics.limits:
        yield Finding(("ethics",), f"level {level} without limits", "list at least one limit")
    if level == "none":
        for item in plain_texts(card):
            if touchy := wording.words_of(item.text, wording.listed("touchy", item.language), item.language):
                yield Finding(("ethics", "level"), f"the level is none, but {'.'.join(map(str, item.at))} speaks of “{touchy[0]}”", "set level: caution (or gate) and list limits")
                return


def myths_are_marked(card: Card) -> Iterator[Finding]:
    """A misconception is called one in title and summary, and never told as a thing to do."""
    if card.polarity not in ("myth", "warning"):
        if card.id.startswith("myth-"):
            yield Finding(("polarity",), f"a misconception is marked {card.polarity}", "set polarity: myth (or warning)")
        return
    marks: dict[Language, tuple[str, ...]] = {"zh": ("误区", "警示"), "en": ("misconception", "warning", "myth")}
    for at, both in (("title", card.title), ("summary", card.summary)):
        for language in card.languages:
            if not any(mark in both.text(language).lower() for mark in marks[language]):
                yield Finding((at, language), "does not say that this is a misconception", f"write {marks[language][0]}")
    for item in plain_texts(card):
        if item.is_action and (belief := _belief_told(card, item)):
            yield Finding(item.at, f"reads as advice to follow the misconception “{belief}”", "say what to do instead, or quote the belief and contradict it")


_DENIAL: dict[Language, re.Pattern[str]] = {
    "zh": re.compile(r"误区|不|别|没|而非|先|替代|取消|停|怎么|吗|？"),
    "en": re.compile(r"misconception|\b(?:not|no|never|without|instead|rather|stop|before|unless)\b|n't|\?", re.IGNORECASE),
}


def _belief_told(card: Card, item: Text) -> str | None:
    """The misconception, when a text says it plainly: not in quotation marks, not denied, not asked.

    Its wordings are the title behind the colon and those aliases that open with a verb ("cut the tail").
    """
    title = re.split(r"[:：]", card.title.text(item.language), maxsplit=1)[-1].strip(" )）")
    beliefs = [title.translate(str.maketrans("", "", "“”\"'")), *card.aliases.texts(item.language)]
    said = wording.unquoted(item.text)
    told = wording.words_of(said, [name for name in beliefs if name == beliefs[0] or wording.opens_with_verb(name, item.language)], item.language)
    return told[0] if told and not _DENIAL[item.language].search(said) else None


RULES: tuple[Callable[[Card], Iterable[Finding]], ...] = (
    enough, languages_match, causes_are_treated, steps_open_with_a_verb, sentences_are_short, no_slogans,
    numbers_have_sources, figures_have_sources, terms_are_on_the_glossary, law_is_reviewed, ethics_are_marked, myths_are_marked,
)  # fmt: skip


# ------------------------------------------------------------------ rules over the whole playbook


def references_exist(cards: Mapping[str, Card]) -> Iterator[tuple[str, Finding]]:
    for card in cards.values():
        named: list[tuple[At, str]] = [(("related", i), other) for i, other in enumerate(card.related)]
        named += [(("contrast", i, "id"), item.id) for i, item in enumerate(card.contrast)]
        for at, other in named:
            if other not in cards:
                yield card.id, Finding(at, f"there is no card {other!r}", "correct the id or remove it")
            elif other == card.id:
                yield card.id, Finding(at, "the card names itself", "remove it")


def nobody_is_alone(cards: Mapping[str, Card]) -> Iterator[tuple[str, Finding]]:
    """Every card is named by another one, so that a reader comes across it."""
    named = {other for card in cards.values() for other in (*card.related, *(item.id for item in card.contrast))}
    for card_id in cards:
        if len(cards) > 1 and card_id not in named:
            yield card_id, Finding(("related",), "no other card names this one", "add its id to `related` of the cards that lead to it")


def confusable_pairs_are_told_apart(cards: Mapping[str, Card]) -> Iterator[tuple[str, Finding]]:
    told = {card.id: {item.id for item in card.contrast} for card in cards.values()}
    for pair in wording.word_lists()["confusable"]:
        for one, other in (pair, reversed(pair)):
            if one in cards and other in cards and other not in told[one]:
                yield one, Finding(("contrast",), f"reps confuse this card with {other}", f"add {other} with how_to_tell_apart")


WHOLE: tuple[Callable[[Mapping[str, Card]], Found], ...] = (references_exist, nobody_is_alone, confusable_pairs_are_told_apart)


def words_lead_home(cards: Mapping[str, Card]) -> Iterator[tuple[str, Finding]]:
    """No two messages alike, none that surely leads to another card, no card that its own names do not find."""
    from knowledge.embedders import open_embedder
    from knowledge.keywords import normalise

    embedder, words = open_embedder("bundled"), words_of_cards(cards)
    vectors = embedder.documents([normalise(item.text) for item in words])
    for item, earlier, near in duplicates(words, vectors):
        where = "above" if earlier.card == item.card else f"in {earlier.card}"
        yield item.card, Finding(item.at, f"nearly the same ({near:.2f}) as “{earlier.text[:40]}” {where}", "keep it where it fits best, write another case here")
    verdicts = judge(cards, words, embedder)
    for verdict in strays(verdicts):
        item = verdict.words
        yield item.card, Finding(item.at, f"“{item.text[:40]}” leads to {verdict.first} ({verdict.belief:.2f}), here it comes {verdict.rank + 1}th", f"move it to {verdict.first}, or add what makes it a case of this card")
    for item, missed in hidden(verdicts):
        yield item.card, Finding(("aliases", item.language), _hidden_text(missed), "use the words in which reps name this problem, in this language")


def _hidden_text(missed: Sequence[Verdict]) -> str:
    names = ", ".join(f"“{item.words.text}” ({item.first})" for item in missed[:4])
    return f"most of its own names don't bring the card among the first three: {names}"


SEARCH: tuple[Callable[[Mapping[str, Card]], Found], ...] = (words_lead_home,)
