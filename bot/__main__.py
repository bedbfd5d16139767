"""The command line: `coach <command>`, or `python -m bot <command>`. A command is a line in `COMMANDS`."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

# Before numpy is loaded anywhere: one BLAS thread is 70 times faster here, and nothing phones home or fetches models.
for _key, _value in {
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "HF_HUB_OFFLINE": "1",
    "ANONYMIZED_TELEMETRY": "False",
    "LANGSMITH_TRACING": "false",
    "LANGCHAIN_TRACING_V2": "false",
}.items():
    os.environ[_key] = _value

# command → (module in bot/commands with `configure` and `run`, what it does)
COMMANDS: dict[str, tuple[str, str]] = {
    "chat": ("chat", "talk to the coach in this terminal"),
    "telegram": ("telegram", "run the Telegram bot"),
    "people": ("people", "who may use the bot: list, invite, roles, remove, claim"),
    "ask": ("ask", "answer one question, or a batch"),
    "search": ("search", "search passages, for one question or a batch"),
    "topics": ("topics", "list the playbook's topics"),
    "card": ("card", "show a card"),
    "ingest": ("ingest", "add documents or passages to the playbook"),
    "docs": ("desk", "list what is published: documents, drafts, versions"),
    "publish": ("desk", "publish a draft"),
    "rollback": ("desk", "go back to an earlier version"),
    "retire": ("desk", "take a document off the shelf"),
    "gaps": ("desk", "list questions that lack an answer, or answer one"),
    "report": ("desk", "a week of questions as picture and table"),
    "glossary": ("glossary", "what a term means"),
    "lint": ("lint", "check cards and other content"),
    "score": ("score", "score talks from transcripts"),
    "roleplay": ("roleplay", "play lines against a scenario, in batch"),
    "reindex": ("reindex", "rebuild the search views"),
    "models": ("models", "list, check or fetch embedding models"),
    "eval": ("eval", "measure answers against a golden set"),
    "check-quiz": ("check_quiz", "check quiz questions against their passages"),
    "backup": ("backup", "write everything to one file"),
    "restore": ("restore", "fill an empty data directory or database from a backup"),
    "verify": ("verify", "check a backup, or the data directory, for damage"),
    "migrate": ("migrate", "bring the database to this program's schema"),
    "doctor": ("doctor", "check settings, data, views and model, and say what to do"),
    "prompts": ("prompts", "check the prompt files"),
    "completion": ("completion", "print a shell completion script"),
}

IN_CHAT = ("quiz", "progress", "path", "history", "privacy")  # asked for here, but they live in the chat


def parser(only: str | None = None) -> argparse.ArgumentParser:
    """The argument parser; with `only`, just that command's options are loaded (the others stay names)."""
    top = argparse.ArgumentParser(prog="coach", description="Sales coach for key accounts (中文 / English).")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, (module, text) in COMMANDS.items():
        sub = commands.add_parser(name, help=text, description=text)
        if name == only:
            _shared_options(sub)
            importlib.import_module(f"bot.commands.{module}").configure(sub)
    return top


def _shared_options(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--data", type=Path, metavar="DIR", help="data directory (default: COACH_DATA_DIR or .coach)")
    sub.add_argument("--model", metavar="NAME", help="language model (provider:model), or none")
    sub.add_argument("--verbose", action="store_true", help="log more")


def main(arguments: Sequence[str] | None = None) -> int:
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words[:1] in (["--version"], ["-V"]):
        from importlib.metadata import version

        print(version("key-account-coach"))
        return 0
    if words[:1] and words[0] in IN_CHAT:
        print(f"coach: /{words[0]} is a command of the chat. Start `coach chat` and type /{words[0]} there.", file=sys.stderr)
        return 2
    name = words[0] if words and words[0] in COMMANDS else None
    options = parser(name).parse_args(words)
    from bot.commands import run_command

    return run_command(COMMANDS[options.command][0], options)


if __name__ == "__main__":
    sys.exit(main())
