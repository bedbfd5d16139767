"""Pages become passages: at most a phone screen long, each with its place, its heading and what it is meant as.

A list keeps its heading, so that a listed misconception is never read as advice: its passages are marked "myth" and
begin with the heading's words. A true warning that stands among misconceptions stays a warning.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from knowledge.cleaning import corrected
from knowledge.passages import Language, Page, Passage, language_of

LIMIT = 600  # of a passage, in Chinese characters; Latin letters count half
OUTLINE = "outline"  # `Passage.part` of headings that have no text of their own: found, but not worth quoting

Polarity = Literal["advice", "myth", "warning", "definition"]

_HEADING = re.compile(r"^(#{1,6})\s+(.*\S)\s*$")
_ITEM = re.compile(r"^\s*(?:[-*•●○▪■◆➢✓·]\s+|(?:\d{1,2}|[a-zA-Z])[.、)）]\s*|[（(](?:\d{1,2}|[一二三四五六七八九十a-z])[)）]\s*|[①-⑳]\s*)(?=\S)")
_MYTH = re.compile(
    r"误区|误解|错误(?:的)?(?:做法|认识|观念|示范|想法|认知)|常见错误|常犯的?错|反面|谬误|迷思|想当然"
    r"|misconceptions?|\bmyths?\b|common mistakes|\bmistakes\b|pitfalls?|fallac(?:y|ies)|wrong beliefs?|what not to do",
    re.IGNORECASE,
)
_REMEDY = re.compile(
    r"(?:避免|走出|跳出|克服|纠正|澄清|破解|防止|远离|应对).{0,12}(?:误区|错误|误解)|正确做法|正解|正确的|对策|解决|应该怎么|真相"
    r"|avoid(?:ing)? .{0,20}(?:mistake|misconception|myth|pitfall)|how to (?:avoid|fix)|the (?:truth|fact|remedy)|instead|what works|right way",
    re.IGNORECASE,
)
_WARNING_HEADING = re.compile(r"禁忌|红线|注意事项|警示|风险提示|底线|切忌|warnings?\b|red lines?|caution|don'?ts\b|never do", re.IGNORECASE)
_DEFINITION = re.compile(r"^(?:什么是|何为|定义)|的定义$|是指|^what (?:is|are) (?!the (?:best|next))|^definition", re.IGNORECASE)
_RISK = re.compile(r"风险(?:很|较|更|极)?(?:高|大)|有风险|危险|有害|隐患|会导致|容易导致|后果|得不偿失|不可取|不利于|\bis (?:very )?risky|dangerous|backfires?|leads? to loss|costs you|hurts", re.IGNORECASE)
_FORBID = re.compile(r"^(?:不要|不能|不可|不得|禁止|切忌|切勿|避免|勿|别)|^(?:do not|don'?t|never|avoid)\b", re.IGNORECASE)
_NEGATED = re.compile(r"(?:没有|无|不存在|不会有).{0,3}(?:风险|危险|后果|隐患)|not? (?:risk|danger)|无所谓|没关系", re.IGNORECASE)
_FACT = re.compile(r"^(?:真相|事实|正解|正确做法|正确认识|对策|应对|解决办法|fact|truth|reality|remedy|instead)\s*[:：]", re.IGNORECASE)
_INLINE_MYTH = re.compile(r"^(?:误区|错误做法|错误认识|myth|misconception|mistake)\s*[一二三四五六七八九十\d#]{0,3}\s*[:：]", re.IGNORECASE)
_COUNT = re.compile(r"(\d{1,2}|[一二两三四五六七八九十])\s*(?:大|个|种|条|类|点)|\b(\d{1,2}|two|three|four|five|six|seven|eight|nine|ten)\b", re.IGNORECASE)
_NUMBERS = {word: number for number, words in enumerate((
    "", "一", "二 两 two", "三 three", "四 four", "五 five", "六 six", "七 seven", "八 eight", "九 nine", "十 ten",
)) for word in words.split()}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Line:
    """A piece of a section that is never torn unless it is longer than a passage may be."""

    text: str
    listed: bool = False
    row: bool = False


@dataclass
class Section:
    """What stands under one heading on one page."""

    path: tuple[str, ...]
    page: Page
    lines: list[Line] = field(default_factory=list)
    standalone: bool = False  # the "heading" is a statement in a line of its own


@dataclass(frozen=True, slots=True)
class Split:
    """The passages of a document and its title."""

    title: str
    passages: tuple[Passage, ...]
    bylines: tuple[str, ...] = ()  # names on the title page that were left out


def split(pages: Sequence[Page], document: str, fallback_title: str, accepted: Mapping[str, str] | None = None) -> Split:
    """Cleaned pages as passages. `accepted` maps lines to their accepted corrections; ids don't depend on it."""
    accepted = accepted or {}
    title = title_of(pages) or fallback_title
    parsed = list(sections(pages))
    found, bylines = _without_bylines(parsed, title)
    drafts = [item for item in _with_outlines(found, title) if item.text.strip()]
    passages = [correct(item, accepted) for item in _with_ids(drafts, document, title)]
    return Split(corrected(title, accepted), tuple(passages), tuple(bylines))


