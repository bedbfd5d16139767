"""What a role-play is made of: scenarios as bilingual files that a trainer writes, and the moves a rep can make.

A scenario is one YAML file (fields of `Scenario`); `moves.yaml` teaches by example what a line does, `reactions.yaml`
holds the words that every persona shares. Every mistake is a `ContentProblem` with file, line, reason and cure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_validator,
)

from knowledge.cards import Both, CardId, Line, Part
from knowledge.passages import Language
from knowledge.problems import ContentProblem, ContentProblems

BUNDLED = Path(__file__).parent / "content" / "scenarios"
SHARED_FILES = ("moves.yaml", "reactions.yaml")

BANDS = ("cold", "warm")
Band = Literal["cold", "warm"]


class Lines(Part):
    """Several ways to say the same thing, in both languages, as many in one as in the other."""

    zh: tuple[Line, ...] = Field(min_length=1)
    en: tuple[Line, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _as_many(self) -> Lines:
        if len(self.zh) != len(self.en):
            raise ValueError(f"{len(self.zh)} lines in Chinese but {len(self.en)} in English")
        return self

    def texts(self, language: Language) -> tuple[str, ...]:
        return self.zh if language == "zh" else self.en


def _patterns(texts: tuple[str, ...]) -> tuple[str, ...]:
    for text in texts:
        try:
            re.compile(text)
        except re.error as error:
            raise ValueError(f"{text!r} is not a regular expression: {error}") from None
    return texts


class Rules(Part):
    """Regular expressions on normalised text."""

    zh: Annotated[tuple[str, ...], AfterValidator(_patterns)] = ()
    en: Annotated[tuple[str, ...], AfterValidator(_patterns)] = ()

    def texts(self, language: Language) -> tuple[str, ...]:
        return self.zh if language == "zh" else self.en


class Taught(Part):
    """Something a line can do, taught by examples and rules."""

    rules: Rules = Rules()
    zh: tuple[Line, ...]
    en: tuple[Line, ...]

    def texts(self, language: Language) -> tuple[str, ...]:
        return self.zh if language == "zh" else self.en


class MoveKind(Taught):
    kind: Literal["useful", "neutral", "bad"]
    name: Both


class Moves(Part):
    """All moves of reps, and all that a customer's line can do to them."""

    moves: dict[str, MoveKind]
    customer: dict[str, Taught]

    def bad(self) -> frozenset[str]:
        return frozenset(name for name, move in self.moves.items() if move.kind == "bad")


class Option(Both):
    """A sentence that the rep may choose, with the moves that it makes."""

    move: str

    @property
    def moves(self) -> tuple[str, ...]:
        return tuple(self.move.split())


class Beat(Part):
    """Four sentences to choose from: the first is strong, the last harmful, those between are half right."""

    options: tuple[Option, ...] = Field(min_length=4, max_length=4)


class HiddenFact(Beat):
    """What the persona knows and does not say until its gate opens.

    `opens`: moves of which one must be made; `after`: moves or facts that must have come before (or in the same
    line); `marks`: words that give the fact away and must not be heard while it is locked.
    """

    id: Annotated[str, Field(pattern=r"^G[1-9]$")]
    opens: tuple[str, ...] = Field(min_length=1)
    after: tuple[str, ...] = ()
    reveals: Lines
    locked: Lines
    marks: Rules


class Temptation(Beat):
    """An offer that must be declined (or met with a trade): comes once the fact `at` is open, or at the opening."""

    id: Annotated[str, Field(pattern=r"^T[1-9]$")]
    at: str = ""
    level: int = Field(1, ge=1, le=3)
    right: tuple[str, ...]
    wrong: tuple[str, ...]
    line: Lines
    handled: Lines
    taken: Lines


class Closing(Beat):
    """How the talk is won: these moves (one of them) once everything else holds, and what the persona then says."""

    moves: tuple[str, ...]
    trust: int = Field(3, ge=0, le=5)
    says: Lines
    early: Lines


class Persona(Part):
    """Who the rep talks to. `about` is in the third person and holds no hidden fact: it goes into model prompts."""

    name: Both
    role: Both
    about: Both


class Variant(Part):
    id: Annotated[str, Field(pattern=r"^[a-z]$")]
    slots: dict[str, Both] = Field(default_factory=dict)
    needs: tuple[str, ...]


