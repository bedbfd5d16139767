"""`make bench-desk`: taking documents in, beside what a LangChain + Chroma quickstart does with the same files and embedder.

    python .ci/bench_desk.py [--pages 500] [--data DIR] [--out docs/reports/desk.md]

Ours is the whole way to a preview: read in a worker, cleaned, split, embedded, checked for duplicates, contradictions and
findability, stored as drafts. The quickstart's is read, split, embedded, stored. Each runs in a process of its own; memory
is the largest sum of the resident sets of the process and its children, looked at five times a second.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
PAGES = 10  # of a file
SMALL = 500  # files of the folder that is taken in again
READY_SECONDS, AGAIN_SECONDS = 60, 3

WORDS = {
    "zh": (
        ("采购经理", "设备主任", "财务总监", "老客户", "新来的厂长", "质检组长", "项目牵头人", "车间班长"),
        ("想先看到", "一直没有答应", "上周退回了", "愿意试用", "要求补充", "私下打听过", "正在比较", "担心"),
        ("三家供应商的报价", "去年的停机记录", "验收标准的附件", "分期付款的办法", "培训计划", "备件清单", "试点方案", "售后响应时限"),
        ("因为季度预算已经锁定", "直到总部派人来过", "前提是交期不变", "但没有说明理由", "并且约了下一次会面", "而合同月底就要到期"),
    ),
    "en": (
        ("The purchasing manager", "The plant director", "A long-standing customer", "The head of finance", "The new quality lead", "The project owner", "The shift foreman"),
        ("first wanted to see", "has not agreed to", "returned last week", "is willing to try", "asked us to add to", "is comparing", "worries about"),
        ("the quotes of three vendors", "last year's downtime log", "the acceptance annex", "payment by instalments", "the training plan", "the list of spare parts", "the pilot outline"),
        ("because the quarter's budget is locked", "until head office has visited", "provided delivery stays as it is", "without giving a reason", "and set a date for the next meeting"),
    ),
}  # fmt: skip


NUMBERS = {"zh": ("，要在{}天内答复", "，占全年用量的{}%", "，涉及{}台设备"), "en": ("within {} days", "for {}% of the yearly volume", "on {} machines")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pages", type=int, default=500)
    parser.add_argument("--data", type=Path, help="a data directory with trained views to start from (it is copied)")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "reports" / "desk.md")
    parser.add_argument("--quickstart", nargs=2, type=Path, metavar=("DOCUMENTS", "STORE"), help="(used inside) take a folder in as a quickstart does")
    parser.add_argument("--upload", nargs=2, type=Path, metavar=("FILE", "DATA"), help="(used inside) send a file to the bot")
    options = parser.parse_args()
    if options.quickstart:
        print(quickstart(*options.quickstart))
    elif options.upload:
        print(asyncio.run(upload(*options.upload)))
    else:
        with tempfile.TemporaryDirectory(prefix="bench-desk-") as name:
            text = report(measure(Path(name), options.pages, options.data), options.pages)
        options.out.write_text(text, encoding="utf-8")
        print(text)


# ------------------------------------------------------------------ the documents


def paragraph(chance: random.Random, language: str, sentences: int = 6) -> str:
    stop, gap = ("。", "") if language == "zh" else (". ", " ")
    made = []
    for _ in range(sentences):
        words = [chance.choice(column) for column in WORDS[language]]
        if chance.random() < 0.3:
            words.append(chance.choice(NUMBERS[language]).format(chance.randrange(2, 90)))
        made.append(gap.join(words) + stop)
    return "".join(made).strip()


def write_documents(folder: Path, pages: int, chance: random.Random) -> int:
    """Files of PAGES pages each, PDF, PPTX and DOCX in turn, Chinese and English in turn; how many."""
    folder.mkdir()
    writers: Sequence[Callable[[Path, list[tuple[str, list[str]]]], None]] = (_pdf, _pptx, _docx)
    for number in range(pages // PAGES):
        language = ("zh", "en")[number // 3 % 2]
        content = [(paragraph(chance, language, 1)[:24], [paragraph(chance, language) for _ in range(3)]) for _ in range(PAGES)]
        writers[number % 3](folder / f"{number:03d}-{language}", content)
    return pages // PAGES


def _pdf(path: Path, content: Sequence[tuple[str, list[str]]]) -> None:
    """As a word processor would print it: LibreOffice, from flat OpenDocument with a page break before each heading."""
    import made_documents as made

    style = '<office:automatic-styles><style:style style:name="B" style:family="paragraph"><style:paragraph-properties fo:break-before="page"/></style:style></office:automatic-styles>'
    body = "".join(
        f'<text:h text:style-name="B" text:outline-level="1">{heading}</text:h>' + "".join(f"<text:p>{item}</text:p>" for item in paragraphs)
        for heading, paragraphs in content
    )
    source = path.with_suffix(".fodt")
    source.write_text(made._document("text", style, f"<office:text>{body}</office:text>"), encoding="utf-8")


def _pptx(path: Path, content: Sequence[tuple[str, list[str]]]) -> None:
    from pptx import Presentation

    deck = Presentation()
    for heading, paragraphs in content:
        slide = deck.slides.add_slide(deck.slide_layouts[1])
        slide.shapes.title.text = heading
        slide.placeholders[1].text = "\n".join(paragraphs)
    deck.save(str(path.with_suffix(".pptx")))


def _docx(path: Path, content: Sequence[tuple[str, list[str]]]) -> None:
    from docx import Document

    document = Document()
    for heading, paragraphs in content:
        document.add_heading(heading, 1)
        for item in paragraphs:
            document.add_paragraph(item)
        document.add_page_break()  # type: ignore[no-untyped-call]
    document.save(str(path.with_suffix(".docx")))


def write_small(folder: Path, chance: random.Random) -> None:
    """SMALL one-page files in four formats."""
    folder.mkdir()
    for number in range(SMALL):
        title, text = f"{number:03d}", paragraph(chance, ("zh", "en")[number % 2])
        shapes = {"md": f"# {title}\n\n{text}\n", "txt": f"{text}\n", "html": f"<h1>{title}</h1><p>{text}</p>", "csv": f'no,text\n{number},"{text}"\n'}
        suffix = list(shapes)[number // 2 % 4]
        (folder / f"{title}.{suffix}").write_text(shapes[suffix], encoding="utf-8")


def print_pdfs(folder: Path) -> None:
    """Turn the flat documents of `folder` into PDFs."""
    sources = sorted(map(str, folder.glob("*.fodt")))
    profile = f"-env:UserInstallation=file://{folder.resolve()}/../office"
    subprocess.run(["soffice", "--headless", profile, "--convert-to", "pdf", "--outdir", str(folder), *sources], check=True, capture_output=True)
    for source in sources:
        Path(source).unlink()


# ------------------------------------------------------------------ the quickstart's way, and the bot's


def quickstart(documents: Path, store: Path) -> int:
    """Load, split, embed, store; how many chunks."""
    import chromadb  # noqa: TID251 (this is the other side of the comparison)
    import numpy as np
    from langchain_text_splitters import RecursiveCharacterTextSplitter

    from knowledge.embedders import BundledEmbeddings

    splitter = RecursiveCharacterTextSplitter(chunk_size=1000, chunk_overlap=200)
    chunks = [chunk for path in sorted(documents.iterdir()) for text in _loaded(path) for chunk in splitter.split_text(text)]
    embeddings = BundledEmbeddings()
    collection = chromadb.PersistentClient(str(store)).create_collection("quickstart")
    for start in range(0, len(chunks), 100):
        batch = chunks[start : start + 100]
        collection.add(ids=[str(start + i) for i in range(len(batch))], documents=batch, embeddings=np.array(embeddings.embed_documents(batch), np.float32))
    return len(chunks)


async def upload(file: Path, data: Path) -> str:
    """Send a file to the bot as a trainer does in chat; the seconds from the file to the preview on the screen."""
    from bot.app import local_person, open_app
    from bot.conversation import serve
    from bot.settings import Settings
    from bot.turns import Attachment, Incoming, plain

    settings = Settings(data_dir=data, upload_megabytes=100, _env_file=None)
    async with open_app(settings) as app:
        person, started = local_person(), time.monotonic()
        incoming = Incoming("bench-1", person.chat, person.id, app.clock(), attachment=Attachment(file.name, file.stat().st_size, path=str(file)), language_hint="en")
        reply = await serve(app, person, incoming)
        seconds = time.monotonic() - started
    assert reply is not None
    counts = next(line for line in plain(reply).splitlines() if "passages" in line)
    return f"{seconds:.1f} s in the open bot: {counts}"


def _loaded(path: Path) -> Iterator[str]:
    if path.suffix == ".pdf":
        from pypdf import PdfReader

        yield from (page.extract_text() for page in PdfReader(path).pages)
    elif path.suffix == ".pptx":
        from pptx import Presentation

        for slide in Presentation(str(path)).slides:
            yield "\n".join(shape.text_frame.text for shape in slide.shapes if shape.has_text_frame)
    else:
        from docx import Document

        yield "\n".join(item.text for item in Document(str(path)).paragraphs)


# ------------------------------------------------------------------ measuring


@dataclass(frozen=True, slots=True)
class Run:
    """A command measured: seconds, megabytes, the machine's load at its end, the last line that it printed."""

    what: str
    seconds: float
    megabytes: int
    load: float
    last: str