def title_of(pages: Sequence[Page]) -> str:
    """The document's title: what its file says, else its first heading, else its first short line."""
    for page in pages[:3]:
        if page.heading and page.kind == "body" and not _junk(page.heading):
            return page.heading
        for line in _marked(page, pages).split("\n"):
            if match := _HEADING.match(line):
                return match[2][:120]
            if line.strip():
                return line.strip()[:120] if size(line.strip()) <= 30 and page.number in (None, 1) else ""
    return ""


def _junk(title: str) -> bool:
    return bool(re.match(r"(?i)(powerpoint presentation|presentation\d*|microsoft word|untitled|幻灯片\s*\d|slide \d+|新建|文档\d|document\d|无标题)", title))


def sections(pages: Sequence[Page]) -> Iterator[Section]:
    """The text under each heading, page by page; a heading goes on over page ends until the next one, but not over slides."""
    path: list[tuple[int, str]] = []
    for page in pages:
        if page.heading and page.kind != "notes":
            path = [(1, page.heading)] if page.number is not None or not path else path
        elif page.place.startswith("slide") and page.kind == "body":
            path = []  # an untitled slide stands by itself; it is not about the title of the slide before
        section = Section(tuple(text for _, text in path), page)
        if page.kind == "notes" and page.heading:
            section.path = (page.heading,)
        for block in re.split(r"\n\s*\n", _marked(page, pages)):
            for line in _joined(block):
                if match := _HEADING.match(line.text):
                    yield section
                    level = len(match[1])
                    path = [item for item in path if item[0] < level or (page.heading and page.number is not None and item == (1, page.heading))]
                    path.append((level, match[2]))
                    section = Section(tuple(text for _, text in path), page, standalone=_is_statement(match[2]))
                else:
                    section.lines.append(line)
        yield section


def _joined(block: str) -> Iterator[Line]:
    """The lines of a paragraph: list items and table rows apart; wrapped prose stays on the lines it was written on."""
    prose: list[str] = []
    for raw in block.split("\n"):
        if not raw.strip():
            continue
        heading, item, row = _HEADING.match(raw), _ITEM.match(raw), raw.startswith("| ")
        if prose and (_INLINE_MYTH.match(raw.strip()) or _FACT.match(raw.strip())):
            yield Line("\n".join(prose))
            prose = []
        if heading or item or row:
            if prose:
                yield Line("\n".join(prose))
                prose = []
            yield Line(raw.rstrip(), listed=bool(item), row=row)
        else:
            prose.append(raw.strip())
    if prose:
        yield Line("\n".join(prose))


# ------------------------------------------------------------------ headings in text that doesn't mark them

_QUESTION = re.compile(
    r"怎么|如何|怎样|什么|为何|为什么|哪些|哪个|谁是|是谁|何时|多少|吗$|\?$|？$|^(?:how|what|who|why|when|which|where)\b", re.IGNORECASE
)
_LIST_HEAD = re.compile(
    r"(?:原因|误区|要点|步骤|方法|标准|意义|价值|特点|特征|条件|原则|技巧|秘诀|措施|优势|作用|流程|清单|类型|差异|区别|表现|信号|好处|问题|建议|对策|要求)(?:[:：]|是什么|有哪些)?$"
    r"|\b(?:causes|reasons|mistakes|misconceptions|myths|steps|methods|criteria|tips|points|principles|signals|types|differences|benefits|rules|lessons|questions)[:：]?$",
    re.IGNORECASE,
)
_NOMINAL = re.compile(r"的[^，。的]{1,3}$")
_CHAPTER = re.compile(r"^(?:第[一二三四五六七八九十百\d]+[章节部分讲篇课]|[一二三四五六七八九十]{1,3}、|chapter \d|part \d|section \d|\d+(?:\.\d+)+\s)", re.IGNORECASE)


