"""Progress as pictures: skills by module, forecast of memory, a team's heat map, a certificate; light and dark, zh and en."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from bot.errors import SetupProblem

FONT = Path(__file__).parent / "fonts" / "NotoSansSC-subset.otf"
Theme = Literal["light", "dark"]


@dataclass(frozen=True, slots=True)
class Colours:
    paper: str
    ink: str
    faint: str
    grid: str
    strong: str
    soft: str
    warm: str


PALETTE: Mapping[Theme, Colours] = {
    "light": Colours("#ffffff", "#1f2933", "#616e7c", "#e4e7eb", "#0b7285", "#99d5dd", "#d9480f"),
    "dark": Colours("#16191d", "#e9ecef", "#adb5bd", "#343a40", "#3bc9db", "#1c5661", "#ff922b"),
}


def font() -> Path:
    """The bundled Chinese font; SetupProblem says what to do if it is gone."""
    if not FONT.exists():
        raise SetupProblem(f"The font {FONT} is missing, so pictures cannot show Chinese. Reinstall the program (make setup), or restore the file.")
    return FONT


class Sheet:
    """An empty picture in a theme, with our font, without global state (safe in threads)."""

    def __init__(self, theme: Theme, size: tuple[float, float]) -> None:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
        from matplotlib.font_manager import FontProperties

        self.colours = PALETTE[theme]
        self.font = FontProperties(fname=str(font()))
        self.figure = Figure(figsize=size, dpi=160, facecolor=self.colours.paper, layout="constrained")
        self.figure.get_layout_engine().set(w_pad=0.16, h_pad=0.16)  # type: ignore[union-attr, call-arg]
        FigureCanvasAgg(self.figure)

    def axes(self) -> Any:
        axes = self.figure.add_subplot()
        axes.set_facecolor(self.colours.paper)
        for side in axes.spines.values():
            side.set_visible(False)
        axes.tick_params(length=0, colors=self.colours.ink)
        return axes

    def title(self, axes: Any, text: str) -> None:
        axes.set_title(text, loc="left", color=self.colours.ink, fontproperties=self._sized(14), pad=14)

    def _sized(self, size: float) -> Any:
        font = self.font.copy()
        font.set_size(size)
        return font

    def dress(self, axes: Any, size: float = 10) -> None:
        """Our font and ink on every label of the axes."""
        for label in (*axes.get_xticklabels(), *axes.get_yticklabels()):
            label.set_fontproperties(self._sized(size))
            label.set_color(self.colours.ink)

    def write(self, axes: Any, x: float, y: float, text: str, size: float = 10, **options: Any) -> None:
        axes.text(x, y, text, fontproperties=self._sized(size), **{"color": self.colours.ink, **options})

    def save(self, path: Path) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.figure.savefig(path, facecolor=self.colours.paper, metadata={"Software": None})
        return path


def skill_bars(path: Path, title: str, rows: Sequence[tuple[str, float, float]], theme: Theme = "light", legend: tuple[str, str] = ("", "")) -> Path:
    """Bars by module: mastery (0–1) over the share that was started (0–1)."""
    sheet = Sheet(theme, (7, 1.3 + 0.5 * len(rows)))
    axes, colours = sheet.axes(), sheet.colours
    places = range(len(rows))
    axes.barh(places, [1] * len(rows), color=colours.grid, height=0.56)
    axes.barh(places, [started for _, _, started in rows], color=colours.soft, height=0.56, label=legend[1])
    axes.barh(places, [mastery for _, mastery, _ in rows], color=colours.strong, height=0.56, label=legend[0])
    for place, (_, mastery, _) in enumerate(rows):
        sheet.write(axes, 1.02, place, f"{mastery:.0%}", va="center")
    axes.set_yticks(list(places), [name for name, _, _ in rows])
    axes.set_xticks([])
    axes.set_xlim(0, 1.12)
    axes.invert_yaxis()
    sheet.dress(axes, 11)
    sheet.title(axes, title)
    _legend(sheet, axes)
    return sheet.save(path)


def paired_bars(
    path: Path, title: str, rows: Sequence[tuple[str, int, int]], labels: tuple[str, str], empty: str, theme: Theme = "light"
) -> Path:
    """Two bars for each name, now and before; without rows the picture says why it is `empty`."""
    sheet = Sheet(theme, (8, 0.5 * max(4, len(rows)) + 1.6))
    axes, colours = sheet.axes(), sheet.colours
    places = range(len(rows))
    axes.barh([place + 0.2 for place in places], [before for _, _, before in rows], 0.38, color=colours.soft, label=labels[1])
    axes.barh([place - 0.2 for place in places], [now for _, now, _ in rows], 0.38, color=colours.strong, label=labels[0])
    axes.set_yticks(list(places), [name if len(name) < 44 else name[:43] + "…" for name, _, _ in rows])
    axes.invert_yaxis()
    sheet.dress(axes, 10)
    sheet.title(axes, title)
    if rows:
        _legend(sheet, axes)
    else:
        axes.set_xticks([])
        sheet.write(axes, 0.5, 0.5, empty, 11, ha="center", va="center", transform=axes.transAxes)
    return sheet.save(path)


def _legend(sheet: Sheet, axes: Any) -> None:
    handles, _ = axes.get_legend_handles_labels()
    axes.legend(
        handles=list(reversed(handles)), loc="upper center", bbox_to_anchor=(0.5, -0.02), ncols=3, frameon=False,
        prop=sheet._sized(10), labelcolor=sheet.colours.ink,
    )  # fmt: skip


def forecast(
    path: Path, title: str, days: Sequence[float], kept: Sequence[float], left: Sequence[float], labels: tuple[str, str, str], theme: Theme = "light"
) -> Path:
    """Recall (0–1) over the coming days with reviews (`kept`) and without (`left`); labels: with, without, x axis."""
    sheet = Sheet(theme, (7, 3.8))
    axes, colours = sheet.axes(), sheet.colours
    axes.plot(days, kept, color=colours.strong, linewidth=2.6)
    axes.plot(days, left, color=colours.warm, linewidth=2.2, linestyle=(0, (5, 3)))
    for values, label, colour in ((kept, labels[0], colours.strong), (left, labels[1], colours.warm)):
        sheet.write(axes, days[-1] * 1.01, values[-1], f"{label} {values[-1]:.0%}", color=colour, va="center")
    axes.set_ylim(0, 1.02)
    axes.set_xlim(0, days[-1])
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0", "25%", "50%", "75%", "100%"])
    axes.grid(axis="y", color=colours.grid)
    axes.set_axisbelow(True)
    axes.set_xlabel(labels[2], fontproperties=sheet._sized(10), color=colours.faint)
    sheet.dress(axes)
    sheet.title(axes, title)
    return sheet.save(path)


def heat_map(path: Path, title: str, rows: Sequence[str], columns: Sequence[str], values: Sequence[Sequence[float | None]], theme: Theme = "light") -> Path:
    """Mastery (0–1) by person (rows) and module (columns); None = nothing to show."""
    from matplotlib.colors import LinearSegmentedColormap

    sheet = Sheet(theme, (2.4 + 0.95 * len(columns), max(3.3, 1.7 + 0.42 * len(rows))))
    axes, colours = sheet.axes(), sheet.colours
    blend = LinearSegmentedColormap.from_list("skill", [colours.grid, colours.soft, colours.strong])
    shades = blend.with_extremes(bad=colours.paper)
    table = [[float("nan") if value is None else value for value in row] for row in values]
    axes.imshow(table, cmap=shades, vmin=0, vmax=1, aspect="auto")
    for i, row in enumerate(values):
        for j, value in enumerate(row):
            colour = colours.faint if value is None else (colours.paper if value > 0.62 else colours.ink)
            sheet.write(axes, j, i, "–" if value is None else f"{value:.0%}", 9, ha="center", va="center", color=colour)
    axes.set_xticks(range(len(columns)), [_wrapped(name) for name in columns])
    axes.set_yticks(range(len(rows)), rows)
    axes.xaxis.tick_top()
    sheet.dress(axes, 9.5)
    axes.set_title(title, loc="left", color=colours.ink, fontproperties=sheet._sized(14), pad=16)
    return sheet.save(path)


def _wrapped(text: str, width: int = 12) -> str:
    """A column's name on lines of about that width (a Chinese character counts two)."""
    lines, used = [""], 0
    for piece in text.split(" ") if " " in text else list(text):
        size = sum(2 if char > "\u2e80" else 1 for char in piece) + (" " in text)
        if used and used + size > width:
            lines, used = [*lines, ""], 0
        lines[-1] += (" " if used and " " in text else "") + piece
        used += size
    return "\n".join(lines)