class Scenario(Part):
    """One customer, one talk. Text may hold `{slots}` that the variant fills."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: Annotated[str, Field(pattern=r"^[A-Z][0-9]{2,3}$")]
    title: Both
    goal: Both
    trains: tuple[CardId, ...] = Field(min_length=1)
    status: Literal["draft", "approved", "retired"] = "approved"
    version: int = 1
    brief: Both
    persona: Persona
    variants: tuple[Variant, ...] = Field(min_length=2)
    opening: Lines
    start: Beat
    facts: tuple[HiddenFact, ...] = Field(min_length=2)
    temptations: tuple[Temptation, ...] = ()
    fatal: tuple[str, ...] = ("improper",)
    win: Closing
    failed: Lines
    leaves: Lines
    lines: dict[str, Lines] = Field(default_factory=dict)

    def variant(self, name: str) -> Variant:
        return next((item for item in self.variants if item.id == name), self.variants[0])

    def fact(self, name: str) -> HiddenFact:
        return next(item for item in self.facts if item.id == name)

    def temptation(self, name: str) -> Temptation:
        return next(item for item in self.temptations if item.id == name)

    def beats(self) -> dict[str, Beat]:
        """The beats by name, in their natural order."""
        found: dict[str, Beat] = {"start": self.start}
        found |= {item.id: item for item in self.facts}
        found |= {item.id: item for item in self.temptations}
        return found | {"win": self.win}

    @model_validator(mode="after")
    def _names_exist(self) -> Scenario:
        facts = {item.id for item in self.facts}
        for variant in self.variants:
            if unknown := set(variant.needs) - facts:
                raise ValueError(f"variant {variant.id} needs unknown facts {sorted(unknown)}")
        for item in self.temptations:
            if item.at and item.at not in facts:
                raise ValueError(f"{item.id} comes at unknown fact {item.at}")
        return self

    @field_validator("lines")
    @classmethod
    def _known_lines(cls, value: dict[str, Lines]) -> dict[str, Lines]:
        if unknown := set(value) - set(load_reactions()):
            raise ValueError(f"unknown reactions {sorted(unknown)} (known: reactions.yaml)")
        return value


def fill(text: str, variant: Variant, language: Language) -> str:
    """The text with the variant's slots filled."""
    return text.format(**{key: value.text(language) for key, value in variant.slots.items()})


_REACTIONS: TypeAdapter[dict[str, dict[Band, Lines]]] = TypeAdapter(dict[str, dict[Band, Lines]])


@cache
def load_moves(folder: Path = BUNDLED) -> Moves:
    return Moves.model_validate(_yaml(folder / "moves.yaml"))


@cache
def load_reactions(folder: Path = BUNDLED) -> Mapping[str, Mapping[Band, Lines]]:
    """What any persona answers to a move, by trust band."""
    return _REACTIONS.validate_python(_yaml(folder / "reactions.yaml"))


def load_scenarios(*folders: Path) -> dict[str, Scenario]:
    """All scenarios by id; a file in a later folder replaces one of the same id. Raises ContentProblems."""
    found: dict[str, Scenario] = {}
    problems: list[ContentProblem] = []
    for folder in folders or (BUNDLED,):
        for path in sorted(folder.glob("*.yaml")):
            if path.name in SHARED_FILES:
                continue
            try:
                scenario = parse_scenario(path.read_text(encoding="utf-8"), str(path))
                found[scenario.id] = scenario
            except ContentProblems as error:
                problems += error.problems
    if problems:
        raise ContentProblems(problems)
    return found


def lint_scenarios(path: Path) -> list[ContentProblem]:
    """Every mistake in a scenario file, or in all of a folder."""
    files = sorted(path.glob("*.yaml")) if path.is_dir() else [path]
    found: list[ContentProblem] = []
    for file in files:
        if file.name in SHARED_FILES:
            continue
        try:
            parse_scenario(file.read_text(encoding="utf-8"), str(file))
        except ContentProblems as error:
            found += error.problems
    return found