def _marked(page: Page, pages: Sequence[Page]) -> str:
    """The page's text with `# ` headings: its own, or those that plain text shows by its shape."""
    own = any(item.heading or re.search(r"^#{1,6} ", item.text, re.MULTILINE) for item in pages)
    return page.text if own or page.kind != "body" else mark_headings(page.text)


def mark_headings(text: str) -> str:
    """Plain text with its headings marked: short lines that ask, name a list, or open a slide."""
    out: list[str] = []
    state = _Outline()
    for gap, block in _blocks(text):
        out.append(state.mark(block, after_gap=gap))
    return "\n\n".join(out)


def _blocks(text: str) -> Iterator[tuple[bool, str]]:
    """Paragraphs, each with whether a slide's gap (two or more blank lines) stands before it."""
    for match in re.finditer(r"((?:[ \t\u3000]*\n)*)((?:[ \t\u3000]*\S[^\n]*(?:\n|$))+)", text):
        yield match[1].count("\n") >= 2, match[2].strip("\n")


@dataclass
class _Outline:
    """Reads blocks in order and remembers which heading is open."""

    heading: str = ""
    bare: bool = False  # the open heading has nothing under it yet
    listed: bool = False  # … has a bullet list under it
    parent: str = ""  # a heading without text, under which lists with headings of their own follow
    left: int | None = None  # statements that a counted list ("five misconceptions") still expects
    first: bool = True

    def mark(self, block: str, *, after_gap: bool) -> str:
        lines = [line.strip() for line in block.split("\n")]
        if any(_ITEM.match(line) or line.startswith("|") for line in lines):
            return self._list(lines)
        if len(lines) >= 3 and _short(lines[0], 20) and not _ends_sentence(lines[0]) and sum(map(len, lines)) < 400:
            return f"{self._open(lines[0])}\n\n" + self._body("\n".join(lines[1:]))
        joined = _one_line(lines)
        if self._opens(joined, after_gap):
            return self._open(joined)
        return self._body(block)

    def _opens(self, line: str, after_gap: bool) -> bool:
        first, self.first = self.first, False
        if not _short(line, 34) or _ends_sentence(line):
            return False
        if self.left == 0:
            return True
        if self.left or _MYTH.search(self.heading):  # items of a list that was announced, whatever they look like
            return bool(_CHAPTER.match(line) or (after_gap and _QUESTION.search(line)) or (not self.left and _LIST_HEAD.search(line)))
        if first or _CHAPTER.match(line) or line.endswith((":", "：")):
            return True
        if _QUESTION.search(line) or (_LIST_HEAD.search(line) and size(line) <= 16) or (size(line) <= 12 and _NOMINAL.search(line)):
            return True
        return after_gap and (self.listed or not _LIST_HEAD.search(self.heading))

    def _open(self, line: str) -> str:
        if self.bare:
            self.parent = self.heading
        elif self.heading:
            self.parent = ""
        self.heading, self.bare, self.listed = line, True, False
        self.left = _count(line)
        self.first = False
        return f"# {line}"

    def _body(self, text: str) -> str:
        self.bare, self.first = False, False
        if self.left:
            self.left -= 1
        return text

    def _list(self, lines: list[str]) -> str:
        head = [line for line in lines[:1] if not _ITEM.match(line) and not line.startswith("|") and _short(line, 34) and not _ends_sentence(line)]
        opened = f"{self._open(head[0])}\n" if head else ""
        self.bare, self.listed, self.first = False, True, False
        self.left = None
        return opened + "\n".join(lines[len(head) :])


def _one_line(lines: Sequence[str]) -> str:
    joined = lines[0]
    for line in lines[1:]:
        joined += line if joined[-1] > "\u2e7f" or line[0] > "\u2e7f" else f" {line}"
    return joined


def _short(line: str, limit: int) -> bool:
    return 0 < size(line) <= limit


def _ends_sentence(line: str) -> bool:
    return line.endswith(("。", "！", ".", "!", ";", "；", "，", ","))