def certificate(path: Path, title: str, name: str, lines: Sequence[str], code: str, theme: Theme = "light") -> Path:
    """A certificate with a name, what was shown, and the code under which it can be verified."""
    sheet = Sheet(theme, (8, 5.4))
    axes, colours = sheet.axes(), sheet.colours
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.set_xticks([])
    axes.set_yticks([])
    for inset, width in ((0.0, 3.0), (0.018, 0.8)):
        axes.plot(
            [inset, 1 - inset, 1 - inset, inset, inset], [inset, inset, 1 - inset, 1 - inset, inset],
            color=colours.strong, linewidth=width, clip_on=False,
        )  # fmt: skip
    sheet.write(axes, 0.5, 0.84, title, 24, ha="center", va="center", color=colours.strong)
    sheet.write(axes, 0.5, 0.63, name, 26, ha="center", va="center")
    for n, line in enumerate(lines):
        sheet.write(axes, 0.5, 0.46 - 0.085 * n, line, 12, ha="center", va="center", color=colours.faint if n else colours.ink)
    sheet.write(axes, 0.5, 0.1, code, 13, ha="center", va="center", color=colours.strong)
    return sheet.save(path)


def missing_glyphs(texts: Sequence[str]) -> set[str]:
    """Characters that our font cannot show."""
    from matplotlib.ft2font import FT2Font

    known = FT2Font(str(font())).get_charmap()
    return {char for text in texts for char in text if char not in "\n" and ord(char) not in known}
