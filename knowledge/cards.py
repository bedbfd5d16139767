"""A card treats one decision problem of the playbook, in both languages; trainers write it as a Markdown file.

Format: YAML front matter (the fields of `Card`) and an optional body with `## zh` and `## en` sections.
Every mistake is a `ContentProblem` with file, line, reason and cure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from knowledge.passages import Language, Passage, storable
from knowledge.problems import ContentProblem, ContentProblems

BUNDLED = Path(__file__).parent / "content" / "playbook"
_FRONT = re.compile(r"\A---[ \t]*\r?\n(.*?)\r?\n---[ \t]*(?:\r?\n|\Z)", re.DOTALL)

SECTIONS: dict[str, Mapping[Language, str]] = {
    "overview": {"zh": "是什么情况", "en": "What it is"},
    "cause": {"zh": "原因", "en": "Cause"},
    "ask": {"zh": "可以问客户的问题", "en": "Questions to ask"},
    "steps": {"zh": "下一步", "en": "Next steps"},
    "say": {"zh": "可以这样说", "en": "What to say"},
    "avoid": {"zh": "不要这样做", "en": "What to avoid"},
    "exit": {"zh": "做到什么算完成", "en": "Done when"},
    "limits": {"zh": "边界", "en": "Limits"},
    "numbers": {"zh": "数字与出处", "en": "Numbers and sources"},
    "contrast": {"zh": "容易混淆", "en": "Easily confused with"},
    "body": {"zh": "详解", "en": "In depth"},
}


def _filled(text: str) -> str:
    text = " ".join(text.split())
    if not text:
        raise ValueError("empty text")
    if not storable(text):
        raise ValueError("a zero or half a character in the text")
    return text


Line = Annotated[str, AfterValidator(_filled)]
CardId = Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Both(Part):
    """A text in both languages, each written for its market."""

    zh: Line
    en: Line

    def text(self, language: Language) -> str:
        return self.zh if language == "zh" else self.en


class Situation(Part):
    """A message in a rep's own words; `cause` where it shows one."""

    text: Line
    cause: str | None = None


class Situations(Part):
    zh: tuple[Situation, ...]
    en: tuple[Situation, ...]

    @field_validator("zh", "en", mode="before")
    @classmethod
    def _plain_strings_too(cls, value: Any) -> Any:
        return [{"text": item} if isinstance(item, str) else item for item in value or []]

    def texts(self, language: Language) -> tuple[Situation, ...]:
        return self.zh if language == "zh" else self.en


class Aliases(Part):
    zh: tuple[Line, ...]
    en: tuple[Line, ...]

    def texts(self, language: Language) -> tuple[str, ...]:
        return self.zh if language == "zh" else self.en


class Cause(Both):
    """Why it happens: its signals, the question that tells it from the others, and its treatment."""

    id: CardId
    signals: tuple[Both, ...] = ()
    check: Both
    treat: tuple[Both, ...]


class Ask(Both):
    purpose: Both | None = None
    cause: str | None = None


class Step(Both):
    cause: str | None = None


class Sentence(Both):
    when: Both | None = None
    cause: str | None = None


class Mistake(Both):
    why: Both
    cause: str | None = None


class Ethics(Part):
    level: Literal["none", "caution", "gate"]
    limits: tuple[Both, ...] = ()
    jurisdictions: tuple[Literal["CN", "US", "EU", "generic"], ...] = ("generic",)
    legal_review: str | None = None


class Number(Part):
    claim: Both
    value: Line
    source: Line
    year: int | None
    confidence: Literal["high", "medium-high", "medium", "low-medium", "low"]

    @field_validator("value", mode="before")
    @classmethod
    def _as_text(cls, value: Any) -> Any:
        return str(value) if isinstance(value, int | float) else value


class Contrast(Part):
    id: CardId
    how_to_tell_apart: Both


class SourceRef(Part):
    doc: str | None = None
    heading: Line


class Source(Part):
    type: Literal["deck", "team", "external"]
    ref: Line
    note: str = ""


