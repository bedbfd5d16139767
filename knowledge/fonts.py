"""One typeface for every picture, with Chinese and Latin letters, so that no label turns into empty boxes."""

from __future__ import annotations

from functools import cache
from pathlib import Path

FILE = Path(__file__).parent / "content" / "fonts" / "NotoSansSC-subset.otf"


@cache
def family() -> str:
    """The family name to give to matplotlib (`font.family`); the bundled file is registered on the first call."""
    from matplotlib import font_manager

    font_manager.fontManager.addfont(str(FILE))
    return font_manager.FontProperties(fname=str(FILE)).get_name()
