"""What we ask language models, as files that anybody can read and edit: named blanks, a version, two parts.

A prompt file has a header (`version`, `purpose`, `blanks`), a `# system` part (rules, always the same, so that
servers can cache it) and a `# message` part (with the blanks, written `$name`).
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from string import Template

FOLDER = Path(__file__).parent


class PromptProblem(ValueError):
    """A prompt file, or the way it is used, is wrong: the text names file, reason and cure."""


@dataclass(frozen=True, slots=True)
class Filled:
    """A prompt ready to be sent."""

    system: str
    message: str
    name: str = ""
    version: str = ""


@dataclass(frozen=True, slots=True)
class Prompt:
    name: str
    version: str
    purpose: str
    blanks: frozenset[str]
    system: str
    message: str

    def fill(self, **values: str) -> Filled:
        """The prompt with its blanks filled; raises `PromptProblem` unless the names match exactly."""
        if values.keys() != self.blanks:
            missing, extra = sorted(self.blanks - values.keys()), sorted(values.keys() - self.blanks)
            raise PromptProblem(f"prompts/{self.name}.md: blanks not filled: {missing}; values without a blank: {extra}")
        return Filled(self.system, Template(self.message).substitute(values), self.name, self.version)


@cache
def prompt(name: str) -> Prompt:
    """The prompt `prompts/<name>.md`. Read once."""
    path = FOLDER / f"{name}.md"
    if not path.is_file():
        raise PromptProblem(f"prompts/{name}.md does not exist; there are: {', '.join(names())}")
    return read(path.read_text(encoding="utf-8"), name)


def names() -> list[str]:
    return sorted(path.stem for path in FOLDER.glob("*.md") if path.stem != "README")


def read(source: str, name: str) -> Prompt:
    """A prompt from the text of its file. Raises `PromptProblem` with file, reason and cure."""

    def wrong(why: str, cure: str) -> PromptProblem:
        return PromptProblem(f"prompts/{name}.md: {why}; {cure}")

    match = re.fullmatch(r"---\n(.*?)\n---\n+# system\n(.*?)\n# message\n(.*)", source.replace("\r\n", "\n"), re.DOTALL)
    if not match:
        raise wrong("not header, `# system`, `# message` in this order", "start from one of the other prompts")
    header = dict(line.partition(":")[::2] for line in match.group(1).split("\n") if line.strip())
    if header.keys() != {"version", "purpose", "blanks"}:
        raise wrong(f"the header has {sorted(header)}", "write `version:`, `purpose:` and `blanks:`, one a line")
    declared = frozenset(header["blanks"].replace(",", " ").split())
    system, message = match.group(2).strip(), match.group(3).strip()
    if stray := _blanks(system, wrong):
        raise wrong(f"the system part has the blanks {sorted(stray)}", "rules stay the same for everybody: move the blanks to `# message`")
    if (used := _blanks(message, wrong)) != declared:
        raise wrong(f"declared but not used: {sorted(declared - used)}; used but not declared: {sorted(used - declared)}", "make both lists equal")
    return Prompt(name, header["version"].strip(), header["purpose"].strip(), declared, system, message)


def _blanks(text: str, wrong: Callable[[str, str], PromptProblem]) -> frozenset[str]:
    template = Template(text)
    if not template.is_valid():
        raise wrong("a `$` that starts no name", "write `$$` for a dollar sign")
    return frozenset(template.get_identifiers())


def fence(text: str, mark: str | None = None) -> str:
    """Text between two marks that nobody can guess, so that it is read as data: what looks like a mark is taken out."""
    mark = mark or secrets.token_hex(4)
    return f"<<<{mark}\n{re.sub(r'<<<+|>>>+', '', text)}\n{mark}>>>"