class Card(Part):
    """One decision problem (or idea, method, checklist) of the playbook."""

    id: CardId
    title: Both
    kind: Literal["problem", "concept", "method", "checklist"]
    polarity: Literal["advice", "myth", "warning", "definition"]
    account_type: tuple[Literal["intrinsic", "extrinsic", "strategic", "any"], ...] = ("any",)
    roles: tuple[Literal["EB", "UB", "TB", "coach", "procurement"], ...] = ()
    summary: Both
    aliases: Aliases
    situations: Situations
    signals: tuple[Both, ...] = ()
    causes: tuple[Cause, ...] = ()
    ask: tuple[Ask, ...]
    steps: tuple[Step, ...]
    say: tuple[Sentence, ...]
    avoid: tuple[Mistake, ...]
    exit: tuple[Both, ...]
    ethics: Ethics
    numbers: tuple[Number, ...] = ()
    related: tuple[CardId, ...] = ()
    contrast: tuple[Contrast, ...] = ()
    source_ref: SourceRef | None = None
    sources: tuple[Source, ...] = ()
    objectives: tuple[Both, ...] = ()
    scenarios: tuple[str, ...] = ()
    version: int = 1
    status: Literal["draft", "approved", "retired"] = "draft"
    updated: date | None = None
    body: dict[Language, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _causes_exist(self) -> Card:
        known = {cause.id for cause in self.causes}
        if len(known) != len(self.causes):
            raise ValueError("two causes have the same id")
        named = [*self.ask, *self.steps, *self.say, *self.avoid, *self.situations.zh, *self.situations.en]
        causes = {getattr(item, "cause", None) for item in named} - {None}
        if wrong := sorted(map(str, causes - known)):
            raise ValueError(f"unknown cause: {', '.join(wrong)} (known: {', '.join(sorted(known))})")
        return self

    @property
    def languages(self) -> tuple[Language, ...]:
        return ("zh", "en")

    def cause(self, cause_id: str | None) -> Cause | None:
        return next((cause for cause in self.causes if cause.id == cause_id), None)


def parse_card(source: str, path: str) -> Card:
    """A card from the text of its file. Raises ContentProblems with a line for each mistake."""
    if not storable(source):
        line = next(n for n, text in enumerate(source.split("\n"), 1) if not storable(text))
        raise ContentProblems([ContentProblem(path, line, "a zero or half a character in the text", "type this line anew")])
    front, body, body_line = _split(source, path)
    data, node = _read_yaml(front, path)
    if not isinstance(data, dict):
        raise ContentProblems([ContentProblem(path, 2, "the front matter is not a list of fields", "write `key: value` lines")])
    data["body"] = _bodies(body, path, body_line)
    try:
        return Card.model_validate(data)
    except ValidationError as error:
        raise ContentProblems([_problem(item, node, path) for item in error.errors()]) from None


def load_cards(folder: Path = BUNDLED) -> dict[str, Card]:
    """Every card of a folder by id, in file order. Raises ContentProblems with all mistakes of all files."""
    cards: dict[str, Card] = {}
    problems: list[ContentProblem] = []
    for path in sorted(folder.glob("*.md")):
        try:
            card = parse_card(read_source(path), str(path))
        except ContentProblems as error:
            problems.extend(error.problems)
            continue
        if card.id in cards:
            problems.append(ContentProblem(str(path), 2, f"the id {card.id!r} is taken by another card", "choose another id"))
        elif card.id != path.stem:
            problems.append(ContentProblem(str(path), 2, f"the id {card.id!r} differs from the file name", f"rename the file to {card.id}.md"))
        cards[card.id] = card
    if problems:
        raise ContentProblems(problems)
    return cards


def read_source(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ContentProblems([ContentProblem(str(path), 0, f"not UTF-8 text ({error.reason})", "save the file as UTF-8")]) from None


def _split(source: str, path: str) -> tuple[str, str, int]:
    match = _FRONT.match(source)
    if not match:
        raise ContentProblems([ContentProblem(path, 1, "no front matter", "start the file with a line `---`, end the fields with another `---`")])
    return match.group(1), source[match.end() :], source[: match.end()].count("\n") + 1


def _read_yaml(front: str, path: str) -> tuple[Any, yaml.Node | None]:
    try:
        node = yaml.compose(front, Loader=yaml.CSafeLoader)
        return yaml.load(front, Loader=yaml.CSafeLoader), node
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 2 if error.problem_mark else 1
        raise ContentProblems(
            [ContentProblem(path, line, f"YAML: {error.problem or error.context}", "put texts with : # or quotes between double quotes")]
        ) from None
    except (yaml.YAMLError, ValueError) as error:  # control characters, impossible dates
        raise ContentProblems([ContentProblem(path, 1, f"YAML: {error}", "remove control characters, check dates")]) from None


def line_of(source: str, at: Sequence[str | int]) -> int:
    """The line on which a field or list item stands, e.g. ("steps", 3, "zh"); ("body", "en", 2) is a line of a body."""
    if at and at[0] == "body":
        return _body_line(source, at[1:])
    match = _FRONT.match(source)
    return _line(_composed(match.group(1)), at) if match else 1


def _body_line(source: str, at: Sequence[str | int]) -> int:
    """`at`: the language and the index of a line in the stripped body."""
    lines = source.split("\n")
    start = next((n for n, text in enumerate(lines) if re.fullmatch(rf"##[ \t]+{at[0]}[ \t]*", text.rstrip())), None) if at else None
    if start is None:
        return 1
    first = next((n for n in range(start + 1, len(lines)) if lines[n].strip()), start)
    return first + 1 + (int(at[1]) if len(at) > 1 else 0)


@lru_cache(maxsize=64)
def _composed(front: str) -> yaml.Node | None:
    return yaml.compose(front, Loader=yaml.CSafeLoader)


def _bodies(body: str, path: str, first_line: int) -> dict[str, str]:
    """The `## zh` and `## en` sections of a body."""
    pieces = re.split(r"^##[ \t]+(zh|en)[ \t]*$", body, flags=re.MULTILINE)
    if pieces[0].strip():
        raise ContentProblems([ContentProblem(path, first_line, "text outside a language section", "put it below `## zh` or `## en`")])
    return {language: text.strip() for language, text in zip(pieces[1::2], pieces[2::2], strict=True) if text.strip()}


def _problem(item: Any, node: yaml.Node | None, path: str) -> ContentProblem:
    where = ".".join(str(part) for part in item["loc"]) or "card"
    fixes = {
        "missing": "add the field",
        "extra_forbidden": "remove it or correct its spelling (format: docs/cards.md)",
        "literal_error": f"use {item.get('ctx', {}).get('expected', 'one of the listed values')}",
        "string_pattern_mismatch": "use lower-case letters, digits and hyphens",
        "date_from_datetime_parsing": "write YYYY-MM-DD",
    }
    message = item["msg"].removeprefix("Value error, ")
    return ContentProblem(path, _line(node, item["loc"]), f"{where}: {message}", fixes.get(item["type"], "correct this value"))


def _line(node: yaml.Node | None, loc: Sequence[str | int]) -> int:
    """The line of the file on which `loc` stands: as deep as the YAML goes (front matter starts on line 2)."""
    line = 1
    for part in loc:
        if isinstance(node, yaml.MappingNode):
            pair = next(((key, value) for key, value in node.value if key.value == str(part)), None)
            if pair is None:
                break
            line, node = pair[0].start_mark.line + 2, pair[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line + 2
        else:
            break
    return line


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a card in one language: its key, its heading and its lines (each quotable on its own)."""

    part: str
    heading: str
    lines: tuple[str, ...]


def sections(card: Card, language: Language) -> Iterator[Section]:
    """A card as sections of lines; each becomes one passage."""

    def section(part: str, lines: Sequence[str], title: str = "") -> Iterator[Section]:
        if lines:
            heading = SECTIONS[part.split(":")[0]][language]
            yield Section(part, f"{heading} · {title}" if title else heading, tuple(lines))

    def texts(items: Sequence[Both]) -> list[str]:
        return [item.text(language) for item in items]

    yield from section("overview", [card.summary.text(language), *texts(card.signals)])
    for cause in card.causes:
        lines = [cause.text(language), *texts(cause.signals), cause.check.text(language), *texts(cause.treat)]
        yield from section(f"cause:{cause.id}", lines)
    yield from section("ask", [_with(ask, ask.purpose, language) for ask in card.ask])
    yield from section("steps", texts(card.steps))
    yield from section("say", [_with(item, item.when, language) for item in card.say])
    yield from section("avoid", [_with(item, item.why, language) for item in card.avoid])
    yield from section("exit", texts(card.exit))
    yield from section("limits", texts(card.ethics.limits))
    yield from section("numbers", [_number(number, language) for number in card.numbers])
    for item in card.contrast:
        yield from section(f"contrast:{item.id}", [item.how_to_tell_apart.text(language)])
    if language in card.body:
        yield from section("body", [card.body[language]])


def _with(item: Both, aside: Both | None, language: Language) -> str:
    if aside is None:
        return item.text(language)
    return f"{item.text(language)}（{aside.text(language)}）" if language == "zh" else f"{item.text(language)} ({aside.text(language)})"


def _number(number: Number, language: Language) -> str:
    year = f", {number.year}" if number.year else ""
    if language == "zh":
        return f"{number.claim.zh}：{number.value}（来源：{number.source}{year.replace(', ', '，')}；可信度：{number.confidence}）"
    return f"{number.claim.en}: {number.value} (source: {number.source}{year}; confidence: {number.confidence})"


def card_passages(card: Card) -> list[Passage]:
    """The passages of a card in both languages, with stable ids `<card>/<language>/<part>`."""
    return [
        Passage(
            id=f"{card.id}/{language}/{section.part}",
            text="\n".join(section.lines),
            place=f"{card.title.text(language)} › {section.heading}",
            language=language,
            title=card.title.text(language),
            document=card.id,
            kind="card",
            part=section.part,
            heading=f"{card.title.text(language)} › {section.heading}",
            polarity=card.polarity,
        )
        for language in card.languages
        for section in sections(card, language)
    ]
