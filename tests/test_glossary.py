"""The glossary: terms found under any name, in both languages, and mistakes in the file told with their line."""

from pathlib import Path

import pytest

from bot.__main__ import main
from knowledge.glossary import load_glossary
from knowledge.problems import ContentProblems


@pytest.mark.parametrize(
    ("asked", "term"),
    [
        ("拍板", "make the final call"),
        ("WHALE CURVE", "whale curve"),
        ("推诿", "passing the buck"),
        ("QBR", "quarterly business review"),
        ("mutual acton plan", "mutual action plan"),
        ("鯨魚曲線", "whale curve"),
        ("wallet", "share of wallet"),
        ("什么是账期", "payment terms"),
        ("线人", "coach"),
    ],
)
def test_a_term_is_found_however_it_is_written(asked: str, term: str) -> None:
    assert load_glossary().look_up(asked)[0].en[0] == term


@pytest.mark.parametrize("asked", ["", "   ", "photosynthesis", "光合作用"])
def test_what_is_no_term_is_not_guessed(asked: str) -> None:
    assert load_glossary().look_up(asked) == []


def test_every_term_reads_in_both_languages() -> None:
    terms = load_glossary().terms
    assert len(terms) >= 90
    for term in terms:
        assert 6 <= len(term.means.zh) <= 60, term.zh
        assert 4 <= len(term.means.en.split()) <= 26, term.en
        assert not set(term.wrong.zh) & set(term.zh) and not set(term.wrong.en) & set(term.en)


def test_terms_of_a_text_are_found_under_any_name() -> None:
    found = {term.en[0] for term in load_glossary().terms_in("客户要求延长账期，采购又提框架合同，QBR 没开成")}
    assert {"payment terms", "framework agreement", "quarterly business review"} <= found


def test_wrong_wordings_name_the_right_one_but_quotations_are_free() -> None:
    glossary = load_glossary()
    assert list(glossary.wrong_words("请供给商给一个close plan", "zh")) == [("供给商", "供应商")]
    assert list(glossary.wrong_words("别叫他“线人”", "zh")) == []


@pytest.mark.parametrize(
    ("source", "line", "said"),
    [
        ("- zh: [甲]\n  en: [a]\n  means: {zh: 甲, en: a}\n- zh: [乙]\n  en: [A]\n  means: {zh: 乙, en: b}\n", 4, "'a' also names the term in line 1"),
        ("- zh: [甲]\n  means: {zh: 甲, en: a}\n", 1, "en: Field required"),
        ("- zh: []\n  en: [a]\n  means: {zh: 甲, en: a}\n", 1, "without a name in one language"),
        ("- zh: [甲\n", 2, "YAML"),
    ],
)
def test_a_mistake_in_the_file_is_told_with_its_line(tmp_path: Path, source: str, line: int, said: str) -> None:
    (tmp_path / "glossary.yaml").write_text(source, "utf-8")
    with pytest.raises(ContentProblems) as caught:
        load_glossary(tmp_path / "glossary.yaml")
    problem = caught.value.problems[0]
    assert problem.line == line and said in problem.what and problem.fix


def test_coach_glossary_answers_and_says_when_it_cannot(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["glossary", "拍板"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("拍板 · make the final call") and "final decision" in shown
    assert main(["glossary", "光合作用"]) == 2
    assert "coach glossary lists all" in capsys.readouterr().err
    assert main(["glossary"]) == 0
    assert "鲸鱼曲线" in capsys.readouterr().out
