"""Cards: what trainers write, and what they are told when it is wrong."""

from pathlib import Path

import pytest

from knowledge.cards import BUNDLED, card_passages, load_cards, parse_card
from knowledge.lint import lint_folder
from knowledge.problems import ContentProblems

GOOD = (BUNDLED / "buck-passing.md").read_text("utf-8")


def problems(source: str) -> list[str]:
    with pytest.raises(ContentProblems) as caught:
        parse_card(source, "x.md")
    return [str(problem) for problem in caught.value.problems]


def test_the_bundled_playbook_is_complete() -> None:
    assert len(load_cards()) >= 52


@pytest.mark.parametrize("card", load_cards().values(), ids=lambda card: card.id)
def test_every_item_can_be_quoted_from_its_passage(card) -> None:
    passages = {(item.language, item.part): item for item in card_passages(card)}
    for language in card.languages:
        for step in card.steps:
            assert step.text(language) in passages[language, "steps"].text
        for cause in card.causes:
            assert cause.check.text(language) in passages[language, f"cause:{cause.id}"].text
    assert len({item.id for item in card_passages(card)}) == len(card_passages(card))


def test_misconceptions_carry_their_mark_into_every_searched_passage() -> None:
    card = load_cards()["myth-drop-small"]
    assert all("误区" in p.search_text for p in card_passages(card) if p.language == "zh")
    assert all("misconception" in p.search_text.lower() for p in card_passages(card) if p.language == "en")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("kind: problem", "kind: thing"), "kind"),
        (("polarity: advice", "polarity: advise"), "polarity"),
        (("\nid: buck-passing", "\nid: Buck Passing"), "id"),
        (("\nkind: problem", "\nkind: problem\ncolour: red"), "colour"),
        (("\nsummary:", "\nsummery:"), "summary"),
    ],
)
def test_a_mistake_is_told_with_its_line_and_cure(change: tuple[str, str], said: str) -> None:
    old, new = change
    assert old in GOOD
    told = problems(GOOD.replace(old, new, 1))
    assert any(said in line and "→" in line and line.startswith("x.md:") for line in told)


def test_the_line_named_is_the_line_of_the_mistake() -> None:
    line = GOOD.split("\n").index("kind: problem") + 1
    assert problems(GOOD.replace("kind: problem", "kind: thing", 1))[0].startswith(f"x.md:{line}:")


@pytest.mark.parametrize(
    "source",
    ["", "no front matter", "---\nid: [unclosed\n---\n", "---\n- a\n- b\n---\n", "---\nid: \x01\n---\n", "---\nid: x\n", "\x00\x01\x02"],
    ids=["empty", "plain text", "broken yaml", "a list", "control character", "no end", "binary"],
)
def test_broken_files_are_refused_kindly(source: str) -> None:
    assert all("→" in line for line in problems(source))


def test_a_cause_that_does_not_exist_is_named() -> None:
    told = problems(GOOD.replace("cause: ", "cause: nobody-knows-", 1))
    assert any("unknown cause: nobody-knows-" in line for line in told)


def test_two_cards_with_one_id_are_refused(tmp_path: Path) -> None:
    (tmp_path / "buck-passing.md").write_text(GOOD, "utf-8")
    (tmp_path / "copy.md").write_text(GOOD, "utf-8")
    with pytest.raises(ContentProblems, match="taken by another card"):
        load_cards(tmp_path)


def test_a_file_that_is_not_utf8_is_named_with_its_cure(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_bytes("---\nid: 大客户\n---".encode("gb18030"))
    with pytest.raises(ContentProblems, match="save the file as UTF-8"):
        load_cards(tmp_path)


def test_lint_notices_what_makes_a_card_useless(tmp_path: Path) -> None:
    import yaml

    front = yaml.safe_load(GOOD.split("---\n")[1])
    front["situations"]["en"] = front["situations"]["en"][:3]
    front["say"] = []
    front["ethics"] = {"level": "caution", "limits": []}
    front["related"] = ["no-such-card"]
    (tmp_path / "buck-passing.md").write_text(f"---\n{yaml.safe_dump(front, allow_unicode=True)}---\n", "utf-8")
    told = "\n".join(map(str, lint_folder(tmp_path)))
    for part in ("situations.en: 3 messages", "nothing to say for the cause", "level caution without limits", "no-such-card"):
        assert part in told
