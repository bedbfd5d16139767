"""`coach lint`: the bundled playbook passes, and every rule can fail, on the line of the mistake."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from knowledge.cards import BUNDLED
from knowledge.confusion import At, Verdict, Words, hidden, strays
from knowledge.lint import lint_folder
from knowledge.wording import article_of_law, digits, figures, opens_with_verb, sentences, slogans

ROOT = Path(__file__).parents[1]
CARDS = Path(__file__).parent / "cards"  # two cards as they once were: the playbook may be reworded freely
GOOD, MYTH = ((CARDS / f"{name}.md").read_text("utf-8") for name in ("buck-passing", "myth-drop-small"))


def told(folder: Path, source: str, name: str = "buck-passing", **options: bool) -> list[str]:
    """What lint says of a folder with this one changed card among a few neighbours."""
    for card in ("disagree-indecision", "advance-purchase", "disagree-position", "key-person"):
        shutil.copy(BUNDLED / f"{card}.md", folder)
    (folder / f"{name}.md").write_text(source, "utf-8")
    found = lint_folder(folder, search=options.get("search", False))
    return [str(item).removeprefix(f"{folder}/") for item in found if "there is no card" not in item.what]


def line_of(source: str, text: str) -> int:
    return next(number for number, line in enumerate(source.split("\n"), 1) if text in line)


def test_coach_lint_passes_on_the_bundled_playbook() -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-m", "bot", "lint"], capture_output=True, text=True, cwd=ROOT, env=environment)
    assert done.stdout.strip() == "all content is in order", done.stdout + done.stderr
    assert done.returncode == 0


CHANGES: dict[str, tuple[str, str, str]] = {
    # rule: (a text of the card, what replaces it, what lint says); the finding stands on the changed line
    "a step without a verb, zh": ("请发起人或共同上级召集三十分钟碰头会，", "良好的沟通和三十分钟碰头会，", "steps.zh: no verb first"),
    "a step without a verb, en": ("Send minutes within 24 hours with owners", "Good minutes with owners", "steps.en: no verb first"),
    "a treatment without a verb": ("Split the responsibility: users set", "A split responsibility: users set", "causes.treat.en: no verb first"),
    "a long sentence": ("Finds the pain owner who should be the initiator.", "Finds " + "the pain owner and " * 12 + "more.", "ask.purpose.en: a sentence of"),
    "a slogan, zh": ("用降价当敲门砖", "用降价来赋能客户", "avoid.zh: a slogan: 赋能"),
    "a slogan, en": ("You set the pass marks", "Let's find a win-win, you set the pass marks", "say.en: a slogan: win-win"),
    "a percentage as a fact": ("Each department asks for a new document,", "In 70% of purchases each department asks for a new document,", "signals.en: 70% has no source"),
    "tenths as a fact": ("有人私下支持，却叮嘱", "八成客户里有人私下支持，却叮嘱", "signals.zh: 八成 has no source"),
    "a number without a year": ('source: "Gartner", year: 2024', 'source: "Gartner", year: null', "numbers.year: '5–16 people, up to 4 functions' has no year"),
    "a number of low confidence": ("year: 2024, confidence: medium", "year: 2024, confidence: low", "is of low confidence"),
    "a term off the glossary, zh": ("合格指标由客户定，不达标我方撤走", "合格指标由内线定，不达标我方撤走", "causes.treat.zh: “内线” is off the glossary → write “教练”"),
    "a term off the glossary, en": ("Split the responsibility: users", "Put it in the close plan: users", "“close plan” is off the glossary → write “mutual action plan”"),
    "an article of law": ("No gifts, entertainment or favours", "No gifts (article 8), entertainment or favours", "an article of law that nobody verified: article 8"),
    "a text half as rich": ("每到一个部门就要一份新材料，交完没有下文。", "要材料。", "signals.zh: says much less"),
    "a card that names itself": ("related: [key-person,", "related: [buck-passing,", "related: the card names itself"),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_a_mistake_in_a_text_is_found_on_its_line(tmp_path: Path, name: str) -> None:
    old, new, said = CHANGES[name]
    assert old in GOOD
    source = GOOD.replace(old, new, 1)
    found = [line for line in told(tmp_path, source) if said in line]
    assert found, f"{name} went unnoticed"
    assert found[0].startswith(f"buck-passing.md:{line_of(source, new[:60])}:"), found[0]


def test_the_unchanged_card_among_its_neighbours_has_no_findings_of_its_own(tmp_path: Path) -> None:
    assert [line for line in told(tmp_path, GOOD) if line.startswith("buck-passing")] == []


Edit = Callable[[str], str]


def drop_block(name: str, instead: str) -> Edit:
    """Replace a top-level field with all its lines."""
    return lambda source: re.sub(rf"^{name}:.*?(?=^\w|\Z)", f"{instead}\n", source, count=1, flags=re.MULTILINE | re.DOTALL)


STRUCTURE: dict[str, tuple[Edit, str]] = {
    "no objectives": (drop_block("objectives", "objectives: []"), "objectives: 0 objectives"),
    "no sources": (drop_block("sources", "sources: []"), "sources: missing"),
    "no avoid": (drop_block("avoid", "avoid: []"), "avoid: missing"),
    "no exit": (drop_block("exit", "exit: []"), "exit: missing"),
    "no contrast": (drop_block("contrast", "contrast: []"), "contrast: no card that this one is confused with"),
    "a confusable neighbour left out": (drop_block("contrast", "contrast: []"), "contrast: reps confuse this card with disagree-indecision"),
    "few aliases": (lambda source: re.sub(r"^  en: \[\"bounced.*$", '  en: ["runaround"]', source, flags=re.MULTILINE), "aliases.en: 1 names"),
    "more names in one language": (lambda source: re.sub(r"^  en: \[\"bounced.*$", '  en: ["runaround"]', source, flags=re.MULTILINE), "aliases: 8 in zh, 1 in en"),
    "nothing to say for a cause": (lambda source: source.replace("cause: fear}", "cause: no-owner}"), "say: nothing to say for the cause fear"),
    "no message for a cause": (lambda source: source.replace("cause: fear}", "cause: no-owner}"), "situations.zh: no message shows the cause fear"),
    "a body in one language": (lambda source: source.split("\n## en\n")[0] + "\n", "body.zh: a body in one language only"),
    "a body built otherwise": (lambda source: source.replace("| Where the money sits | maintenance budget or capex | plant controller | month end |\n", ""), "body.en: built otherwise than zh"),
    "no ethics level": (lambda source: source.replace("ethics:\n  level: caution\n", "ethics:\n"), "ethics.level: Field required"),
    "an ethics level too low": (lambda source: source.replace("level: caution", "level: none"), "ethics.level: the level is none, but"),
}  # fmt: skip


@pytest.mark.parametrize("name", STRUCTURE)
def test_a_card_that_lacks_something_is_told(tmp_path: Path, name: str) -> None:
    edit, said = STRUCTURE[name]
    assert edit(GOOD) != GOOD
    assert any(said in line for line in told(tmp_path, edit(GOOD))), name


def test_a_reviewed_article_of_law_may_stand(tmp_path: Path) -> None:
    source = GOOD.replace("No gifts, entertainment", "No gifts (article 8), entertainment").replace("legal_review: null", "legal_review: legal department, 2026-11-20")
    assert not any("article of law" in line for line in told(tmp_path, source))


def test_a_card_that_nobody_names_is_lonely(tmp_path: Path) -> None:
    source = GOOD.replace("id: buck-passing", "id: x-new")
    assert any("no other card names this one" in line and line.startswith("x-new.md") for line in told(tmp_path, source, "x-new"))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("polarity: myth", "polarity: advice", "polarity: a misconception is marked advice"),
        ("误区：为了集中资源", "为了集中资源", "summary.zh: does not say that this is a misconception"),
        ("The misconception: to focus resources", "To focus resources", "summary.en: does not say that this is a misconception"),
    ],
)
def test_a_misconception_is_marked(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in MYTH
    assert any(said in line for line in told(tmp_path, MYTH.replace(old, new, 1), "myth-drop-small"))


def test_a_misconception_is_never_told_as_a_step(tmp_path: Path) -> None:
    first = re.search(r"^steps:\n  - zh: (\".*\")\n    en: (\".*\")$", MYTH, re.MULTILINE)
    assert first
    obeying = MYTH.replace(first[2], '"Cut the tail this quarter."', 1)
    quoting = MYTH.replace(first[2], '"Answer \'cut the tail\' with the cost of each order."', 1)
    assert any("reads as advice to follow the misconception “cut the tail”" in line for line in told(tmp_path, obeying, "myth-drop-small"))
    assert not any("reads as advice" in line for line in told(tmp_path, quoting, "myth-drop-small"))


def test_words_that_lead_elsewhere_and_doubles_are_found(tmp_path: Path) -> None:
    """One new message says what its neighbour says; one is another card's case."""
    stray = "客户没人反对，东西也认可，就是老说再等等，迟迟不敢定，怕选错了担责任"
    source = GOOD.replace('    - "各部们都说不归他管，怎么找到那个真该管的人"', f'    - "{stray}"\n    - "各部门都说不归他管，怎么找到那个真该管的人呢"\n    - "各部们都说不归他管，怎么找到那个真该管的人"')
    found = told(tmp_path, source, search=True)
    doubles = [line for line in found if "nearly the same" in line]
    assert doubles[0].startswith(f"buck-passing.md:{line_of(source, '各部们都说不归他管')}:")
    assert any(f"“{stray[:40]}” leads to disagree-indecision" in line and line.startswith(f"buck-passing.md:{line_of(source, stray)}:") for line in found)


