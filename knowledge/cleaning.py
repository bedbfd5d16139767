"""What a document carries that nobody wrote for readers: download lines, running heads, words swapped by a web site.

Clean-up that loses nothing is always done and always shown. Corrections of words are only proposed, per document and
judged by their context; they are applied where somebody accepted them, and the original is kept beside them.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal

import yaml

from knowledge.passages import Page

RULES = Path(__file__).parent / "content" / "ingest" / "corrections.yaml"

_INVISIBLE = re.compile(r"[\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff\u00ad]")
_URL = re.compile(r"<?(?:https?://|www\.)[^\s<>]+>?", re.IGNORECASE)
_WATERMARK = re.compile(
    r"试(?:下载|读|看|阅)部分|可阅读页数|(?:下载|阅读)(?:或阅读)?全文|全文请(?:访问|下载|点击)"
    r"|本(?:文档|资料|文件|课件)(?:由|来自|来源于).{0,30}(?:下载|分享|上传|整理|收集|提供)"
    r"|更多(?:精品|资料|文档|课件).{0,12}(?:下载|访问|关注|请)|(?:免费|点击|立即)下载(?:本|更多|全文|地址|链接)"
    r"|downloaded from|(?:download|read|view) the full (?:document|version|text)|scanned (?:with|by) \w*scan"
    r"|(?:created|generated|converted) (?:with|by) .{0,40}(?:trial|evaluation|unregistered|demo)"
    r"|(?:this is a|end of) (?:preview|trial|sample)\b|evaluation (?:copy|only)|unregistered version",
    re.IGNORECASE,
)
_SITE = re.compile(
    r"book118|docin|doc88|wenku|renrendoc|taodocs|jinchutou|zhuangpeitu|百度文库|豆丁网?|道客巴巴|原创力|人人文库|金锄头|淘豆网|装配图网|scribd|slideshare|docsity"
)
_FETCH = re.compile(r"下载|全文|访问|网址|官网|更多|download|visit|full version|see more|source:", re.IGNORECASE)
_PAGE_NUMBER = re.compile(
    r"[-–—·\s]*(?:第\s*\d+\s*[页張张](?:\s*[/，,（(]?\s*共\s*\d+\s*[页張张]\s*[)）]?)?|page\s+\d+(?:\s*(?:of|/)\s*\d+)?|\d+\s*/\s*\d+|[-–—]\s*\d+\s*[-–—])[-–—·\s]*",
    re.IGNORECASE,
)
RUNNING_SHARE = 0.5  # of the pages; a line on so many page edges belongs to the layout
ANYWHERE_SHARE = 0.7  # … and on so many pages at all
EDGE = 2  # lines counted as a page's edge
JOINED = 5  # characters of a line that is looked for inside joined lines

Why = Literal["watermark", "running", "page-number", "empty"]


@dataclass(frozen=True, slots=True)
class Dropped:
    """A line (or an empty page: text "") that was left out, and why."""

    place: str
    text: str
    why: Why


@dataclass(frozen=True, slots=True)
class Correction:
    """A line whose words were probably swapped: as it stands, as it may have been, and the words that differ."""

    place: str
    before: str
    after: str
    words: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Cleaned:
    """Pages without what is no content, and what could be corrected in them."""

    pages: tuple[Page, ...]
    dropped: tuple[Dropped, ...]
    corrections: tuple[Correction, ...]


def clean(pages: Sequence[Page]) -> Cleaned:
    """Clean-up of a whole document: what is layout shows only when all its pages are seen together."""
    pages = [replace(page, text=_tidy(page.text), heading=_tidy(page.heading).strip()) for page in pages]
    running = _running_lines(pages)
    kept: list[Page] = []
    dropped: list[Dropped] = []
    for page in pages:
        lines: list[str] = []
        for line in page.text.split("\n"):
            if why := _no_content(line, page, running):
                dropped.append(Dropped(page.place, line.strip(), why))
            else:
                lines.append(line)
        if not any(map(str.strip, lines)) and not page.heading:
            if page.kind == "body" and page.number is not None:
                dropped.append(Dropped(page.place, "", "empty"))
            if not page.remarks:
                continue
        kept.append(replace(page, text="\n".join(lines)))
    dropped += [Dropped(page.place, "", "empty") for page in kept if page.number is None for _ in _gaps(page.text)]
    return Cleaned(tuple(kept), tuple(dropped), tuple(propose(kept)))


def _tidy(text: str) -> str:
    """Invisible characters out, one form for each character (NFC), no blanks at line ends."""
    text = _INVISIBLE.sub("", unicodedata.normalize("NFC", text)).replace("\u2028", "\n").replace("\u2029", "\n")
    return "\n".join(line.replace("\xa0", " ").rstrip(" \t\u3000") for line in text.split("\n"))


def _no_content(line: str, page: Page, running: set[str]) -> Why | None:
    bare = _bare(line)
    if not bare:
        return None
    if _is_watermark(bare):
        return "watermark"
    if _PAGE_NUMBER.fullmatch(bare):
        return "page-number"
    if page.number is not None and (_pattern(bare) in running or bare in running):
        return "running"
    if page.number is None and bare in running:
        return "running"
    return None


def _bare(line: str) -> str:
    """A line without list and heading marks."""
    return re.sub(r"^\s*(?:#{1,6}|[-*])\s+", "", line).strip()


def _is_watermark(line: str) -> bool:
    link = _URL.search(line)
    if link and not re.sub(r"[\s:：，,。.<>-]", "", _URL.sub("", line)):
        return True  # a bare address
    if link and (_FETCH.search(line) or _SITE.search(line)) and len(_URL.sub("", line)) < 60:
        return True
    if _SITE.search(line) and len(line) <= 24:
        return True
    return bool(_WATERMARK.search(line)) and len(line) < 160


def _pattern(line: str) -> str:
    return re.sub(r"\d+", "#", line)


def _running_lines(pages: Sequence[Page]) -> set[str]:
    """Lines (digits as #) that stand at the edges of most pages, or somewhere on nearly all."""
    numbered = [page for page in pages if page.number is not None and page.kind == "body" and page.text.strip()]
    if len(numbered) < 3:
        return _repeated_blocks(pages)
    edges: dict[str, dict[int, str]] = defaultdict(dict)
    anywhere: Counter[str] = Counter()
    for page in numbered:
        lines = [bare for bare in map(_bare, page.text.split("\n")) if bare and not bare.startswith("| ")]
        for line in {*lines[:EDGE], *lines[-EDGE:]}:
            edges[_pattern(line)][page.number or 0] = line
        anywhere.update({line for line in lines if len(line) <= 60})
    least = max(3, RUNNING_SHARE * len(numbered))
    found = {pattern for pattern, seen in edges.items() if len(seen) >= least and _belongs_to_layout(seen)}
    return found | {line for line, count in anywhere.items() if count >= max(4, ANYWHERE_SHARE * len(numbered))}


def _belongs_to_layout(seen: Mapping[int, str]) -> bool:
    """The same words on each page, or a label of the pages: the same words, and apart from them the page's number."""
    if len(set(seen.values())) == 1:
        return True
    labels = {page: _LABEL.fullmatch(line) for page, line in seen.items()}
    return all(label is not None for label in labels.values()) and (
        len({int(label["before"] or label["after"] or 0) - page for page, label in labels.items() if label}) == 1
    )


# "Sales handbook | 7", "7 · 销售手册第二版"; not "步骤 7", which may be what the page is about
_LABEL = re.compile(r"(?:(?P<before>\d{1,4})[\s|·/–—-]+)?\D{6,60}?(?:[\s|·/–—-]+(?P<after>\d{1,4}))?(?<=.{7})")


def _repeated_blocks(pages: Sequence[Page]) -> set[str]:
    """In text without pages: a short line that stands alone, between blank lines, six times or more."""
    blocks = (block.strip() for page in pages if page.kind == "body" for block in re.split(r"\n\s*\n", page.text))
    counts = Counter(block for block in blocks if block and "\n" not in block and len(block) <= 40)
    return {block for block, count in counts.items() if count >= 6}


def _gaps(text: str) -> Iterator[str]:
    """Runs of three or more blank lines between text: slides of an exported deck that held nothing but a picture."""
    return (match[0] for match in re.finditer(r"\n(?:[ \t\u3000]*\n){3,}(?=\S)", text.strip()))


@dataclass(frozen=True, slots=True)
class Rule:
    """A swapped word and the contexts in which it is one."""

    wrong: str
    right: str
    before: str = ""
    after: str = ""
    unless_before: str = ""
    unless_after: str = ""
    sure: bool = False

    def spans(self, text: str) -> Iterator[tuple[int, int]]:
        start = text.find(self.wrong)
        while start >= 0:
            end = start + len(self.wrong)
            if self._fits(text[:start], text[end:]):
                yield start, end
            start = text.find(self.wrong, end)

    def _fits(self, left: str, right: str) -> bool:
        if self.before and not re.search(f"(?:{self.before})$", left):
            return False
        if self.after and not re.match(self.after, right):
            return False
        if self.unless_before and re.search(f"(?:{self.unless_before})$", left):
            return False
        return not (self.unless_after and re.match(self.unless_after, right))


@cache
def rules() -> tuple[Rule, ...]:
    """The rules, longer words first, so that `减少本钱` goes before `本钱`."""
    data: list[dict[str, Any]] = yaml.load(RULES.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
    return tuple(sorted((Rule(**item) for item in data), key=lambda rule: -len(rule.wrong)))


def propose(pages: Iterable[Page]) -> Iterator[Correction]:
    """The lines that look swapped. Doubtful words count only in a document that shows two words that are not."""
    lines = [(page.place, line) for page in pages for line in (page.heading, *page.text.split("\n")) if line.strip()]
    whole = "\n".join(line for _, line in lines)
    suspects = [rule for rule in rules() if rule.wrong in whole]
    hits = {line: list(_hits(line, suspects)) for _, line in lines}
    signs = {rule.wrong for found in hits.values() for rule, _, _ in found if rule.sure}
    seen: set[str] = set()
    for place, line in lines:
        chosen = [hit for hit in hits[line] if hit[0].sure or len(signs) >= 2]
        if chosen and line not in seen:
            seen.add(line)
            after, words = _replaced(line, chosen)
            yield Correction(place, _bare(line), _bare(after), words)


def _hits(line: str, suspects: Sequence[Rule]) -> Iterator[tuple[Rule, int, int]]:
    taken: set[int] = set()
    for rule in suspects:
        for start, end in rule.spans(line):
            if taken.isdisjoint(range(start, end)):
                taken.update(range(start, end))
                yield rule, start, end


def _replaced(line: str, hits: Sequence[tuple[Rule, int, int]]) -> tuple[str, tuple[tuple[str, str], ...]]:
    pairs = []
    for rule, start, end in sorted(hits, key=lambda hit: -hit[1]):
        line = line[:start] + rule.right + line[end:]
        pairs.append((rule.wrong, rule.right))
    return line, tuple(reversed(pairs))


def corrected(text: str, accepted: Mapping[str, str]) -> str:
    """`text` with the lines that `accepted` maps (as they stand → as corrected); marks at line starts are kept."""
    if not accepted:
        return text
    return "\n".join(_corrected_line(line, accepted) for line in text.split("\n"))


def _corrected_line(line: str, accepted: Mapping[str, str]) -> str:
    """A whole line, or one that was joined from several lines of the file (a wrapped sentence)."""
    bare = _bare(line)
    if bare in accepted:
        return line.replace(bare, accepted[bare])
    for before in sorted(accepted, key=len, reverse=True):
        if len(before) >= JOINED and before in line:
            line = line.replace(before, accepted[before])
    return line
