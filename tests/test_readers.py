"""Files of every kind are read with their places, and broken ones are refused in words."""

import asyncio
import io
import os
import signal
import time
from pathlib import Path

import numpy as np
import odd_files
import pytest

from bot.phrases import phrases
from knowledge.passages import Page
from knowledge.readers import READERS, read
from knowledge.readers.refusals import REFUSALS, Unreadable
from knowledge.readers.worker import ReadingWorker


def saved(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def test_every_refusal_can_be_said_in_both_languages() -> None:
    for code in REFUSALS:
        assert f"desk.refused_{code}" in phrases("zh"), code
        assert f"desk.refused_{code}" in phrases("en"), code


def test_a_hundred_odd_files_end_in_pages_or_in_a_clear_refusal(tmp_path: Path) -> None:
    """Each within its time, in one worker that survives them all."""
    paths = odd_files.make_all(tmp_path)
    assert len(paths) >= 100

    async def read_them() -> dict[str, list[Page] | Unreadable]:
        found: dict[str, list[Page] | Unreadable] = {}
        async with ReadingWorker(seconds=20) as worker:
            for path in paths:
                try:
                    found[path.name] = await worker.read(path)
                except Unreadable as problem:
                    found[path.name] = problem
            assert await worker.read(saved(tmp_path, "last.txt", b"still alive"))
        return found

    found = asyncio.run(read_them())
    wrongly_refused = {name: str(result) for name, result in found.items() if name.startswith("ok-") and isinstance(result, Unreadable)}
    assert wrongly_refused == {}
    wrongly_read = [name for name, result in found.items() if name.startswith("bad-") and not isinstance(result, Unreadable)]
    assert wrongly_read == []
    without_text = [name for name, result in found.items() if name.startswith("ok-") and isinstance(result, list) and not any(page.text.strip() or page.heading for page in result)]
    assert without_text == []
    for result in found.values():
        if isinstance(result, Unreadable):
            assert result.what and result.fix


def test_slides_carry_their_number_title_notes_and_table(tmp_path: Path) -> None:
    from pptx.util import Inches

    def change(deck: object) -> None:
        slide = deck.slides[1]  # type: ignore[attr-defined]
        slide.notes_slide.notes_text_frame.text = "Say this slowly."
        table = slide.shapes.add_table(2, 2, Inches(1), Inches(4), Inches(4), Inches(1)).table
        for i, text in enumerate(["Role", "Wants", "Finance", "payback"]):
            table.cell(i // 2, i % 2).text = text

    pages = list(read(saved(tmp_path, "d.pptx", odd_files.pptx(3, change=change))))
    assert [(page.place, page.heading, page.kind) for page in pages] == [
        ("slide 1", "Heading 1", "body"), ("slide 2", "Heading 2", "body"), ("slide 2", "Heading 2", "notes"), ("slide 3", "Heading 3", "body"),
    ]  # fmt: skip
    assert "- Point one of 2" in pages[1].text
    assert "| Finance | payback |" in pages[1].text
    assert pages[2].text == "Say this slowly."


def test_notes_in_a_plain_box_are_read_and_an_untitled_slide_has_no_borrowed_title(tmp_path: Path) -> None:
    """LibreOffice writes notes without the notes placeholder."""
    from pptx import Presentation
    from pptx.util import Cm

    from knowledge.splitting import split

    deck = Presentation()
    titled = deck.slides.add_slide(deck.slide_layouts[5])
    titled.shapes.title.text = "付款条件"
    frame = titled.notes_slide.notes_placeholder
    frame._element.getparent().remove(frame._element)
    untitled = deck.slides.add_slide(deck.slide_layouts[6])
    for shapes, text in ((titled.shapes, "先问对方的付款习惯。"), (titled.notes_slide.shapes, "讲那次尾款的事。"), (untitled.shapes, "拜访前读三条公开消息。")):
        if box := getattr(shapes, "add_textbox", None):
            box(Cm(1), Cm(8), Cm(10), Cm(2)).text_frame.text = text
        else:
            shapes.clone_placeholder(deck.notes_master.placeholders[0])
            box = next(iter(shapes))
            box.text_frame.text = text
            box._element.nvSpPr.nvPr.remove(box._element.nvSpPr.nvPr.ph)
    deck.save(tmp_path / "deck.pptx")
    places = {item.text: item.place for item in split(list(read(tmp_path / "deck.pptx")), "doc-x", "deck").passages}
    assert places["讲那次尾款的事。"] == "第1张幻灯片（备注） › 付款条件"
    assert places["拜访前读三条公开消息。"] == "第2张幻灯片"


def test_pdf_pages_carry_their_number(tmp_path: Path) -> None:
    pages = list(read(saved(tmp_path, "d.pdf", odd_files.pdf([f"Text of page {i}" for i in range(1, 8)]))))
    assert [page.place for page in pages] == [f"p. {i}" for i in range(1, 8)]
    assert all(f"Text of page {page.number}" in page.text for page in pages)


def test_chinese_pdf_with_headings_and_a_table(tmp_path: Path) -> None:
    """Drawn with the bundled typeface, as a report program would."""
    import matplotlib
    from matplotlib.backends.backend_pdf import PdfPages
    from matplotlib.figure import Figure
    from matplotlib.font_manager import FontProperties

    from bot.charts import font

    path = tmp_path / "zh.pdf"
    with matplotlib.rc_context({"pdf.fonttype": 42}), PdfPages(path) as out:
        for number in (1, 2):
            figure = Figure(figsize=(6, 8))
            figure.text(0.1, 0.9, f"客户分歧{number}", fontproperties=FontProperties(fname=str(font()), size=22))
            figure.text(0.1, 0.8, "先问每个人担心什么。", fontproperties=FontProperties(fname=str(font()), size=11))
            figure.text(0.1, 0.75, "再约下一步。", fontproperties=FontProperties(fname=str(font()), size=11))
            out.savefig(figure)
    pages = list(read(path))
    assert [page.place for page in pages] == ["p. 1", "p. 2"]
    assert "# 客户分歧2" in pages[1].text
    assert "先问每个人担心什么。" in pages[1].text


def test_a_page_that_is_only_a_picture_is_named(tmp_path: Path) -> None:
    from matplotlib.backends.backend_pdf import PdfPages
    from matplotlib.figure import Figure

    path = tmp_path / "scan.pdf"
    with PdfPages(path) as out:
        figure = Figure(figsize=(4, 4))
        figure.figimage(np.zeros((100, 100)))
        out.savefig(figure)
    assert [page.remarks for page in read(path)] == [("scan",)]


def test_word_headings_lists_tables_and_text_boxes_in_order(tmp_path: Path) -> None:
    def change(document: object) -> None:
        document.add_heading("Mistakes", 2)  # type: ignore[attr-defined]
        document.add_paragraph("Quoting too early", style="List Bullet")  # type: ignore[attr-defined]
        table = document.add_table(1, 2)  # type: ignore[attr-defined]
        table.cell(0, 0).text, table.cell(0, 1).text = "Role", "Fear"

    text = next(iter(read(saved(tmp_path, "d.docx", odd_files.docx(change=change))))).text
    assert [line for line in text.split("\n") if line] == ["# Heading", "Ask who signs before you talk about price.", "## Mistakes", "- Quoting too early", "| Role | Fear |"]


def test_excel_sheets_become_rows(tmp_path: Path) -> None:
    (page,) = read(saved(tmp_path, "d.xlsx", odd_files.xlsx(2)))
    assert page.place == "sheet Sheet"
    assert page.text.split("\n") == ["| 客户 | 金额 |", "| 客户0 | 0 |", "| 客户1 | 10 |"]


def test_web_pages_give_headings_lists_and_tables_and_nothing_hidden(tmp_path: Path) -> None:
    source = b"<html><head><title>T</title><script>x()</script></head><body><nav>Menu</nav><h2>Steps</h2><ul><li>Ask</li><li>Listen</li></ul><table><tr><th>A</th><td>B</td></tr></table></body></html>"
    (page,) = read(saved(tmp_path, "p.html", source))
    assert page.heading == "T"
    assert [line for line in page.text.split("\n") if line] == ["## Steps", "- Ask", "- Listen", "| A | B |"]


def test_old_encodings_are_recognised_and_said(tmp_path: Path) -> None:
    text = "客户内部有分歧时，先弄清每个人担心什么。\n" * 3
    for encoding, remark in (("gb18030", "encoding:gb18030"), ("utf-16", "encoding:utf-16")):
        (page,) = read(saved(tmp_path, "t.txt", text.encode(encoding)))
        assert page.text == text
        assert page.remarks == (remark,)


def test_the_type_is_told_by_content(tmp_path: Path) -> None:
    (first, _) = read(saved(tmp_path, "slides.txt", odd_files.pptx(2)))
    assert first.place == "slide 1"


def test_a_reader_that_hangs_or_dies_is_replaced(tmp_path: Path) -> None:
    """A named pipe never ends; a killed process is started again; the caller gets a refusal each time."""

    async def scene() -> None:
        good = saved(tmp_path, "good.txt", b"Meet the users first.")
        async with ReadingWorker(seconds=1.0) as worker:
            await worker.read(good)
            assert worker._process
            os.kill(worker._process.pid, signal.SIGSTOP)
            started = time.monotonic()
            with pytest.raises(Unreadable, match="longer than"):
                await worker.read(good)
            assert time.monotonic() - started < 5
        async with ReadingWorker(seconds=20) as worker:
            await worker.read(good)
            assert worker._process
            worker._process.kill()
            await worker._process.wait()
            assert (await worker.read(good))[0].text == "Meet the users first."

    asyncio.run(scene())


def test_memory_is_bounded(tmp_path: Path) -> None:
    async def scene() -> None:
        async with ReadingWorker(megabytes=300) as worker:
            with pytest.raises(Unreadable):
                await worker.read(saved(tmp_path, "big.txt", b"meet the users " * 5_000_000))
            assert await worker.read(saved(tmp_path, "good.txt", b"Meet the users first."))

    asyncio.run(scene())


def test_an_archive_is_read_member_by_member(tmp_path: Path) -> None:
    data = odd_files.zipped({"a.txt": b"Meet the users.", "b.pdf": odd_files.pdf(["one", "two"])})
    pages = list(read(saved(tmp_path, "x.zip", data)))
    assert [page.place for page in pages] == ["a.txt", "b.pdf p. 1", "b.pdf p. 2"]


def test_the_table_of_readers_names_real_modules() -> None:
    import importlib

    for module in READERS.values():
        assert callable(importlib.import_module(module).read)


def test_links_in_office_files_are_never_followed(tmp_path: Path) -> None:
    """The autouse fixture fails any connection; the text is read all the same."""
    document = io.BytesIO(odd_files.docx())
    assert "Ask who signs" in next(iter(read(saved(tmp_path, "l.docx", document.getvalue())))).text


@pytest.mark.parametrize("declared", ["undefined", "idna", "unicode_escape", "raw_unicode_escape", "utf-7", "punycode", "base64", "nonsense", "utf-16"])
def test_a_web_pages_word_about_its_encoding_is_believed_only_if_it_can_be(declared: str, tmp_path: Path) -> None:
    data = b"<html><meta charset=" + declared.encode() + b"><body><p>Meet the users \\ud800 \\x00 +2AA-</p></body></html>"
    (page,) = read(saved(tmp_path, "a.html", data))
    assert page.text.startswith("Meet the users") and "\x00" not in page.text and page.text.encode()


@pytest.mark.parametrize("suffix", ["pptx", "docx", "xlsx", "zip"])
def test_a_file_with_a_flipped_byte_anywhere_is_read_or_refused(suffix: str, tmp_path: Path) -> None:
    """In the packed data, a checksum, the directory: what the libraries raise differs, what we say does not."""
    good = odd_files.zipped({"a.md": b"# T\n" + odd_files.TEXT.encode() * 20}) if suffix == "zip" else getattr(odd_files, suffix)()
    refused = 0
    for at in range(30, len(good), len(good) // 24):
        path = saved(tmp_path, f"a.{suffix}", good[:at] + bytes([good[at] ^ 0xFF]) + good[at + 1 :])
        try:
            assert list(read(path))
        except Unreadable as problem:
            refused += problem.code == "damaged"
    assert refused
