"""The playbook as a picture and as a tree: groups at both sides, lines for what belongs together or is confused."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bot.charts import Sheet, Theme
from bot.phrases import say
from bot.turns import LANGUAGES, Language
from knowledge.atlas import Atlas, Pair
from knowledge.cards import Both
from knowledge.path import Module

GROUP_COLOURS: Mapping[Theme, tuple[str, ...]] = {
    "light": ("#0b7285", "#5f3dc4", "#2b8a3e", "#a61e4d", "#1864ab", "#846100", "#c92a2a", "#495057", "#087f5b"),
    "dark": ("#3bc9db", "#b197fc", "#69db7c", "#f783ac", "#74c0fc", "#ffd43b", "#ff8787", "#ced4da", "#38d9a9"),
}
REACH = 8.5  # half the width between the two columns of topics, in rows
HEADING, GAP = 1.0, 0.55  # rows that a group's heading and the space before it take


@dataclass(frozen=True, slots=True)
class Spot:
    """Where a topic stands: x is ±REACH, y grows downwards in rows."""

    x: float
    y: float
    colour: str


def words(both: Both, languages: Sequence[Language]) -> str:
    return " · ".join(dict.fromkeys(short(both.text(language)) for language in languages))


def short(title: str) -> str:
    """A title without what explains it: a bracket at its end, what follows a colon (unless that is the point of it)."""
    title = re.sub(r"\s*[（(][^（(]*[)）]$", "", title)
    head, _, rest = title.replace("：", ": ").partition(": ")
    if head in ("误区", "Misconception"):
        return title
    return rest.split("，")[0] if head == "分歧原因" else head


# ------------------------------------------------------------------ in a terminal


def tree(atlas: Atlas, languages: Sequence[Language] = LANGUAGES) -> Any:
    """A rich Tree of groups and topics with what each is confused with and leads to, and the holes at the end."""
    from rich.text import Text
    from rich.tree import Tree

    top = Tree(Text(both_say(languages, "map.title", count=len(atlas.cards)), "bold"))
    for group in atlas.groups:
        branch = top.add(Text(f"{words(group.title, languages)} ({len(group.cards)})", "bold cyan"))
        for card_id in group.cards:
            leaf = branch.add(Text.assemble(words(atlas.cards[card_id].title, languages), (f"  {card_id}", "dim")))
            for sign, style, pairs in (("≠", "yellow", atlas.contrasts), ("~", "dim", atlas.related)):
                if names := atlas.neighbours(card_id, pairs):
                    leaf.add(Text(f"{sign} {', '.join(names)}", style))
    _add_holes(top, atlas, languages)
    return top


def _add_holes(top: Any, atlas: Atlas, languages: Sequence[Language]) -> None:
    from rich.text import Text

    for kind in ("planned", "pair", "alone", "untrained"):
        if holes := atlas.holes_of(kind):
            branch = top.add(Text(f"○ {both_say(languages, f'map.{kind}')} ({len(holes)})", "bold red"))
            for hole in holes:
                title = hole.title or atlas.cards[hole.ids[0]].title
                branch.add(Text.assemble(words(title, languages), (f"  {' ≠ '.join(hole.ids)}", "dim")))
    if not atlas.holes:
        top.add(both_say(languages, "map.none"))


def both_say(languages: Sequence[Language], key: str, **values: object) -> str:
    return " · ".join(say(language, key, **values) for language in languages)


# ------------------------------------------------------------------ as a picture


def draw(path: Path, atlas: Atlas, languages: Sequence[Language] = LANGUAGES, theme: Theme = "light") -> Path:
    """A PNG of the atlas."""
    sides = _sides(atlas.groups)
    rows = max(_rows(side) for side in sides)
    sheet = Sheet(theme, (20, 0.42 * rows + 2.6))
    axes = sheet.axes()
    axes.set_axis_off()
    axes.set_xlim(-REACH - 12, REACH + 12)
    axes.set_ylim(rows + 3.4, -2.2)
    spots = {card: spot for side, x in zip(sides, (-REACH, REACH), strict=True) for card, spot in _places(atlas.groups, side, x, rows, GROUP_COLOURS[theme])}
    _lines(axes, spots, [pair for pair in atlas.related if pair not in set(atlas.contrasts)], sheet.colours.strong, 0.9, 0.4)
    sharp = {(min(pair), max(pair)) for pair in atlas.confusable}
    _lines(axes, spots, [pair for pair in atlas.contrasts if pair not in sharp], sheet.colours.warm, 0.8, 0.32)
    _lines(axes, spots, list(sharp), sheet.colours.warm, 2.4, 0.95)
    for side, x in zip(sides, (-REACH, REACH), strict=True):
        _labels(sheet, axes, atlas, side, spots, x, languages)
    _legend(sheet, axes, atlas, rows, languages)
    sheet.write(axes, -REACH - 12, -1.6, both_say(languages, "map.title", count=len(atlas.cards)), 19, va="center")
    return _lighter(sheet.save(path))


def _lighter(path: Path) -> Path:
    """A quarter of the size: the picture has few colours."""
    from PIL import Image

    with Image.open(path) as picture:
        small = picture.convert("P", palette=Image.Palette.ADAPTIVE, colors=128)
    small.save(path, optimize=True)
    return path


def _sides(groups: Sequence[Module]) -> tuple[list[Module], list[Module]]:
    """The groups in order, cut where the two halves are most alike."""
    cut = min(range(1, max(2, len(groups))), key=lambda n: abs(_rows(groups[:n]) - _rows(groups[n:])))
    return list(groups[:cut]), list(groups[cut:])


def _rows(groups: Sequence[Module]) -> float:
    return sum(len(group.cards) + HEADING + GAP for group in groups)


def _places(every: Sequence[Module], side: Sequence[Module], x: float, rows: float, colours: Sequence[str]) -> Iterator[tuple[str, Spot]]:
    y, step = 0.0, rows / max(1.0, _rows(side))  # both columns fill the height
    for group in side:
        y += (HEADING + GAP) * step
        for card in group.cards:
            yield card, Spot(x, y, colours[every.index(group) % len(colours)])
            y += step


def _lines(axes: Any, spots: dict[str, Spot], pairs: Sequence[Pair], colour: str, width: float, strength: float) -> None:
    """Curves between topics; within a column they bow inwards, the further apart the deeper."""
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path as Curve

    for one, other in pairs:
        a, b = spots[one], spots[other]
        depth = REACH * 0.55 if a.x != b.x else min(REACH * 0.85, 1.4 + 0.42 * abs(a.y - b.y))
        points = [(a.x, a.y), (a.x - _sign(a.x) * depth, a.y), (b.x - _sign(b.x) * depth, b.y), (b.x, b.y)]
        curve = Curve(points, [Curve.MOVETO, Curve.CURVE4, Curve.CURVE4, Curve.CURVE4])
        axes.add_patch(PathPatch(curve, fill=False, edgecolor=colour, linewidth=width, alpha=strength, capstyle="round"))


def _sign(x: float) -> float:
    return 1.0 if x > 0 else -1.0


def _labels(sheet: Sheet, axes: Any, atlas: Atlas, groups: Sequence[Module], spots: dict[str, Spot], x: float, languages: Sequence[Language]) -> None:
    side, untrained = _sign(x), {hole.ids[0] for hole in atlas.holes_of("untrained")}
    align = "left" if side > 0 else "right"
    for group in groups:
        first = spots[group.cards[0]]
        sheet.write(axes, x + side * 0.45, first.y - 1.02, words(group.title, languages), 13.5, ha=align, va="center", color=first.colour)
        for card in group.cards:
            spot = spots[card]
            fill = sheet.colours.paper if card in untrained else spot.colour
            axes.plot(spot.x, spot.y, "o", markersize=8, markerfacecolor=fill, markeredgecolor=spot.colour, markeredgewidth=1.6, zorder=3)
            _name(sheet, axes, x + side * 0.45, spot.y, atlas.cards[card].title, languages, align)


def _name(sheet: Sheet, axes: Any, x: float, y: float, title: Both, languages: Sequence[Language], align: str) -> None:
    """The title; with two languages the second smaller and fainter behind the first (before it at the left side)."""
    texts = [short(title.text(language)) for language in languages]
    if len(texts) == 1:
        sheet.write(axes, x, y, texts[0], 11.5, ha=align, va="center")
        return
    sheet.write(axes, x, y - 0.2, texts[0], 11.5, ha=align, va="center")
    sheet.write(axes, x, y + 0.24, texts[1], 8.5, ha=align, va="center", color=sheet.colours.faint)


def _legend(sheet: Sheet, axes: Any, atlas: Atlas, rows: float, languages: Sequence[Language]) -> None:
    left, y = -REACH - 12, rows + 1.0
    colours = sheet.colours
    lines = (("confusable", colours.warm, 2.4, 0.95), ("contrast", colours.warm, 0.9, 0.5), ("related", colours.strong, 1.0, 0.6))
    for n, (key, colour, width, strength) in enumerate(lines):
        axes.plot([left, left + 1.4], [y + 0.8 * n] * 2, color=colour, linewidth=width, alpha=strength)
        sheet.write(axes, left + 1.8, y + 0.8 * n, both_say(languages, f"map.{key}"), 10.5, va="center")
    for n, (key, fill) in enumerate((("trained", colours.faint), ("untrained", colours.paper))):
        axes.plot(left + 13.2, y + 0.8 * n, "o", markersize=8, markerfacecolor=fill, markeredgecolor=colours.faint, markeredgewidth=1.6)
        sheet.write(axes, left + 13.8, y + 0.8 * n, both_say(languages, f"map.{key}"), 10.5, va="center")
    _planned(sheet, axes, atlas, left + 23.6, y, languages)


def _planned(sheet: Sheet, axes: Any, atlas: Atlas, x: float, y: float, languages: Sequence[Language]) -> None:
    """The holes: titles of topics that nobody has written, in a dashed frame."""
    titles = [words(hole.title, languages) for hole in atlas.holes_of("planned") if hole.title]
    if not titles:
        return
    sheet.write(axes, x, y - 0.1, f"{both_say(languages, 'map.planned')} ({len(titles)})", 10.5, va="center", color=sheet.colours.warm)
    for n, title in enumerate(titles):
        place = x + 10.2 * (n % 2), y + 0.72 * (1 + n // 2)
        frame = {"boxstyle": "round,pad=0.25", "facecolor": "none", "edgecolor": sheet.colours.faint, "linestyle": (0, (3, 2)), "linewidth": 0.8}
        sheet.write(axes, *place, title, 8.5, va="center", color=sheet.colours.faint, bbox=frame)