def measure(folder: Path, pages: int, data: Path | None) -> list[Run]:
    chance = random.Random("desk")
    documents, small = folder / "documents", folder / "small"
    count = write_documents(documents, pages, chance)
    single = folder / "single"
    single.mkdir()
    _pdf(single / "handbook", [(paragraph(chance, "en", 1)[:24], [paragraph(chance, "en") for _ in range(3)]) for _ in range(pages)])
    print_pdfs(documents)
    print_pdfs(single)
    write_small(small, chance)
    coach, bench = [sys.executable, "-m", "bot"], [sys.executable, __file__]
    at = ["--data", str(folder / "data")]
    if data:
        shutil.copytree(data, folder / "data")
    run("setup", [*coach, "search", *at, "付款"])  # the bundled cards and their views, as on any machine in use
    return [
        run(f"ours: `coach ingest --draft`, {count} files, {pages} pages", [*coach, "ingest", *at, "--draft", str(documents)]),
        run("quickstart: the same files", [*bench, "--quickstart", str(documents), str(folder / "store")]),
        run(f"ours: one PDF of {pages} pages sent in chat, to its preview", [*bench, "--upload", str(single / "handbook.pdf"), str(folder / "data")]),
        run(f"ours: `coach ingest`, the {count} files published", [*coach, "ingest", *at, str(documents)]),
        run(f"ours: `coach ingest`, a folder of {SMALL} files published", [*coach, "ingest", *at, str(small)]),
        run(f"ours: `coach ingest`, the folder of {SMALL} files unchanged", [*coach, "ingest", *at, str(small)]),
    ]


