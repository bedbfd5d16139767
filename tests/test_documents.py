"""Cleaning and splitting: nothing is lost, nothing is changed unasked, and a misconception keeps its heading."""

import re
from pathlib import Path

import pytest
from decks import DECK
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from knowledge.cleaning import clean
from knowledge.ingest import Source, compose, document_id, passage_editions, passage_rows, with_corrections
from knowledge.passages import Page, Passage
from knowledge.readers.markdown import plain
from knowledge.splitting import LIMIT, OUTLINE, size, split

PAGES = [Page("", DECK)]


def passages_of(text: str, *, accept: bool = False) -> tuple[Passage, ...]:
    return compose(Source("deck.txt", Path("deck.txt")), [Page("", text)], "0", accept).edition.passages


def one(passages: tuple[Passage, ...], words: str) -> Passage:
    (found,) = [item for item in passages if words in item.text]
    return found


# ------------------------------------------------------------------ cleaning


def test_download_lines_and_empty_slides_are_left_out_and_shown() -> None:
    cleaned = clean(PAGES)
    assert [item.text[:10] for item in cleaned.dropped if item.why == "watermark"] == ["以上内容仅为本文档的"]
    assert sum(item.why == "empty" for item in cleaned.dropped) >= 4
    assert "example.com" not in "".join(item.text for item in passages_of(DECK))


def test_swapped_words_are_proposed_by_their_context() -> None:
    proposed = {item.before: item.after for item in clean(PAGES).corrections}
    assert proposed == {
        "a 购置频繁，要货量大": "a 购买频繁，要货量大",
        "b 效劳要求高": "b 服务要求高",
        "c 希望降低本钱": "c 希望降低成本",
        "a 偶尔购置": "a 偶尔购买",
        "b 没有额外的效劳要求": "b 没有额外的服务要求",
        "c 最低本钱完成采购": "c 最低成本完成采购",
        "选好供给商": "选好供应商",
        "让客户满意的原那么是什么": "让客户满意的原则是什么",
        "重点客户是企业的根本，开展之源": "重点客户是企业的根本，发展之源",
        "稳固企业的市场": "巩固企业的市场",
        "需要怎么的服务团队": "需要怎样的服务团队",
        "不恰当的话引起的客户反响": "不恰当的话引起的客户反应",
        "处理客户内局部歧的步骤": "处理客户内部分歧的步骤",
        "如何推动采购工程前进": "如何推动采购项目前进",
    }


@pytest.mark.parametrize(
    "sentence",
    [
        "工程公司承包了电厂的土建工程。", "市场反响热烈，开展培训工作。", "他那么忙，那么我们下周再约。", "局部地区停电，稳固关系要花时间。",
        "做小本生意，老本钱都赔了。", "愿为客户效劳于一线。", "购置税由买方承担，设备购置要审批。", "采购工程师负责比价。", "期盼早日合作。",
    ],
)  # fmt: skip
def test_ordinary_words_are_left_alone(sentence: str) -> None:
    assert clean([Page("", f"{sentence}\n")]).corrections == ()


def test_nothing_is_corrected_unless_somebody_accepts_it() -> None:
    asked, taken = passages_of(DECK), passages_of(DECK, accept=True)
    assert [item.id for item in asked] == [item.id for item in taken]
    assert all(item.original is None for item in asked)
    corrected = one(taken, "购买频繁")
    assert corrected.original is not None
    assert "购置频繁" in corrected.original
    assert "购置频繁" in one(asked, "购置频繁").text


def test_single_corrections_can_be_refused() -> None:
    edition = compose(Source("deck.txt", Path("deck.txt")), PAGES, "0", False).edition
    fixed = with_corrections(edition, {"b 效劳要求高": "b 服务要求高"})
    texts = "\n".join(item.text for item in fixed.passages)
    assert "b 服务要求高" in texts
    assert "a 购置频繁" in texts


def test_running_heads_and_page_numbers_go_from_every_page() -> None:
    pages = [Page(f"p. {n}", f"内部资料 · 销售手册\n第{n}条 先问客户要什么，编号{n * 7}。\n{n} / 9", number=n) for n in range(1, 10)]
    cleaned = clean(pages)
    assert {item.text for item in cleaned.dropped if item.why == "running"} == {"内部资料 · 销售手册"}
    assert sum(item.why == "page-number" for item in cleaned.dropped) == 9
    assert all("先问客户要什么" in page.text for page in cleaned.pages)


def test_a_line_that_differs_on_each_page_is_no_running_head() -> None:
    pages = [Page(f"p. {n}", f"步骤 {n * n}\n内容{n}", number=n) for n in range(1, 8)]
    assert [item for item in clean(pages).dropped if item.why == "running"] == []


@given(st.lists(st.text(alphabet="客户先问价格abc 。\n-#", min_size=1, max_size=80), min_size=1, max_size=6))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_whatever_is_kept_and_whatever_is_dropped_is_the_whole_text(texts: list[str]) -> None:
    """Lossless: every line of the file is in the kept pages or among the dropped lines."""
    pages = [Page(f"p. {i}", text, number=i) for i, text in enumerate(texts, 1)]
    cleaned = clean(pages)
    left = sorted(line.strip() for page in cleaned.pages for line in page.text.split("\n") if line.strip())
    dropped = [item.text for item in cleaned.dropped if item.text]
    whole = sorted(line.strip() for text in texts for line in text.split("\n") if line.strip())
    assert sorted([*left, *dropped]) == whole


# ------------------------------------------------------------------ splitting


