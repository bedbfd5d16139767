"""`coach glossary TERM`: what a term means, in both languages; without a term, all of them."""

from __future__ import annotations

import argparse
import json

from bot.errors import SetupProblem
from knowledge.glossary import Term, load_glossary


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("term", nargs="*", help="a term in Chinese or English, roughly is enough")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(options: argparse.Namespace) -> int:
    glossary, wanted = load_glossary(), " ".join(options.term)
    terms = glossary.look_up(wanted) if wanted else list(glossary.terms)
    if not terms:
        raise SetupProblem(f"The glossary has nothing like {wanted!r}. coach glossary lists all {len(glossary.terms)} terms.")
    if options.json:
        print(json.dumps([term.model_dump(mode="json") for term in terms], ensure_ascii=False, indent=2))
    elif wanted:
        print("\n\n".join(map(_entry, terms)))
    else:
        _list(terms)
    return 0


def _entry(term: Term) -> str:
    lines = [f"{term.zh[0]} · {term.en[0]}", f"  {term.means.zh}", f"  {term.means.en}"]
    if others := [*term.zh[1:], *term.en[1:]]:
        lines.append(f"  也说 / also: {'、'.join(term.zh[1:])}{' / ' if term.zh[1:] and term.en[1:] else ''}{', '.join(term.en[1:])}" if others else "")
    if term.wrong.zh or term.wrong.en:
        lines.append(f"  不写 / don't write: {', '.join((*term.wrong.zh, *term.wrong.en))}")
    return "\n".join(lines)


def _list(terms: list[Term]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("中文", "English", box=None)
    for term in terms:
        table.add_row(term.zh[0], term.en[0])
    Console(highlight=False).print(table)
