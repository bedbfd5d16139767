"""The playbook from above: groups, relations, confusions and holes; as a tree and as a picture that shows every letter."""

from collections.abc import Mapping
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from bot.atlas import draw, short, tree
from bot.charts import missing_glyphs
from bot.phrases import phrases
from knowledge.atlas import Atlas, survey
from knowledge.cards import Both, Card, load_cards
from knowledge.path import Module, load_path

CARDS = load_cards()


@pytest.fixture(scope="module")
def atlas() -> Atlas:
    return survey(CARDS, load_path())


def few(*ids: str) -> Mapping[str, Card]:
    return {card_id: CARDS[card_id] for card_id in ids}


def test_every_card_stands_in_one_group(atlas: Atlas) -> None:
    grouped = [card for group in atlas.groups for card in group.cards]
    assert sorted(grouped) == sorted(CARDS)


def test_a_card_outside_the_path_is_not_lost() -> None:
    path = [Module("one", Both(zh="一", en="One"), ("key-person",))]
    groups = survey(few("key-person", "sign-off"), path).groups
    assert [(group.id, group.cards) for group in groups] == [("one", ("key-person",)), ("other", ("sign-off",))]


def test_the_confusable_pairs_of_the_playbook_are_all_told_apart(atlas: Atlas) -> None:
    assert len(atlas.confusable) >= 14
    assert atlas.holes_of("pair") == [] and atlas.holes_of("alone") == []


def test_holes_are_seen(tmp_path: Path) -> None:
    (tmp_path / "planned.yaml").write_text("- {id: x-new, title: {zh: 新, en: New}}\n- {id: sign-off, title: {zh: 有, en: There}}\n", "utf-8")
    untold = CARDS["key-person"].model_copy(update={"contrast": (), "related": (), "scenarios": ()})
    holes = survey({"key-person": untold, "sign-off": CARDS["sign-off"]}, (), tmp_path / "planned.yaml").holes
    assert {(hole.kind, hole.ids) for hole in holes} >= {("planned", ("x-new",)), ("pair", ("key-person", "sign-off")), ("untrained", ("key-person",)), ("alone", ("sign-off",))}
    assert ("planned", ("sign-off",)) not in {(hole.kind, hole.ids) for hole in holes}


def test_the_tree_names_every_topic_with_its_neighbours(atlas: Atlas) -> None:
    console = Console(width=200, record=True, file=StringIO())
    console.print(tree(atlas))
    shown = console.export_text()
    assert all(f"  {card_id}" in shown for card_id in CARDS)
    assert "互相踢皮球怎么办 · When departments pass the buck" in shown
    assert "≠ key-person" in shown or "≠ buying-process, disagree-indecision, key-person" in shown
    assert "x-complaint" in shown


def test_the_picture_is_drawn_in_each_language_and_shows_every_letter(atlas: Atlas, tmp_path: Path) -> None:
    from matplotlib.image import imread

    for theme, languages in (("light", ("zh", "en")), ("dark", ("en",))):
        picture = imread(draw(tmp_path / f"{theme}.png", atlas, languages, theme))  # type: ignore[arg-type]
        height, width = picture.shape[:2]
        assert width >= 3000 and height >= 2000
        paper = picture[5, 5]
        assert (abs(picture - paper) > 0.2).any(axis=2).mean() > 0.02  # not an empty sheet
    titles = [text for card in CARDS.values() for text in (card.title.zh, card.title.en)]
    assert not missing_glyphs([*titles, *(text for language in ("zh", "en") for key, text in phrases(language).items() if key.startswith("map."))])


@pytest.mark.parametrize(
    ("title", "said"),
    [
        ("误区：抓“大”放“小”", "误区：抓“大”放“小”"),
        ("单一指标风险高（误区：只按一个数划分客户）", "单一指标风险高"),
        ("分歧原因：各自立场不同，关注方面不一样", "各自立场不同"),
        ("Price negotiation: give-get, anchors, concession plan", "Price negotiation"),
        ("The organisation (account team) a key account needs", "The organisation (account team) a key account needs"),
        ("Misconception: grab the big, drop the small", "Misconception: grab the big, drop the small"),
    ],
)
def test_titles_are_shortened_without_losing_their_point(title: str, said: str) -> None:
    assert short(title) == said
