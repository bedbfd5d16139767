"""Pictures: every kind in both themes has its size, shows every character, and the text that it should."""

from collections.abc import Callable
from pathlib import Path

import pytest

from bot import charts
from bot.errors import SetupProblem
from bot.phrases import phrases
from knowledge.path import load_path

MODULES = [module.title for module in load_path()]
BARS = [(title.zh, 0.1 * n, min(1.0, 0.2 * n)) for n, title in enumerate(MODULES)]
DRAWN: dict[str, Callable[[Path, charts.Theme], Path]] = {
    "skills": lambda path, theme: charts.skill_bars(path, "我的掌握程度", BARS, theme, ("掌握", "开始学")),
    "forecast": lambda path, theme: charts.forecast(path, "未来", list(range(31)), [0.9] * 31, [0.9 - 0.01 * n for n in range(31)], ("按时复习", "不复习", "天"), theme),
    "team": lambda path, theme: charts.heat_map(path, "Team", ["Amy", "李雷"], [title.en for title in MODULES], [[0.5, None] * 4, [0.9, 0.1] * 4], theme),
    "certificate": lambda path, theme: charts.certificate(path, "结业证书", "李晓雯", ["已掌握", "2026-11-23"], "ABCD-EFGH-JKMN", theme),
}


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("kind", sorted(DRAWN))
def test_every_picture_is_drawn_without_a_missing_glyph(tmp_path: Path, kind: str, theme: charts.Theme) -> None:
    from matplotlib.image import imread

    picture = imread(DRAWN[kind](tmp_path / f"{kind}.png", theme))  # a missing glyph is a warning, and warnings are errors here
    height, width = picture.shape[:2]
    assert 800 <= width <= 2600 and 500 <= height <= 2600
    paper = picture[4, width // 2, :3] if kind != "certificate" else picture[2, 2, :3]
    assert (paper.mean() > 0.9) == (theme == "light")
    assert picture[:, :, :3].std() > 0.03, "something is drawn"


def test_the_same_data_make_the_same_picture(tmp_path: Path) -> None:
    first, second = (DRAWN["skills"](tmp_path / f"{n}.png", "light").read_bytes() for n in (1, 2))
    assert first == second


def test_our_own_words_can_all_be_drawn() -> None:
    texts = [text for language in ("zh", "en") for key, text in phrases(language).items() if key.startswith(("progress.", "teaching."))]
    assert charts.missing_glyphs([*texts, *(title.text("zh") for title in MODULES)]) == set()
    assert charts.missing_glyphs(["𠮷"]) == {"𠮷"}


def test_a_missing_font_is_said_with_its_cure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(charts, "FONT", tmp_path / "gone.otf")
    with pytest.raises(SetupProblem, match="make setup"):
        charts.font()
