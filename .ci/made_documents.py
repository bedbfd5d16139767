"""Decks, guides and sheets whose places are known because we wrote them: flat OpenDocument, turned into other formats by LibreOffice."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

NAMES = (
    'xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0" xmlns:style="urn:oasis:names:tc:opendocument:xmlns:style:1.0" '
    'xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0" xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0" '
    'xmlns:draw="urn:oasis:names:tc:opendocument:xmlns:drawing:1.0" xmlns:fo="urn:oasis:names:tc:opendocument:xmlns:xsl-fo-compatible:1.0" '
    'xmlns:svg="urn:oasis:names:tc:opendocument:xmlns:svg-compatible:1.0" '
    'xmlns:presentation="urn:oasis:names:tc:opendocument:xmlns:presentation:1.0" office:version="1.2"'
)


@dataclass(frozen=True, slots=True)
class Topic:
    """A slide, a chapter or a sheet: its heading, two points, what the presenter says, and a row of a table."""

    heading: str
    points: tuple[str, str]
    notes: str
    row: tuple[str, str]


TOPICS: dict[str, tuple[Topic, ...]] = {
    "zh": (
        Topic("拜访之前", ("出门前把客户最近三条公开消息读一遍。", "想好这一趟要问清楚的一件事。"), "这里讲一讲扬州那次白跑的经过。", ("准备时间", "四十分钟")),
        Topic("谁在场", ("到场的人分成出钱的、使用的和把关的。", "没有来的那一位往往最要紧。"), "请学员当场画一张在场人员图。", ("在场人数", "三到五位")),
        Topic("问到影响", ("先问停线一小时谁会被追问。", "影响要用客户自己的数字来说。"), "提醒大家不要替客户估数。", ("停线损失", "每小时六万")),
        Topic("看清流程", ("把上一次同等金额的采购从头到尾听一遍。", "流程里每一关都记下一个名字。"), "此处放采购流程的空白表。", ("审批关数", "共有五关")),
        Topic("给出凭据", ("带去的案例要写明没有做成的部分。", "凭据只挑与对方同行业的一份。"), "案例原件在培训部的共享盘。", ("案例份数", "只带一份")),
        Topic("谈好条件", ("每让一步都要换回一件写得下来的事。", "价格之外先摆出交期和验收两项。"), "演练时由老师扮演采购经理。", ("让步次数", "最多三次")),
        Topic("约下一步", ("散会前说定谁在哪天做什么。", "下一步要落在客户自己的日历里。"), "用上周的会议纪要作反例。", ("回访期限", "五个工作日")),
        Topic("事后复盘", ("当天晚上写下猜对和猜错的各一条。", "每个季度翻一遍丢掉的单子。"), "复盘表请在周五之前交齐。", ("复盘篇幅", "不超过一页")),
    ),
    "en": (
        Topic("Before the visit", ("Read the last three public notices of the customer.", "Choose the single thing this trip must settle."), "Tell the story of the wasted trip to Leeds.", ("Preparation", "forty minutes")),
        Topic("Who is in the room", ("Sort the people present into payers, users and gatekeepers.", "The person who stayed away often matters most."), "Let everybody draw the seating plan.", ("Attendance", "three to five")),
        Topic("Asking about impact", ("Ask who gets the phone call when the line stops.", "Impact is told in the customer's own figures."), "Remind the group never to guess numbers.", ("Stopped line", "nine thousand an hour")),
        Topic("Seeing the process", ("Have the last purchase of this size told from start to end.", "Write one name beside each gate of the process."), "Hand out the blank process sheet here.", ("Approval gates", "five in all")),
        Topic("Showing proof", ("A reference must say what did not work as well.", "Bring one case, from the same trade as theirs."), "The originals are kept by the training team.", ("References", "exactly one")),
        Topic("Trading terms", ("Every concession buys something that can be written down.", "Put delivery and acceptance on the table before price."), "The teacher plays the purchasing manager.", ("Concessions", "three at most")),
        Topic("The next step", ("Agree before leaving who does what by which day.", "The next step belongs in the customer's own calendar."), "Use last week's minutes as a bad example.", ("Follow up", "five working days")),
        Topic("Looking back", ("Note one guess that was right and one that was wrong.", "Go through the lost orders once a quarter."), "Forms are due back by Friday noon.", ("Length of review", "one page")),
    ),
}  # fmt: skip
FILLER = {
    "zh": "下面这段话只是为了把版面撑满，让一章跨过页边，好检查页码有没有记错。" * 6,
    "en": "This paragraph only fills the page so that a chapter runs over its end and page numbers can be checked. " * 5,
}
TITLES = {"zh": "跟访手册", "en": "Ride-along guide"}


def make(folder: Path) -> list[Path]:
    """All documents, made below `folder`. Raises SystemExit where LibreOffice is missing."""
    if shutil.which("soffice") is None:
        raise SystemExit("LibreOffice is not installed: the documents made with it cannot be checked (apt-get install libreoffice-impress libreoffice-writer libreoffice-calc)")
    folder.mkdir(parents=True, exist_ok=True)
    for language, topics in TOPICS.items():
        sources = {"deck.fodp": deck(topics), "guide.fodt": guide(topics, language), "sheets.fods": sheets(topics)}
        for name, content in sources.items():
            (folder / f"{language}-{name}").write_text(content, encoding="utf-8")
    made = []
    for stem, targets in (("deck.fodp", ("pptx", "pdf")), ("guide.fodt", ("docx", "html")), ("sheets.fods", ("xlsx",))):
        sources_here = [str(folder / f"{language}-{stem}") for language in TOPICS]
        for target in targets:
            command = ["soffice", "--headless", f"-env:UserInstallation=file://{folder.resolve()}/profile", "--convert-to", target, "--outdir", str(folder), *sources_here]
            subprocess.run(command, check=True, capture_output=True, timeout=300)
            made += [folder / f"{language}-{Path(stem).stem}.{target}" for language in TOPICS]
    return made


def labels() -> Iterator[dict[str, str]]:
    """What stands where, known from how it was made."""
    for language, topics in TOPICS.items():
        for number, topic in enumerate(topics, 1):
            yield _label(language, "deck.pptx", topic.points[number % 2], f"slide {number}")
            if number % 2:
                yield _label(language, "deck.pptx", topic.notes, f"slide {number} (notes)")
                yield _label(language, "guide.docx", topic.points[0], topic.heading)
            else:
                yield _label(language, "deck.pdf", topic.points[0], f"p. {number}")
                yield _label(language, "sheets.xlsx", topic.row[1], f"sheet {topic.heading}")
                yield _label(language, "guide.html", topic.points[1], topic.heading)


def _label(language: str, file: str, sentence: str, place: str) -> dict[str, str]:
    return {"package": "made", "file": f"{language}-{file}", "sentence": sentence.rstrip("。."), "place": place, "lang": language}


def deck(topics: Sequence[Topic]) -> str:
    """A slide a topic: title, bullets, a table on every third, the presenter's notes."""
    pages = "".join(_slide(number, topic) for number, topic in enumerate(topics, 1))
    styles = (
        '<office:styles/><office:automatic-styles><style:page-layout style:name="L"><style:page-layout-properties fo:page-width="28cm" fo:page-height="21cm"/>'
        '</style:page-layout></office:automatic-styles><office:master-styles><style:master-page style:name="M" style:page-layout-name="L"/></office:master-styles>'
    )
    return _document("presentation", styles, f"<office:presentation>{pages}</office:presentation>")


