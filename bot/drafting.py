"""Advice in the model's words for one situation, checked in code: the only caller of a language model for advice.

`draft` gives pieces that may be shown, or None (no model, a failure, nothing that passed the checks); why stands in
the log. The caller fills what is missing with the card's own words.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bot import guard
from bot.errors import ModelFailed
from bot.grounding import LONGEST, MOST, Ground, Item, Piece, Role, Source, Verdict, clean, unfit, verify
from bot.ports import App, ChatModel, Listen, ModelAnswer
from bot.turns import Language
from prompts import Filled, fence, prompt

log = logging.getLogger(__name__)

RICH = 8000  # tokens of context from which a model is given more sources and writes every part itself
FIELDS: Mapping[str, Role] = {"reading": "reading", "ask": "ask", "steps": "step", "say": "say", "avoid": "caution"}
HEARD = 1200  # characters of the rep's words that the model reads


@dataclass(frozen=True)
class Brief:
    """What is to be written about: the rep's words, what is known from earlier turns, and the numbered sources."""

    message: str
    sources: Sequence[Source]
    known: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Drafted:
    """Pieces that passed every check, and the model that wrote them."""

    pieces: tuple[Piece, ...]
    model: str

    def of(self, role: Role) -> list[Piece]:
        return [piece for piece in self.pieces if piece.role == role]


async def draft(app: App, brief: Brief, language: Language) -> Drafted | None:
    """Ask, check, repair once. None if there is no model or nothing usable; the reason is logged, never raised."""
    if app.model is None or not brief.sources:
        return None
    if guard.instructs(brief.message):
        log.warning("no draft: the message gives the model instructions; the cards answer")
        return None
    try:
        return await _written(app, app.model, brief, language)
    except ModelFailed as error:
        log.warning("no draft: %s", error)
        return None


async def _written(app: App, model: ChatModel, brief: Brief, language: Language) -> Drafted:
    rich = app.settings.llm_context >= RICH
    request = _request(brief, language, rich)
    ground = Ground(brief.sources, brief.message, request.system + _instructions(request.message), language, app.retriever.similarity, rich)
    schema = _schema(brief, language, rich)
    listen = _listener(app, ground)
    answer = await model.answer(request.message, system=request.system, schema=schema, max_tokens=_room(rich), listen=listen)
    verdict = _checked(answer, ground)
    if not _usable(verdict):
        log.warning("draft of %s repaired once: %s", answer.model, "; ".join(verdict.problems) or "nothing usable")
        again = _repair(request, answer, verdict, language)
        answer = await model.answer(again.message, system=again.system, schema=schema, max_tokens=_room(rich))
        verdict = _checked(answer, ground)
    if not _usable(verdict):
        raise ModelFailed("unusable", "; ".join(verdict.problems) or "nothing usable")
    if verdict.problems:
        log.info("draft of %s: %s", answer.model, "; ".join(verdict.problems))
    return Drafted(tuple(verdict.pieces), answer.model)


def _usable(verdict: Verdict) -> bool:
    """At least two parts of the form, one of them more than general experience."""
    return not verdict.refused and len({p.role for p in verdict.pieces}) >= 2 and any(p.supported for p in verdict.pieces)


def _checked(answer: ModelAnswer, ground: Ground) -> Verdict:
    if answer.data is None:
        return Verdict(problems=["not a JSON object"])
    return verify(list(items(answer.data)), ground)


def items(data: Mapping[str, Any]) -> Iterator[Item]:
    """The model's items in whatever shape it gave them: ids, texts, or texts with ids; lists or single ones."""
    for key, role in FIELDS.items():
        value = data.get(key)
        for entry in value if isinstance(value, list) else [value]:
            if isinstance(entry, str) and re.fullmatch(r"\[?S\d+\]?", entry.strip()):
                yield Item(role, "", (entry.strip(),))
            elif isinstance(entry, str) and entry.strip():
                yield Item(role, entry)
            elif isinstance(entry, Mapping):
                yield _item(role, entry)


