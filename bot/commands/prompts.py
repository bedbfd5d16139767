"""`coach prompts check`: are the prompt files in order? `coach prompts list` says what each is for."""

from __future__ import annotations

import argparse

import prompts


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", choices=["check", "list"], nargs="?", default="check")


def run(options: argparse.Namespace) -> int:
    failed = 0
    for name in prompts.names():
        try:
            found = prompts.prompt(name)
        except prompts.PromptProblem as error:
            failed += 1
            print(error)
            continue
        if options.what == "list":
            print(f"{name:12} v{found.version:3} {found.purpose}")
    if not failed and options.what == "check":
        print(f"{len(prompts.names())} prompts are in order")
    return 1 if failed else 0
