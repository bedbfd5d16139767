"""The words of the trade in both languages: what a term means, what else it is called, and what not to call it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import yaml

from knowledge.cards import Aliases, Both, Line, Part
from knowledge.keywords import normalise
from knowledge.passages import Language, language_of
from knowledge.problems import ContentProblem, ContentProblems
from knowledge.wording import unquoted, words_of

FILE = Path(__file__).parent / "content" / "glossary.yaml"
ALIKE = 0.6  # how much of a name must agree for a guess, 0–1
LONG = {"zh": 2, "en": 4}  # shortest name that is also looked for inside other names


class Term(Part):
    """An entry. The first name of a language is the one that we write."""

    zh: tuple[Line, ...]
    en: tuple[Line, ...]
    wrong: Aliases = Aliases(zh=(), en=())
    means: Both

    def names(self, language: Language) -> tuple[str, ...]:
        return self.zh if language == "zh" else self.en


@dataclass(frozen=True)
class Glossary:
    """All terms, in the order of their file."""

    terms: tuple[Term, ...]

    @cached_property
    def _by_name(self) -> dict[str, Term]:
        """By every name, wrong wordings too: who asks for one wants the term."""
        right = {normalise(name): term for term in reversed(self.terms) for name in (*term.en, *term.zh)}
        wrong = {normalise(name): term for term in self.terms for name in (*term.wrong.en, *term.wrong.zh)}
        return wrong | right

    @cached_property
    def _wrong(self) -> dict[Language, dict[str, str]]:
        """By language: what not to write → what to write."""
        languages: tuple[Language, ...] = ("zh", "en")
        return {language: {word: term.names(language)[0] for term in self.terms for word in term.wrong.texts(language)} for language in languages}

    def look_up(self, text: str, limit: int = 5) -> list[Term]:
        """The terms that somebody may mean, best first: the exact name, names within it or around it, similar names."""
        wanted = normalise(text)
        if not wanted:
            return []
        if exact := self._by_name.get(wanted):
            return [exact]
        inside = [name for name in self._by_name if wanted in name or (len(name) >= LONG[language_of(name)] and name in wanted)]
        near = difflib.get_close_matches(wanted, self._by_name, limit, ALIKE)
        names = [*sorted(inside, key=lambda name: abs(len(name) - len(wanted))), *near]
        return list({id(self._by_name[name]): self._by_name[name] for name in names}.values())[:limit]

    def terms_in(self, text: str) -> list[Term]:
        """The terms that a text uses, under any of their names."""
        wanted = normalise(text)
        return [term for term in self.terms if words_of(wanted, [n.lower() for n in term.zh], "zh") or words_of(wanted, term.en, "en")]

    def wrong_words(self, text: str, language: Language) -> Iterator[tuple[str, str]]:
        """Wordings that we don't use, each with the one to write. What stands in quotation marks is other people's."""
        right = self._wrong[language]
        for word in words_of(unquoted(text), tuple(right), language):
            yield word, right[word]


@cache
def load_glossary(path: Path = FILE) -> Glossary:
    """The glossary of a file. Raises ContentProblems with the line of each mistake."""
    source = path.read_text(encoding="utf-8-sig")
    try:
        rows = yaml.load(source, Loader=yaml.CSafeLoader) or []
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ContentProblems([ContentProblem(str(path), line, f"YAML: {error.problem}", "put texts with : # , or quotes between double quotes")]) from None
    starts = [number for number, text in enumerate(source.split("\n"), 1) if re.match(r"- ", text)]
    problems = list(_problems(rows, starts, path))
    if problems:
        raise ContentProblems(problems)
    return Glossary(tuple(Term.model_validate(row) for row in rows))


def _problems(rows: Sequence[Any], starts: Sequence[int], path: Path) -> Iterator[ContentProblem]:
    """Entries that lack something, and names that stand for two terms."""
    seen: dict[str, int] = {}
    for line, row in zip(starts, rows, strict=False):
        try:
            term = Term.model_validate(row)
        except ValueError as error:
            first = getattr(error, "errors", list)()[0]
            where = ".".join(map(str, first["loc"])) or "term"
            yield ContentProblem(str(path), line, f"{where}: {first['msg']}", "an entry has zh, en (lists of names) and means (zh, en)")
            continue
        if not (term.zh and term.en):
            yield ContentProblem(str(path), line, "a term without a name in one language", "give at least one name in zh and in en")
        for name in {normalise(name) for name in (*term.zh, *term.en)}:
            if name in seen:
                yield ContentProblem(str(path), line, f"{name!r} also names the term in line {seen[name]}", "keep it in one of them")
            seen.setdefault(name, line)
