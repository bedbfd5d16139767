"""A note is a team's own answer to messages that the playbook didn't cover: the messages, a title, a text."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass

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


def note_of(content: str) -> Note:
    """The note that an edition's content holds."""
    data = json.loads(content)
    return Note(data["id"], data["title"], data["text"], tuple(data["situations"]))