def _slide(number: int, topic: Topic) -> str:
    bullets = "".join(f"<text:list-item><text:p>{escape(point)}</text:p></text:list-item>" for point in topic.points)
    table = f'<draw:frame svg:x="2cm" svg:y="13cm" svg:width="20cm" svg:height="3cm">{_table(topic.heading, [topic.row])}</draw:frame>' if number % 3 == 0 else ""
    return (
        f'<draw:page draw:name="page{number}" draw:master-page-name="M">'
        f'<draw:frame presentation:class="title" svg:x="2cm" svg:y="1cm" svg:width="24cm" svg:height="3cm"><draw:text-box><text:p>{escape(topic.heading)}</text:p></draw:text-box></draw:frame>'
        f'<draw:frame presentation:class="outline" svg:x="2cm" svg:y="5cm" svg:width="24cm" svg:height="7cm"><draw:text-box><text:list>{bullets}</text:list></draw:text-box></draw:frame>{table}'
        f'<presentation:notes><draw:frame presentation:class="notes" svg:x="2cm" svg:y="14cm" svg:width="16cm" svg:height="8cm"><draw:text-box><text:p>{escape(topic.notes)}</text:p></draw:text-box></draw:frame></presentation:notes>'
        "</draw:page>"
    )


def guide(topics: Sequence[Topic], language: str) -> str:
    """A chapter a topic, with some pages of text and a table."""
    filler = f"<text:p>{escape(FILLER[language])}</text:p>"
    chapters = "".join(
        f'<text:h text:outline-level="1">{escape(topic.heading)}</text:h><text:p>{escape(topic.points[0])}</text:p>{filler * 4}'
        f"<text:p>{escape(topic.points[1])}</text:p>{_table(topic.heading, [topic.row])}"
        for topic in topics
    )
    return _document("text", "", f'<office:text><text:p>{TITLES[language]}</text:p>{chapters}</office:text>')


def sheets(topics: Sequence[Topic]) -> str:
    """A sheet a topic."""
    tables = "".join(_table(topic.heading, [topic.row]) for topic in topics)
    return _document("spreadsheet", "", f"<office:spreadsheet>{tables}</office:spreadsheet>")


def _table(name: str, rows: Sequence[tuple[str, str]]) -> str:
    cells = "".join(
        "<table:table-row>" + "".join(f'<table:table-cell office:value-type="string"><text:p>{escape(cell)}</text:p></table:table-cell>' for cell in row) + "</table:table-row>"
        for row in rows
    )
    return f'<table:table table:name="{escape(name)}"><table:table-column table:number-columns-repeated="2"/>{cells}</table:table>'


def _document(kind: str, styles: str, body: str) -> str:
    mimetype = f"application/vnd.oasis.opendocument.{kind}"
    return f'<?xml version="1.0" encoding="UTF-8"?><office:document {NAMES} office:mimetype="{mimetype}">{styles}<office:body>{body}</office:body></office:document>'
