"""`coach completion SHELL`: a completion script for bash, zsh or fish."""

from __future__ import annotations

import argparse

SCRIPTS = {
    "bash": 'complete -W "{names}" coach',
    "zsh": "#compdef coach\n_arguments '1:command:({names})' '*:file:_files'",
    "fish": 'complete -c coach -n __fish_use_subcommand -a "{names}"',
}


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=sorted(SCRIPTS))


def run(options: argparse.Namespace) -> int:
    from bot.__main__ import COMMANDS

    print(SCRIPTS[options.shell].format(names=" ".join(COMMANDS)))
    return 0