def _count(heading: str) -> int | None:
    """How many statements a heading announces ("5大误区" → 5)."""
    if not (_MYTH.search(heading) or _LIST_HEAD.search(heading)) or not (match := _COUNT.search(heading)):
        return None
    word = (match[1] or match[2]).lower()
    return int(word) if word.isdigit() else _NUMBERS[word]


def _is_statement(heading: str) -> bool:
    """A heading that says something by itself, rather than naming or asking what should follow."""
    return size(heading) >= 8 and not (_QUESTION.search(heading) or _LIST_HEAD.search(heading) or _NOMINAL.search(heading) or _CHAPTER.match(heading))


# ------------------------------------------------------------------ sections to passages


@dataclass(frozen=True, slots=True)
class _Draft:
    """A passage that has no id yet."""

    text: str
    path: tuple[str, ...]
    page: Page
    polarity: Polarity = "advice"
    part: str = ""


def _without_bylines(found: Sequence[Section], title: str) -> tuple[list[Section], list[str]]:
    """Leaves out a name of two to four characters that stands alone below the title."""
    kept, names = [], []
    for i, section in enumerate(found):
        texts = [line.text for line in section.lines]
        if i <= 2 and section.path[-1:] == (title,) and len(texts) == 1 and re.fullmatch(r"[\u4e00-\u9fff·]{2,4}|[A-Z][a-z]+ [A-Z][a-z]+", texts[0]):
            names.append(texts[0])
            section = Section(section.path, section.page)
        kept.append(section)
    return kept, names


def _with_outlines(found: Sequence[Section], title: str) -> Iterator[_Draft]:
    """Sections as drafts; neighbouring headings without text are gathered in one draft, a lone statement is its own."""
    waiting: list[Section] = []
    for i, section in enumerate(found):
        if section.lines:
            yield from _outline(waiting, title)
            waiting = []
            yield from _drafts(section)
        elif section.path and not _leads_on(section, found[i + 1 :]) and section.path[-1] != title:
            if section.standalone:
                yield from _outline(waiting, title)
                waiting = []
                yield _Draft(section.path[-1], section.path, section.page, _polarity_of(section.path[:-1]))
            elif section.path not in [item.path for item in waiting]:
                waiting.append(section)
    yield from _outline(waiting, title)


def _leads_on(section: Section, later: Sequence[Section]) -> bool:
    """Is this heading only the parent of the sections that follow, or does its text go on on the next page?"""
    return bool(later) and later[0].path[: len(section.path)] == section.path


def _outline(waiting: Sequence[Section], title: str) -> Iterator[_Draft]:
    if waiting:
        text = "\n".join(section.path[-1] for section in waiting)
        yield _Draft(text[: LIMIT * 2], waiting[0].path[:1], waiting[0].page, part=OUTLINE)


def _drafts(section: Section) -> Iterator[_Draft]:
    meant = _polarity_of(section.path)
    if all(line.row for line in section.lines) and len(section.lines) > 2:
        yield from (_Draft(text, section.path, section.page, meant) for text in _tables(section.lines))
        return
    for polarity, lines in _runs(section.lines, meant):
        head = section.path[-1] if polarity == "myth" and section.path else ""
        for text in packed(lines, head):
            yield _Draft(text, section.path, section.page, polarity)


def _polarity_of(path: Sequence[str]) -> Polarity:
    """What the text under a heading is meant as: the nearest heading that says so decides."""
    for heading in reversed(path):
        if _REMEDY.search(heading):
            return "advice"
        if _MYTH.search(heading):
            return "myth"
        if _WARNING_HEADING.search(heading):
            return "warning"
    return "definition" if path and _DEFINITION.search(path[-1]) else "advice"


def _runs(lines: Sequence[Line], meant: Polarity) -> Iterator[tuple[Polarity, list[Line]]]:
    """Neighbouring lines that are meant alike. Rows follow the table that they belong to."""
    run: list[Line] = []
    now: Polarity = meant
    for line in lines:
        polarity = meant if line.row else _line_polarity(line.text, meant)
        if run and polarity != now:
            yield now, run
            run = []
        now = polarity
        run.append(line)
    if run:
        yield now, run


def _line_polarity(text: str, meant: Polarity) -> Polarity:
    bare = _ITEM.sub("", text).strip()
    bare = re.sub(r"^[a-zA-Z\d]{1,2}\s+", "", bare)
    if _FACT.match(bare):
        return "advice"
    if _INLINE_MYTH.match(bare):
        return "myth"
    if meant != "myth":
        return meant
    if _FORBID.match(bare) or (_RISK.search(bare) and not _NEGATED.search(bare) and size(bare) <= 60):
        return "warning"
    return "myth"


