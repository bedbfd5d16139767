"""Duplicates and contradictions are found, and statements that only look alike are left in peace."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from bot.ports import App
from knowledge import checks
from knowledge.checks import Kind, amounts, relation, unfindable
from knowledge.passages import Passage

LABELS = Path(__file__).parent / "labels" / "contradictions.jsonl"
KINDS: tuple[Kind, ...] = ("duplicate", "number", "polarity")

# Our own pairs, on which the thresholds in knowledge/checks.py were found.
PAIRS: list[tuple[Kind, str, str]] = [
    ("number", "首付款比例不得低于30%。", "首付款比例不能少于20%。"),
    ("number", "投标前至少拜访三位关键人。", "投标之前至少要拜访5个关键人物。"),
    ("number", "报价有效期为30天。", "我们的报价有效期是15天。"),
    ("number", "客户投诉要在24小时内回复。", "客户投诉需在三个工作日内回复。"),
    ("number", "每季度至少做一次高层拜访。", "每季度至少安排两次高层拜访。"),
    ("number", "折扣超过八个百分点要总监批准。", "折扣超过5%须由总监审批。"),
    ("number", "样机试用期最长两个月。", "样机试用最多3个月。"),
    ("number", "大客户经理最多负责8家客户。", "一个大客户经理负责的客户不超过15家。"),
    ("number", "Reply to customer complaints within 24 hours.", "Customer complaints must be answered within three days."),
    ("number", "Bring at least three references to the first meeting.", "You need five references for the first meeting."),
    ('number', "Discounts above 10% need the director's approval.", 'Any discount over 15 percent must be approved by the director.'),
    ("number", "A pilot should last no longer than six weeks.", "Pilots should not run longer than 12 weeks."),
    ("number", "Payment terms are 30 days from invoice.", "Our payment terms are 60 days after the invoice date."),
    ("number", "Visit the plant twice a year.", "Visit the plant four times a year."),
    ("polarity", "第一次拜访时可以报价。", "第一次拜访不要报价。"),
    ("polarity", "应该先见使用部门再见采购。", "应该先见采购再见使用部门。"),
    ("polarity", "客户内部有分歧时，不要站队。", "客户内部有分歧时，要尽快站队。"),
    ("polarity", "招标文件发布后可以联系评委。", "招标文件发布后严禁联系评委。"),
    ("polarity", "合同谈判时应主动让步。", "合同谈判中不应主动让步。"),
    ("polarity", "涨价通知要提前告诉客户。", "涨价通知不必提前告诉客户。"),
    ("polarity", "样品必须收费。", "样品一律免费。"),
    ("polarity", "方案汇报必须邀请财务参加。", "方案汇报无需邀请财务参加。"),
    ("polarity", "Quote a price in the first meeting.", "Never quote a price in the first meeting."),
    ("polarity", "Always send the summary in writing.", "Send the summary verbally, not in writing."),
    ("polarity", "Meet procurement before you meet the users.", "Meet the users before you meet procurement."),
    ("polarity", "Share the cost breakdown with the customer.", "Withhold the cost breakdown from the customer."),
    ("polarity", "You should contact evaluators during the tender.", "Contacting evaluators during the tender is forbidden."),
    ("polarity", "A free pilot increases commitment.", "A free pilot reduces commitment."),
    ("duplicate", "客户内部有分歧时，先弄清每个人担心什么。", "客户内部意见不一致时，首先要弄清楚各人担心什么。"),
    ("duplicate", "每次会议结束前约好下一步和日期。", "会议结束之前，要把下一步和日期约好。"),
    ("duplicate", "不要在客户面前贬低竞争对手。", "别在客户面前说竞争对手的坏话。"),
    ("duplicate", "首付款不低于30%。", "首付款比例至少三成。"),
    ("duplicate", "找到真正拍板的人再谈价格。", "谈价格之前，先找到真正能拍板的人。"),
    ("duplicate", "大客户要有专人负责。", "大客户应当由专人负责。"),
    ("duplicate", "Agree the next step and its date before the meeting ends.", "Before you leave the meeting, agree on the next step and a date."),
    ('duplicate', "Don't criticise competitors in front of the customer.", 'Never speak badly of competitors in front of a customer.'),
    ("duplicate", "Find out who signs off before you discuss price.", "Before discussing the price, find out who signs off."),
    ("duplicate", "Reply within 24 hours.", "Answer within one day."),
    ("duplicate", "Key accounts need a dedicated owner.", "Every key account should have a dedicated owner."),
    ("none", "报价有效期为30天。", "付款账期最长60天。"),
    ("none", "客户说预算不够时，先问清预算从哪里来。", "客户要求降价时，先问他和谁在比。"),
    ("none", "第一次拜访时不要报价。", "第一次拜访要带两位同事。"),
    ("none", "培训一年两次，每次半天。", "每年回访客户四次。"),
    ("none", "采购部门关注总成本。", "使用部门关注好不好用。"),
    ("none", "找到关键人物很重要。", "不要绕过采购。"),
    ("none", "大客户购买频繁，单次采购数量多。", "小客户偶尔购买，采购数量小。"),
    ("none", "采购经理负责比价。", "采购总监负责审批合同。"),
    ("none", "投标保证金为2%。", "质保金为5%。"),
    ("none", "Ask the users what bothers them most.", "Ask finance how they calculate payback."),
    ("none", "Payment terms are 30 days.", "The warranty lasts 24 months."),
    ("none", "Large customers buy often.", "Small customers rarely buy."),
    ('none', "Don't quote a price in the first meeting.", 'Bring an engineer to the first meeting.'),
    ("none", "Procurement cares about total cost.", "Users care about ease of use."),
    ("none", "Send the proposal by Friday.", "Invite the plant manager to the workshop."),
    ('none', "Discounts above 10% need the director's approval.", 'Rebates above 3% are reported to finance.'),
    ('none', "Don't promise delivery dates you can't keep.", "Don't promise discounts without approval."),
    ("none", "Meet the plant manager once a month.", "Meet the CFO once a year."),
]


def judged(app: App, pairs: list[tuple[Kind, str, str]]) -> list[Kind]:
    cosines = app.retriever.similarity([a for _, a, _ in pairs], [b for _, _, b in pairs])
    return [relation(a, b, float(cosines[i, i])) for i, (_, a, b) in enumerate(pairs)]


def precision_and_recall(wanted: list[Kind], found: list[Kind], kind: Kind) -> tuple[float, float]:
    counts = Counter(zip(wanted, found, strict=True))
    right = counts[kind, kind]
    return right / max(1, sum(n for (_, f), n in counts.items() if f == kind)), right / max(1, sum(n for (w, _), n in counts.items() if w == kind))


def test_our_own_pairs_are_told_apart(playbook: App) -> None:
    found = judged(playbook, PAIRS)
    for kind in KINDS:
        precision, recall = precision_and_recall([wanted for wanted, _, _ in PAIRS], found, kind)
        assert precision >= 0.9, (kind, precision)
        assert recall >= 0.9, (kind, recall)


@pytest.mark.xfail(strict=True, reason="not met yet: duplicates and polarity in other words are mostly missed (issue 7)")
def test_pairs_labelled_by_others_are_told_apart(playbook: App) -> None:
    """Rows {"id", "lang", "a", "b", "kind": duplicate | number | polarity | none}."""
    rows = [json.loads(line) for line in LABELS.read_text("utf-8").splitlines() if line.strip()]
    pairs: list[tuple[Kind, str, str]] = [(row["kind"], row["a"], row["b"]) for row in rows]
    found = judged(playbook, pairs)
    for kind in KINDS:
        precision, recall = precision_and_recall([wanted for wanted, _, _ in pairs], found, kind)
        assert precision >= 0.85, (kind, precision)
        assert recall >= 0.85, (kind, recall)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("首付款不低于三成", [(30, "percent")]),
        ("报价有效期为十五天", [(15, "day")]),
        ("百分之二十五", [(25, "percent")]),
        ("合同额120万元", [(1_200_000, "money")]),
        ("within twenty working days", [(20, "day")]),
        ("twice a year", [(2, "times")]),
        ("在2024年签约", []),
        ("他成为第一名", []),
    ],
)
def test_numbers_are_read_in_figures_and_in_words(text: str, expected: list[tuple[float, str]]) -> None:
    assert [(item.value, item.unit) for item in amounts(text)] == expected


def passage(text: str, document: str, number: int = 1, **more: str) -> Passage:
    return Passage(f"{document}/{number}", text, f"§{number}", "zh", document, document, **more)  # type: ignore[arg-type]


def test_planted_clashes_are_found_between_documents(playbook: App) -> None:
    old = [passage("首付款不得低于30%。验收后三十天内付清。", "old", 1), passage("第一次拜访不要报价。", "old", 2)]
    new = [passage("首付款不得低于20%。验收后三十天内付清。", "new", 1), passage("第一次拜访可以报价。", "new", 2), passage("周会改到星期四下午开。", "new", 3)]
    similarity = playbook.retriever.similarity
    words = [item.search_text for item in (*new, *old)]
    vectors = np.asarray(similarity(words, words))  # rows of cosines serve as vectors: their products rank alike
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    remarks = checks.compare(new, old, (vectors[:3], vectors[3:]), similarity)
    assert [(item.kind, item.passage, item.other) for item in remarks] == [("number", "new/1", "old/1"), ("polarity", "new/2", "old/2")]


def test_a_foreign_language_is_noticed() -> None:
    assert [item.kind for item in checks.languages([passage("Спросите пользователей прежде чем говорить о цене. " * 3, "d")])] == ["language"]
    assert checks.languages([passage("先问使用部门。", "d")]) == []


def test_a_passage_that_is_not_found_in_other_words_is_named() -> None:
    new = [passage("先问使用部门最烦什么，再谈价格。", "d")]
    assert [item.kind for item in checks.unfindable(new, lambda question: ["other"])] == ["unfindable"]
    assert checks.unfindable(new, lambda question: ["d/1"]) == []
    assert checks.reworded(new[0]) == "再谈报价，先问使用科室最烦什么"


def test_changed_answers_are_named_before_they_change() -> None:
    remarks = checks.changed_answers(["问题一", "问题二"], {"问题一": "A", "问题二": "B"}.__getitem__, {"问题一": "A", "问题二": "C"}.__getitem__, {"C"})
    assert [dict(item.values) for item in remarks] == [{"question": "问题二", "before": "B", "after": "C"}]


def test_the_limit_counts_each_documents_passages_and_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "MAX_CHECKED", 2)
    new = [Passage(f"{name}/{i}", "A customer asks for a discount.", "p", "en", name, name) for name, count in (("a", 3), ("b", 2)) for i in range(count)]
    assert [item.passage for item in unfindable(new, lambda question: [])] == ["a/0", "a/1", "b/0", "b/1"]
    assert [(item.passage, item.values) for item in checks.unchecked(new)] == [("a/0", {"checked": "2", "count": "3"})]