def _item(role: Role, entry: Mapping[str, Any]) -> Item:
    given = entry.get("from") or entry.get("sources") or []
    ids = [given] if isinstance(given, str) else given if isinstance(given, list) else []
    text = entry.get("text")
    return Item(role, text if isinstance(text, str) else "", tuple(str(item) for item in ids)[:6])


def _request(brief: Brief, language: Language, rich: bool) -> Filled:
    known = "\n".join(brief.known) or "–"
    return prompt(f"advise.{language}").fill(
        sources=fence("\n".join(f"{item.id} [{item.role}] {item.text}" for item in brief.sources)),
        known=fence(known),
        message=fence(brief.message[-HEARD:]),
        form=json.dumps(_form(brief, rich), ensure_ascii=False),
    )


def _instructions(message: str) -> str:
    """The message without what is fenced: the words that must not be repeated to anybody."""
    return re.sub(r"<<<(\w+)\n.*?\n\1>>>", "", message, flags=re.DOTALL)


def _repair(request: Filled, answer: ModelAnswer, verdict: Verdict, language: Language) -> Filled:
    problems = "\n".join(f"- {item}" for item in verdict.problems[:6]) or "- not usable"
    return prompt(f"repair.{language}").fill(request=request.message, answer=fence(answer.text[:1500]), problems=problems)


def _form(brief: Brief, rich: bool) -> dict[str, Any]:
    """An example of the answer's shape, with ids that exist."""
    form: dict[str, Any] = {}
    for key, role in _parts(brief, rich):
        mine = _ids(brief, role)
        written = {"text": "…", "from": mine[:1]}
        form[key] = written if role in ALONE else [written] if rich else mine[: MOST[role]]
    return form


ALONE = ("reading", "say")  # parts that even a small model writes itself, as one sentence


def _parts(brief: Brief, rich: bool) -> list[tuple[str, Role]]:
    """The parts of the form that there are sources for; to a big model every part is open."""
    return [(key, role) for key, role in FIELDS.items() if rich or _ids(brief, role)]


def _ids(brief: Brief, role: Role) -> list[str]:
    """The sources that a part of the form rests on first of all."""
    kinds = {"reading": ("cause", "passage")}.get(role, (role,))
    return [source.id for source in brief.sources if source.role in kinds]


def _schema(brief: Brief, language: Language, rich: bool) -> dict[str, Any]:
    """A small schema: a small model writes two sentences and picks the rest by id; a big one writes every part."""
    properties: dict[str, Any] = {}
    for key, role in _parts(brief, rich):
        mine = [source.id for source in brief.sources] if rich else _ids(brief, role)
        item = _written_item(mine, language) if rich or role in ALONE else {"type": "string", "enum": mine}
        most = min(MOST[role], len(mine))
        properties[key] = item if role in ALONE else {"type": "array", "items": item, "minItems": 1, "maxItems": most}
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def _written_item(ids: Sequence[str], language: Language) -> dict[str, Any]:
    """A sentence and the ids of what it rests on."""
    return {
        "type": "object",
        "properties": {
            "text": {"type": "string", "maxLength": LONGEST[language] - 10},
            "from": {"type": "array", "items": {"type": "string", "enum": list(ids)}, "minItems": 1, "maxItems": 2},
        },
        "required": ["text", "from"],
        "additionalProperties": False,
    }


def _room(rich: bool) -> int:
    return 900 if rich else 300


def _listener(app: App, ground: Ground) -> Listen | None:
    """Shows what is finished so far, as far as it may be seen at all; nobody watching, nothing to do."""
    shown = ""

    async def listen(text: str) -> None:
        nonlocal shown
        ready = "\n".join(line for line in finished(text) if not unfit(line, ground))
        if ready != shown:
            shown = ready
            await app.typing.show(ready)

    return listen


def finished(text: str) -> list[str]:
    """The sentences that are complete in a piece of JSON that is still being written."""
    found = re.findall(r"\"text\"\s*:\s*\"((?:[^\"\\]|\\.)*)\"", text)
    return [clean(json.loads(f'"{item}"', strict=False)) for item in found if not re.search(r"\\(?![\"\\/bfnrtu])", item)]