def test_a_listed_misconception_is_marked_and_begins_with_its_heading() -> None:
    passages = passages_of(DECK, accept=True)
    myth = one(passages, "让价越多客户越忠诚")
    assert myth.polarity == "myth"
    assert myth.text.startswith("管理客户的4大误区是什么\n")
    assert "【误区】" in myth.search_text


def test_a_true_warning_among_misconceptions_stays_a_warning() -> None:
    assert one(passages_of(DECK), "只看一次订单的风险高").polarity == "warning"


def test_the_remedy_after_a_counted_list_is_advice() -> None:
    remedy = one(passages_of(DECK), "分层管理，定期复盘")
    assert remedy.polarity == "advice"
    assert "误区" not in remedy.text + remedy.heading


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("# 常见误区\n- 关系好就不用比价\n- 不要私下承诺折扣", {"关系好就不用比价": "myth", "不要私下承诺折扣": "warning"}),
        ("# Common mistakes\n- Quote on day one\n- Never contact evaluators", {"Quote on day one": "myth", "Never contact": "warning"}),
        ("# 如何避免误区\n- 先问清需求", {"先问清需求": "advice"}),
        ("# Three myths\n## Myth one\nBig logo means big profit.\n## What works instead\nRank by net profit.", {"Big logo": "myth", "Rank by": "advice"}),
        ("# 红线\n- 招标期间联系评委", {"招标期间联系评委": "warning"}),
        ("# 价格\n误区一：越低越好\n正解：看总成本", {"越低越好": "myth", "看总成本": "advice"}),
    ],
)
def test_headings_decide_what_a_list_is_meant_as(text: str, expected: dict[str, str]) -> None:
    passages = passages_of(plain(text))
    assert {words: one(passages, words).polarity for words in expected} == expected


def test_headings_without_text_are_gathered_and_not_worth_quoting() -> None:
    outlines = [item for item in passages_of(DECK) if item.part == OUTLINE]
    assert outlines
    assert "为什么要做客户分层" in "\n".join(item.text for item in outlines)


def test_places_name_heading_page_and_slide() -> None:
    assert one(passages_of(DECK), "拿不定主意").place == "意见不一致的原因"
    pages = [Page("slide 1", "- 先问价值", heading="开场", number=1), Page("slide 2", "- Ask first", heading="Opening", number=2), Page("p. 7", "正文在这里。", number=7)]
    places = [item.place for item in split(pages, "doc", "t").passages]
    assert places[:2] == ["第1张幻灯片 › 开场", "slide 2 › Opening"]
    assert places[2].startswith("第7页")


def test_tables_repeat_their_header_when_they_are_cut() -> None:
    rows = ["| 客户 | 要求 |", *(f"| 客户{i} | 每月供货两次，附检验报告和库存表 |" for i in range(80))]
    passages = split([Page("sheet A", "\n".join(rows), kind="table", number=1)], "doc", "t").passages
    assert len(passages) > 2
    assert all(item.text.startswith("| 客户 | 要求 |\n") for item in passages)
    assert passages[0].place == "工作表A"


@given(st.text(alphabet="客户价格先问再报。，\n -#大误区a1", min_size=1, max_size=1500))
@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_passages_are_short_and_no_word_is_lost(text: str) -> None:
    cleaned = clean([Page("", text)])
    passages = split(cleaned.pages, "doc", "t").passages
    assert all(size(item.text) <= LIMIT + 1 or item.part == OUTLINE for item in passages)
    assert len({item.id for item in passages}) == len(passages)
    shown = set(re.findall(r"\w", "".join(item.text + item.heading + item.title for item in passages)))
    lines = {char for page in cleaned.pages for char in re.findall(r"\w", page.text)}
    assert lines <= shown | set("大误区") or not passages


def test_ids_survive_insertions_elsewhere() -> None:
    before = {item.text: item.id for item in passages_of("# A\n先问价值。\n# B\n再报价格。")}
    after = {item.text: item.id for item in passages_of("# 新的一节\n新的内容。\n# A\n先问价值。\n# B\n再报价格。")}
    assert {text: after[text] for text in before} == before


def test_a_document_keeps_its_id_and_odd_names_get_one() -> None:
    assert document_id("Deck v2.pptx") == "doc-deck-v2-pptx"
    assert document_id("销售 手册.pdf") == "doc-销售-手册-pdf"
    assert document_id("!!!").startswith("doc-")
    assert len(document_id("很" * 300)) < 80


def test_rows_of_ready_passages_and_their_mistakes() -> None:
    lines = ['{"id": "a", "text": "先问价值"}', '{"id": "a", "text": "again"}', '{"text": "no id"}', "no json", '{"id": "b", "text": "Ask", "lang": "fr"}', '{"id": "c", "text": "Ask", "title": "T", "source": "S"}']
    passages, problems = passage_rows(list(enumerate(lines, 1)), "rows.jsonl")
    assert [item.id for item in passages] == ["a", "c"]
    assert [problem.line for problem in problems] == [2, 3, 4, 5]
    editions = passage_editions(passages, "rows.jsonl")
    assert [(item.title, [row.id for row in item.passages]) for item in editions] == [("rows", ["a"]), ("T", ["c"])]


@pytest.mark.parametrize("row", ['{"id": "1", "text": "a\\u0000b"}', '{"id": "1", "text": "a \\ud83d b"}', '{"id": "1", "text": "a", "title": "\\u0000"}'])
def test_a_row_that_no_database_takes_is_named_with_its_line(row: str) -> None:
    (found, problems) = passage_rows([(1, '{"id": "0", "text": "good"}'), (2, row)], "rows.jsonl")
    assert len(found) == 1 and [(problem.line, "half a character" in problem.what) for problem in problems] == [(2, True)]