def parse_scenario(source: str, path: str) -> Scenario:
    """A scenario from the text of its file, checked. Raises ContentProblems."""
    try:
        node = yaml.compose(source, Loader=yaml.CSafeLoader)
        data = yaml.load(source, Loader=yaml.CSafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        what = f"not YAML: {getattr(error, 'problem', None) or error}"
        raise ContentProblems([ContentProblem(path, mark.line + 1 if mark else 0, what, "check quotes, colons and indentation")]) from None
    if not isinstance(data, dict):
        raise ContentProblems([ContentProblem(path, 1, "not a scenario", "start from an example: docs/scenarios.md")])
    try:
        scenario = Scenario.model_validate(data)
    except ValidationError as error:
        raise ContentProblems([_problem(item, node, path) for item in error.errors()]) from None
    problems = list(lint(scenario, node, path))
    if problems:
        raise ContentProblems(problems)
    return scenario


def _problem(item: Any, node: yaml.Node | None, path: str) -> ContentProblem:
    where = ".".join(str(part) for part in item["loc"]) or "scenario"
    fixes = {
        "missing": "add the field",
        "extra_forbidden": "remove it or correct its spelling (format: docs/scenarios.md)",
        "too_short": "add the missing lines",
        "too_long": "keep four options",
        "string_pattern_mismatch": "correct the id",
    }
    message = item["msg"].removeprefix("Value error, ")
    return ContentProblem(path, _line(node, item["loc"]), f"{where}: {message}", fixes.get(item["type"], "correct this value"))


def _line(node: yaml.Node | None, loc: Sequence[str | int]) -> int:
    """The line on which `loc` stands, as deep as the file goes."""
    line = 1
    for part in loc:
        if isinstance(node, yaml.MappingNode):
            pair = next(((key, value) for key, value in node.value if key.value == str(part)), None)
            if pair is None:
                break
            line, node = pair[0].start_mark.line + 1, pair[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line + 1
        else:
            break
    return line


def lint(scenario: Scenario, node: yaml.Node | None = None, path: str = "") -> Iterator[ContentProblem]:
    """What the types can't see: unknown moves, unfilled slots, words that give a fact away too early, uneven options."""
    path = path or f"{scenario.id}.yaml"
    known = load_moves().moves
    for loc, move in _named_moves(scenario):
        if move not in known:
            yield ContentProblem(path, _line(node, loc), f"{'.'.join(map(str, loc))}: unknown move {move!r}", f"use one of: {', '.join(known)}")
    yield from _slots(scenario, node, path)
    yield from _early_words(scenario, node, path)
    for name, beat in scenario.beats().items():
        for language in ("zh", "en"):
            sizes = [len(option.text(language)) for option in beat.options]
            if max(sizes) > 2.5 * min(sizes):
                yield ContentProblem(path, _line(node, _beat_loc(scenario, name)), f"{name}: {language} options differ too much in length ({min(sizes)}–{max(sizes)})", "make them alike, so that length gives nothing away")


def _beat_loc(scenario: Scenario, name: str) -> tuple[str | int, ...]:
    for i, fact in enumerate(scenario.facts):
        if fact.id == name:
            return ("facts", i, "options")
    for i, temptation in enumerate(scenario.temptations):
        if temptation.id == name:
            return ("temptations", i, "options")
    return (name, "options")


def _named_moves(scenario: Scenario) -> Iterator[tuple[tuple[str | int, ...], str]]:
    facts = {item.id for item in scenario.facts}
    for name, beat in scenario.beats().items():
        for i, option in enumerate(beat.options):
            yield from (((*_beat_loc(scenario, name), i, "move"), move) for move in option.moves)
    for i, fact in enumerate(scenario.facts):
        yield from ((("facts", i, "opens"), move) for move in fact.opens)
        yield from ((("facts", i, "after"), move) for move in fact.after if move not in facts)
    for i, item in enumerate(scenario.temptations):
        yield from ((("temptations", i, "right"), move) for move in (*item.right, *item.wrong))
    yield from ((("win", "moves"), move) for move in scenario.win.moves)
    yield from ((("fatal",), move) for move in scenario.fatal)


_SLOT = re.compile(r"{(\w+)}")


def _slots(scenario: Scenario, node: yaml.Node | None, path: str) -> Iterator[ContentProblem]:
    """Every `{slot}` in the text is filled by every variant."""
    used = set(_SLOT.findall(scenario.model_dump_json(exclude={"variants": True, "facts": {"__all__": {"marks"}}})))
    for i, variant in enumerate(scenario.variants):
        if missing := used - set(variant.slots):
            yield ContentProblem(path, _line(node, ("variants", i)), f"variant {variant.id} does not fill {sorted(missing)}", "add them under slots")


def _early_words(scenario: Scenario, node: yaml.Node | None, path: str) -> Iterator[ContentProblem]:
    """No written line may give away a fact that can still be locked when it is said."""
    for i, fact in enumerate(scenario.facts):
        others = [line for item in scenario.facts if item is not fact and fact.id not in item.after for line in _said(item.reveals)]
        early = [*_said(scenario.opening), *(line for item in scenario.facts for line in _said(item.locked)), *others]
        early += [line for item in scenario.temptations if item.at != fact.id for line in _said(item.line)]
        early += [line for lines in scenario.lines.values() for line in _said(lines)] + [scenario.brief.zh, scenario.brief.en]
        early += [scenario.persona.about.zh, scenario.persona.about.en]
        for line in early:
            if mark := next(filter(None, (gives_away(fact, scenario, said) for said in _filled_in(line, scenario))), None):
                yield ContentProblem(path, _line(node, ("facts", i, "marks")), f"{fact.id} is given away by {line!r} (mark {mark!r})", "reword the line, narrow the mark, or say which fact comes first with `after`")


def _filled_in(line: str, scenario: Scenario) -> set[str]:
    """The line as each variant says it in each language."""
    return {_fill_known(line, variant, language) for variant in scenario.variants for language in ("zh", "en")}


def _fill_known(line: str, variant: Variant, language: str) -> str:
    return _SLOT.sub(lambda found: getattr(variant.slots[found[1]], language) if found[1] in variant.slots else found[0], line)


def _said(lines: Lines) -> tuple[str, ...]:
    return (*lines.zh, *lines.en)


def gives_away(fact: HiddenFact, scenario: Scenario, text: str) -> str | None:
    """The mark of a fact that a text contains (slots filled for every variant), or None."""
    lowered = text.lower()
    for mark in (*fact.marks.zh, *fact.marks.en):
        for variant in scenario.variants:
            for language in ("zh", "en"):
                pattern = _SLOT.sub(lambda found: re.escape(variant.slots[found[1]].text(language)) if found[1] in variant.slots else found[0], mark)  # noqa: B023
                if re.search(pattern.lower(), lowered):
                    return mark
    return None


def _yaml(path: Path) -> Any:
    return yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
