"""`coach lint`: check cards and other content; every mistake with file, line, reason and cure."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from bot.errors import ContentProblem, ContentProblems
from knowledge.cards import BUNDLED
from knowledge.glossary import FILE as GLOSSARY
from knowledge.glossary import load_glossary
from knowledge.lint import lint_folder
from knowledge.scenarios import BUNDLED as SCENARIOS
from knowledge.scenarios import lint_scenarios


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("paths", nargs="*", type=Path, help="files or folders (default: the bundled playbook and scenarios)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--fast", action="store_true", help="without the rules that need the embedder")


def run(options: argparse.Namespace) -> int:
    problems: list[ContentProblem] = []
    for path in options.paths or [BUNDLED, SCENARIOS]:
        try:
            problems += _lint(path, search=not options.fast)
        except ContentProblems as error:
            problems += error.problems
    if options.json:
        print(json.dumps([{"path": p.path, "line": p.line, "what": p.what, "fix": p.fix} for p in problems], ensure_ascii=False, indent=2))
    else:
        print("\n".join(map(str, problems)) if problems else "all content is in order")
    return 1 if problems else 0


def _lint(path: Path, *, search: bool) -> Sequence[ContentProblem]:
    if path.name == GLOSSARY.name:
        load_glossary(path)  # raises what is wrong with it
        return []
    return lint_scenarios(path) if _holds_scenarios(path) else lint_folder(path, search=search)


def _holds_scenarios(path: Path) -> bool:
    """Scenarios are YAML files, cards are Markdown."""
    return path.suffix == ".yaml" or (path.is_dir() and any(path.glob("*.yaml")) and not any(path.glob("*.md")))