def test_a_card_is_hidden_when_most_of_its_names_miss_it() -> None:
    def verdicts(card: str, ranks: list[int]) -> list[Verdict]:
        places: list[At] = [("title", "en"), *(("aliases", "en", i) for i in range(len(ranks) - 1))]
        return [Verdict(Words(card, at, f"{card} {rank}", "en"), rank, "other", 0.5) for at, rank in zip(places, ranks, strict=True)]

    found = list(hidden([*verdicts("found", [5, 0, 1, 2]), *verdicts("lost", [3, 0, 9, 4])]))
    assert [(words.card, [item.rank for item in missed]) for words, missed in found] == [("lost", [3, 9, 4])]


def test_a_message_is_a_stray_only_when_the_judge_is_sure_and_its_own_card_far() -> None:
    here = Words("own", ("situations", "zh", 0), "…", "zh")
    sure, near, unsure = Verdict(here, 3, "other", 0.9), Verdict(here, 2, "other", 0.95), Verdict(here, 9, "other", 0.6)
    alias = Verdict(Words("own", ("aliases", "zh", 0), "…", "zh"), 9, "other", 0.99)
    assert strays([sure, near, unsure, alias]) == [sure]


def test_one_file_is_judged_beside_its_neighbours(tmp_path: Path) -> None:
    told(tmp_path, GOOD)
    broken = GOOD.replace("related: [key-person,", "related: [no-such-card,")
    (tmp_path / "buck-passing.md").write_text(broken, "utf-8")
    found = [str(item) for item in lint_folder(tmp_path / "buck-passing.md", search=False)]
    assert any("no-such-card" in line for line in found)
    assert all("buck-passing.md" in line for line in found)


