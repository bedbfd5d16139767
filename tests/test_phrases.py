"""The bot's own words exist in both languages, with the same blanks."""

import string
from pathlib import Path

import pytest

from bot.conversation import COMMANDS
from bot.guard import KINDS
from bot.people import PERMISSIONS
from bot.phrases import FOLDER, blanks, phrases, say
from bot.settings import Settings


def test_both_languages_have_the_same_keys() -> None:
    assert phrases("zh").keys() == phrases("en").keys()


@pytest.mark.parametrize("key", sorted(phrases("zh")))
def test_both_languages_have_the_same_blanks(key: str) -> None:
    assert blanks(phrases("zh")[key]) == blanks(phrases("en")[key])


def test_no_english_phrase_contains_chinese() -> None:
    mixed = [key for key, text in phrases("en").items() if any("\u4e00" <= char <= "\u9fff" for char in text) and "language" not in key]
    assert mixed == []


def test_a_wrong_set_of_blanks_fails_loudly() -> None:
    with pytest.raises(KeyError):
        say("zh", "core.no_card")
    with pytest.raises(KeyError):
        say("zh", "core.no_card", id="x", more="y")
    with pytest.raises(KeyError):
        say("en", "core.no_such_phrase")


def test_every_command_is_permitted_to_somebody_and_explained() -> None:
    for name in COMMANDS:
        assert PERMISSIONS.get(name), name
        assert f"core.help_{name}" in phrases("zh"), name


def test_every_kind_of_refusal_has_all_its_lines() -> None:
    for kind in KINDS:
        for part in ("decline", "why", "route", "line"):
            assert f"guard.{kind.replace('-', '_')}_{part}" in phrases("en")


def test_env_example_names_exactly_the_settings() -> None:
    lines = (Path(FOLDER).parents[1] / ".env.example").read_text("utf-8").splitlines()
    keys = {line.split("=")[0] for line in lines if "=" in line and not line.startswith("#")}
    assert keys == {f"COACH_{name.upper()}" for name in Settings.model_fields}


def test_the_values_of_env_example_are_accepted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    example = Path(FOLDER).parents[1] / ".env.example"
    settings = Settings(_env_file=example)  # type: ignore[call-arg]
    defaults = Settings(_env_file=None)  # type: ignore[call-arg]
    differing = {name for name in Settings.model_fields if (getattr(settings, name) or None) != (getattr(defaults, name) or None)}
    assert differing == set()


def test_placeholders_are_plain_names() -> None:
    for language in ("zh", "en"):
        for text in phrases(language).values():
            assert all(name is None or name.isidentifier() for _, name, _, _ in string.Formatter().parse(text))