def run(what: str, command: Sequence[str]) -> Run:
    started, most = time.monotonic(), 0
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT, env={**os.environ, "PYTHONPATH": str(ROOT)})
        while process.poll() is None:
            most = max(most, _resident(process.pid))
            time.sleep(0.2 if time.monotonic() - started > 5 else 0.02)
        seconds = time.monotonic() - started
        output.seek(0)
        text = output.read().strip()
    if process.returncode:
        raise SystemExit(f"{what}: {text[-2000:]}")
    return Run(what, seconds, most // 1_048_576, os.getloadavg()[0], text.splitlines()[-1] if text else "")


def _resident(pid: int) -> int:
    """Bytes resident of a process and all below it; 0 for one that has just ended."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except (OSError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE") + sum(_resident(int(child)) for child in children)


def report(runs: Sequence[Run], pages: int) -> str:
    ours, theirs, again = runs[0], runs[1], runs[-1]
    rows: list[Any] = [f"| {item.what} | {item.seconds:.1f} | {item.megabytes} | {item.load:.1f} | {item.last.replace('|', '/')} |" for item in runs]
    return "\n".join([
        "# Taking documents in",
        "",
        f"`make bench-desk` on {os.cpu_count()} cores. Load: the machine's one-minute load when a run ended; on an idle machine it is below",
        "what the run itself uses (2 at most). Seconds are of the whole command, from start to exit, start-up included.",
        "Documents are made by the script, seeded: PDF (printed by LibreOffice), PPTX and DOCX in turn, Chinese and English in turn,",
        f"{PAGES} pages a file; the folder of {SMALL} files is Markdown, text, HTML and CSV. Both sides use the same bundled embedder.",
        "The quickstart loads with pypdf, python-pptx and python-docx (what LangChain's loaders call), splits with LangChain's",
        "RecursiveCharacterTextSplitter (1000, 200) and stores in Chroma.",
        "",
        "| run | seconds | MB at the peak | load | last line |",
        "|---|---:|---:|---:|---|",
        *rows,
        "",
        f"- Pages a second: ours {pages / ours.seconds:.1f}, quickstart {pages / theirs.seconds:.1f}. Ours also cleans, keeps places, checks for",
        "  duplicates and contradictions, tries whether each passage can be found, and stores previews. Both counts include start-up.",
        f"- Memory at the peak: ours {ours.megabytes} MB (with the reading workers), quickstart {theirs.megabytes} MB.",
        f"- {pages} pages ready to publish within {READY_SECONDS} s: {'met' if ours.seconds <= READY_SECONDS else 'not met'} ({ours.seconds:.1f} s).",
        f"- {SMALL} unchanged files again within {AGAIN_SECONDS} s: {'met' if again.seconds < AGAIN_SECONDS else 'not met'} ({again.seconds:.1f} s).",
        "",
    ])  # fmt: skip


if __name__ == "__main__":
    main()