@pytest.mark.parametrize("text", ["请采购书面说明第一份单子是什么", "会后二十四小时内发纪要", "两次没结果，就下调预测", "把大球拆小", "逐个单独拜访", "每季写一页回顾", "按先例画出流程"])
def test_chinese_steps_that_say_what_to_do(text: str) -> None:
    assert opens_with_verb(text, "zh")


@pytest.mark.parametrize("text", ["客户关系很重要", "良好的沟通", "我们应该写一页纸", "价格与价值的平衡", "高层的支持是关键，要重视", "积极的态度", "客户方的预算周期"])
def test_chinese_steps_that_do_not(text: str) -> None:
    assert not opens_with_verb(text, "zh")


@pytest.mark.parametrize("text", ["Ask who signs", "Before the talk, write three numbers", "Within 24 hours send minutes", "If nothing moves, lower the forecast", "Don't copy the boss", "On day 90 have the customer rate it"])
def test_english_steps_that_say_what_to_do(text: str) -> None:
    assert opens_with_verb(text, "en")


@pytest.mark.parametrize("text", ["Good communication with all stakeholders", "The budget holder", "We should write", "Understanding the needs", "Every stakeholder matters", "In time", "Budget review in May"])
def test_english_steps_that_do_not(text: str) -> None:
    assert not opens_with_verb(text, "en")


def test_figures_of_other_people_are_not_ours() -> None:
    assert figures("他说“八成客户没用”，其实20%的客户亏钱") == ["20%"]
    assert figures("twice, a 3.5 % rebate, 2 times more and a 5-fold rise") == ["3.5 %", "2 times more", "5-fold"]
    assert figures("这一成本和三成本都不是比例") == []
    assert {digits("八成"), digits("80%"), digits("80 percent")} == {"80"}


def test_articles_of_law_are_recognised_and_ordinary_ordinals_are_not() -> None:
    assert [article_of_law(text) for text in ("按第22条", "第三条 规定", "Art. 8", "FAR 3.104", "§ 12")] == ["第22条", "第三条", "Art. 8", "FAR 3", "§"]
    assert [article_of_law(text) for text in ("第三条件", "第一条标准", "which clause states it", "第二次采购")] == [None] * 4


def test_slogans_may_be_quoted() -> None:
    assert slogans("我们要共赢", "zh") == ["共赢"]
    assert slogans("别再说“共赢”", "zh") == []
    assert slogans("Don't say 'win-win' to a buyer", "en") == []


def test_sentences_end_where_people_end_them() -> None:
    assert sentences("3.5 m. Then stop; go on? 好。走") == ["3.5 m.", "Then stop;", "go on?", "好。", "走"]


def test_the_example_of_the_manual_is_in_order_but_for_being_new(tmp_path: Path) -> None:
    example = (ROOT / "docs" / "cards.md").read_text("utf-8").split("```markdown\n")[1].split("```")[0]
    for file in BUNDLED.glob("*.md"):
        shutil.copy(file, tmp_path)
    (tmp_path / "x-sample-requests.md").write_text(example, "utf-8")
    found = lint_folder(tmp_path / "x-sample-requests.md", search=False)
    assert [item.what for item in found] == ["related: no other card names this one"]