def packed(lines: Sequence[Line], head: str = "") -> Iterator[str]:
    """Lines gathered into texts within the limit; `head` stands at the beginning of each."""
    room = LIMIT - size(head)
    texts: list[str] = []
    used = 0.0
    for piece in (part for line in lines for part in _within(line.text, room)):
        if texts and used + size(piece) > room:
            yield "\n".join([head, *texts] if head else texts)
            texts, used = [], 0.0
        texts.append(piece)
        used += size(piece) + 1
    if texts:
        yield "\n".join([head, *texts] if head else texts)


def _tables(rows: Sequence[Line]) -> Iterator[str]:
    """Rows in groups, the first row repeated as the head of each."""
    yield from packed(rows[1:], rows[0].text) if size(rows[0].text) < LIMIT / 3 else packed(rows)


def _within(text: str, room: float) -> Iterable[str]:
    """`text`, cut at sentence ends where it is longer than `room`."""
    return [text] if size(text) <= room else _cut(text, room)


def _cut(text: str, room: float) -> list[str]:
    from langchain_text_splitters import RecursiveCharacterTextSplitter

    separators = ["\n", "。", "！", "？", "；", ". ", "! ", "? ", "; ", "，", ", ", "、", " ", ""]
    splitter = RecursiveCharacterTextSplitter(
        separators=separators, keep_separator="end", chunk_size=int(room), chunk_overlap=0, length_function=lambda part: int(size(part))
    )
    return splitter.split_text(text)


_WIDE = re.compile(r"[\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uff60]")


def size(text: str) -> float:
    """Length in Chinese characters: a wide character counts 1, any other a half."""
    return (len(text) + len(_WIDE.findall(text))) / 2


def _with_ids(drafts: Sequence[_Draft], document: str, title: str) -> Iterator[Passage]:
    """Ids come from heading and text: they survive insertions elsewhere, and accepted corrections."""
    taken: dict[str, int] = {}
    for draft in drafts:
        mark = hashlib.sha256("\n".join([*draft.path, draft.text]).encode()).hexdigest()[:10]
        taken[mark] = taken.get(mark, 0) + 1
        number = f"-{taken[mark]}" if taken[mark] > 1 else ""
        language = language_of(draft.text) if re.search(r"\w", draft.text) else language_of(title)
        yield Passage(
            id=f"{document}/{mark}{number}",
            text=draft.text,
            place=place_of(draft.page, draft.path, language) or title,
            language=language,
            title=title,
            document=document,
            part=draft.part,
            heading=" › ".join(draft.path if draft.path[:1] == (title,) else (title, *draft.path)),
            polarity=draft.polarity,
        )


def place_of(page: Page, path: Sequence[str], language: Language) -> str:
    """Where a passage stands, for people: page, slide or sheet, then its heading."""
    kind, _, rest = page.place.rpartition(" ") if page.number is not None else ("", "", page.place)
    numbered = {
        "p.": {"zh": f"第{rest}页", "en": f"p. {rest}"},
        "slide": {"zh": f"第{rest}张幻灯片", "en": f"slide {rest}"},
    }
    sheet = re.match(r"sheet (.+)", page.place)
    if kind in numbered:
        where = numbered[kind][language]
    else:
        where = ({"zh": f"工作表{sheet[1]}", "en": f"sheet {sheet[1]}"}[language]) if sheet else page.place
    if page.kind == "notes":
        where += "（备注）" if language == "zh" else " (notes)"
    heading = "" if sheet else " › ".join(path[-2:])
    return " › ".join(part for part in (where, heading) if part)


def correct(passage: Passage, accepted: Mapping[str, str]) -> Passage:
    """The passage with accepted corrections; what it was stays as `original`."""
    text = corrected(passage.text, accepted)
    heading = " › ".join(corrected(part, accepted) for part in passage.heading.split(" › ")) if passage.heading else ""
    place = " › ".join(corrected(part, accepted) for part in passage.place.split(" › "))
    title = corrected(passage.title, accepted)
    if (text, heading, title) == (passage.text, passage.heading, passage.title):
        return passage
    return replace(passage, text=text, heading=heading, title=title, place=place, original=passage.text)
