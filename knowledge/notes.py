"""A note is a team's own answer to messages that the playbook didn't cover: the messages, a title, a text."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection
from dataclasses import asdict, dataclass, replace

from knowledge.passages import Passage, language_of
from knowledge.shelf import Edition
from knowledge.splitting import LIMIT, Line, packed, size

ANSWER = "answer"  # `Passage.part` of a note: reused for messages that mean the same as its situations
MAX_SITUATIONS = 12


@dataclass(frozen=True, slots=True)
class Note:
    """`situations`: messages, in the askers' words, that the text answers."""

    id: str
    title: str
    text: str
    situations: tuple[str, ...] = ()


def note_id(seed: str) -> str:
    return f"note-{hashlib.sha256(seed.encode()).hexdigest()[:10]}"


def title_for(text: str) -> str:
    """The first statement of a text, short enough for a title."""
    first = re.split(r"[。！？!?\n]|\. ", text.strip(), maxsplit=1)[0].strip()
    limit = 24 if language_of(first) == "zh" else 48
    return first if len(first) <= limit else first[: limit - 1].rstrip() + "…"


def note_edition(note: Note, *, details: dict[str, object] | None = None) -> Edition:
    """The note as a document of one passage for each 600 characters; the situations travel as its heading."""
    texts = [note.text] if size(note.text) <= LIMIT else list(packed([Line(part) for part in note.text.split("\n")]))
    heading = "\n".join(note.situations[:MAX_SITUATIONS]) or note.title
    passages = tuple(
        Passage(f"{note.id}/{i}", text, note.title, language_of(text), note.title, note.id, part=ANSWER, heading=heading)
        for i, text in enumerate(texts, 1)
    )
    content = json.dumps(asdict(note), ensure_ascii=False)
    sha256 = hashlib.sha256(content.encode()).hexdigest()
    return Edition(note.id, "document", note.title, content, sha256, passages, source="note", details={"note": True, **(details or {})})


def without(note: Note, gone: Collection[str]) -> Note:
    """The note without the messages whose words are `gone`; a title that was made of one is made anew."""
    lines = {_letters(line) for text in gone for line in (text, *text.split("\n"))} - {""}
    kept = tuple(item for item in note.situations if _letters(item) not in lines and not any(_letters(text) in _letters(item) for text in gone))
    told = note.title in {title_for(text) for text in gone}
    return replace(note, situations=kept, title=title_for(kept[0] if kept else note.text) if told else note.title)


def _letters(text: str) -> str:
    return re.sub(r"\W+", "", text).lower()


def note_of(content: str) -> Note:
    """The note that an edition's content holds."""
    data = json.loads(content)
    return Note(data["id"], data["title"], data["text"], tuple(data["situations"]))
