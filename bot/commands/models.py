"""`coach models`: which embedding models are here, whether one works, and bringing one here beforehand."""

from __future__ import annotations

import argparse
import time

from bot.commands import settings_of
from bot.errors import SetupProblem

QUESTIONS = ("客户说太贵了", "The customer says it is too expensive")
ANSWERS = ("价格异议怎么处理", "How to handle a price objection", "今天天气很好", "The weather is nice today")


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", nargs="?", choices=("list", "check", "fetch"), default="list")
    parser.add_argument("name", nargs="?", help="a name of the hub or a folder (default: COACH_EMBEDDING_MODEL)")


def run(options: argparse.Namespace) -> int:
    from knowledge.embedders import fetch_model

    configured = settings_of(options).embedding_model
    if options.action == "list":
        return _list(configured)
    if options.action == "fetch":
        if options.name is None:
            raise SetupProblem("Which model? Write its name: `coach models fetch BAAI/bge-m3`.")
        fetch_model(options.name)
        print(f"{options.name} is here. Use it with COACH_EMBEDDING_MODEL={options.name}, then `coach reindex`.")
        return 0
    return _check(options.name or configured)


def _list(configured: str) -> int:
    from knowledge.embedders import BUNDLED, cached_models

    for name in dict.fromkeys([BUNDLED, *cached_models(), configured]):
        note = "in the package: zh and en, 512 dimensions, no download" if name == BUNDLED else ""
        print(f"{'*' if name == configured else ' '} {name}  {note}".rstrip())
    print("* = in use (COACH_EMBEDDING_MODEL). Any sentence-transformers model can be named; `coach models check NAME` tries it.")
    return 0


def _check(name: str) -> int:
    """Load the model, time it, and see whether it brings questions and answers of both languages together."""
    from knowledge.embedders import open_embedder

    started = time.perf_counter()
    embedder = open_embedder(name, fetch=False)
    loaded = time.perf_counter() - started
    answers = embedder.documents(ANSWERS)
    started = time.perf_counter()
    scores = [answers @ embedder.query(question) for question in QUESTIONS]
    each = (time.perf_counter() - started) / len(QUESTIONS) * 1000
    print(f"{name}: {embedder.fingerprint}, {embedder.dimension} dimensions, loaded in {loaded:.1f} s, {each:.1f} ms a question")
    pairs = {"zh → zh": scores[0][0] - scores[0][2], "en → en": scores[1][1] - scores[1][3], "zh → en": scores[0][1] - scores[0][3], "en → zh": scores[1][0] - scores[1][2]}
    for pair, margin in pairs.items():
        print(f"  {pair}: {'ok' if margin > 0.05 else 'weak'} (the right answer is ahead by {margin:+.2f})")
    return 0 if all(margin > 0.05 for margin in pairs.values()) else 1
