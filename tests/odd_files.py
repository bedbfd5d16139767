"""Files as trainers really send them: broken, disguised, huge, in old encodings. Made here, by script; none is stored.

`make_all(folder)` writes over a hundred. The name's first word says what is expected:
`bad-…` must be refused, `ok-…` must be read, `any-…` may be either (never a crash, never a hang).
"""

from __future__ import annotations

import io
import random
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

TEXT = "客户内部有分歧时，先弄清每个人担心什么。\n\nAgree the next step before the meeting ends.\n"


def pdf(pages: list[str], *, extra: bytes = b"", font: str = "Helvetica") -> bytes:
    """A small, correct PDF: one string of Latin text a page, lines by newline."""
    objects = [b"<< /Type /Catalog /Pages 2 0 R >>", b"", b"<< /Type /Font /Subtype /Type1 /BaseFont /" + font.encode() + b" >>"]
    kids = []
    for text in pages:
        lines = "".join(f"({line}) Tj T* " for line in text.replace("(", "[").replace(")", "]").split("\n"))
        stream = f"BT /F1 12 Tf 14 TL 72 720 Td {lines}ET".encode("latin-1", "replace")
        objects.append(b"<< /Length %d >> stream\n%s\nendstream" % (len(stream), stream))
        kids.append(len(objects) + 1)
        objects.append(b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents %d 0 R /Resources << /Font << /F1 3 0 R >> >> >>" % (len(objects)))
    objects[1] = b"<< /Type /Pages /Count %d /Kids [%s] >>" % (len(kids), b" ".join(b"%d 0 R" % kid for kid in kids))
    out, offsets = io.BytesIO(), []
    out.write(b"%PDF-1.4\n" + extra)
    for number, body in enumerate(objects, 1):
        offsets.append(out.tell())
        out.write(b"%d 0 obj\n%s\nendobj\n" % (number, body))
    start = out.tell()
    out.write(b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1))
    out.write(b"".join(b"%010d 00000 n \n" % offset for offset in offsets))
    out.write(b"trailer << /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF" % (len(objects) + 1, start))
    return out.getvalue()


def pptx(slides: int = 2, *, change: Callable[[object], None] | None = None) -> bytes:
    from pptx import Presentation

    deck = Presentation()
    for number in range(1, slides + 1):
        slide = deck.slides.add_slide(deck.slide_layouts[1])
        slide.shapes.title.text = f"Heading {number}"
        slide.placeholders[1].text = f"Point one of {number}\nPoint two of {number}"
    if change:
        change(deck)
    out = io.BytesIO()
    deck.save(out)
    return out.getvalue()


def docx(*, change: Callable[[object], None] | None = None) -> bytes:
    from docx import Document

    document = Document()
    document.add_heading("Heading", 1)
    document.add_paragraph("Ask who signs before you talk about price.")
    if change:
        change(document)
    out = io.BytesIO()
    document.save(out)
    return out.getvalue()


def xlsx(rows: int = 3, *, formula: bool = False) -> bytes:
    from openpyxl import Workbook

    book = Workbook()
    sheet = book.active
    sheet.append(["客户", "金额"])
    for row in range(rows):
        sheet.append([f"客户{row}", f"=A{row}*2" if formula else row * 10])
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def repacked(data: bytes, change: Callable[[str, bytes], bytes | None], *, more: dict[str, bytes] | None = None) -> bytes:
    """An Office file with parts changed, left out (None) or added."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as source, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as target:
        for info in source.infolist():
            part = change(info.filename, source.read(info))
            if part is not None:
                target.writestr(info.filename, part)
        for name, part in (more or {}).items():
            target.writestr(name, part)
    return out.getvalue()


def zipped(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


def _truncated() -> Iterator[tuple[str, bytes]]:
    whole = {"pdf": pdf(["one", "two"]), "pptx": pptx(), "docx": docx(), "xlsx": xlsx(), "zip": zipped({"a.txt": TEXT.encode()})}
    for suffix, data in whole.items():
        for share in (0.1, 0.5, 0.9):
            cut = data[: int(len(data) * share)]
            yield f"{'any' if suffix == 'pdf' else 'bad'}-cut-{int(share * 100)}.{suffix}", cut
        yield f"any-zeros-inside.{suffix}", data[:200] + bytes(100) + data[300:]
        yield f"any-appended.{suffix}", data + b"garbage" * 50


def _wrong_names() -> Iterator[tuple[str, bytes]]:
    yield "ok-really-a-pdf.txt", pdf(["hello customer"])
    yield "ok-really-a-pptx.pdf", pptx()
    yield "ok-really-a-docx.md", docx()
    yield "ok-really-text.pdf", TEXT.encode()
    yield "ok-really-text.pptx", TEXT.encode()
    yield "ok-really-html.txt", b"<!DOCTYPE html><html><body><h1>T</h1><p>Meet the users first.</p></body></html>"
    yield "ok-no-suffix", TEXT.encode()
    yield "bad-picture.pdf", b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 20
    yield "bad-jpeg.docx", b"\xff\xd8\xff\xe0" + bytes(500)
    yield "bad-gif.txt", b"GIF89a" + bytes(500)
    yield "bad-program.txt", b"\x7fELF" + bytes(range(256)) * 10
    yield "bad-windows-program.pptx", b"MZ" + bytes(range(256)) * 10
    yield "bad-rtf.doc", rb"{\rtf1\ansi hello}"
    yield "bad-rar.zip", b"Rar!\x1a\x07\x00" + bytes(100)
    yield "bad-gzip.zip", b"\x1f\x8b\x08" + zlib.compress(b"hello")
    yield "bad-sound.txt", b"ID3\x03" + bytes(500)
    yield "bad-old-word.doc", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(2000)
    yield "bad-encrypted.pptx", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600) + "EncryptedPackage".encode("utf-16-le") + bytes(600)
    yield "bad-opendocument.odt", zipped({"mimetype": b"application/vnd.oasis.opendocument.text", "content.xml": b"<x/>"})


def _encodings() -> Iterator[tuple[str, bytes]]:
    chinese = TEXT * 5
    for encoding in ("gb18030", "gbk", "gb2312", "utf-16", "utf-16-le", "utf-16-be", "utf-8-sig", "utf-32", "big5"):
        text = chinese.replace("。", "。 ") if encoding != "big5" else "客戶內部有分歧時，先弄清楚每個人擔心什麼。採購部門與使用部門的看法不同。\n" * 8
        yield f"ok-{encoding}.txt", text.encode(encoding)
    yield "ok-latin1.txt", ("Meet the café owner, señor Müller, über alles. " * 30).encode("latin-1")
    yield "ok-broken-bytes.txt", TEXT.encode() * 20 + b"\xff\xfe" + TEXT.encode() * 20
    yield "ok-mixed-line-ends.txt", TEXT.replace("\n", "\r\n").encode() + TEXT.replace("\n", "\r").encode()
    yield "any-half-gbk-half-utf8.txt", TEXT.encode() * 3 + TEXT.encode("gbk") * 3
    yield "bad-random.txt", random.Random(1).randbytes(5000)
    yield "bad-null-bytes.txt", bytes(5000)
    yield "bad-control.txt", bytes(range(1, 9)) * 300
    yield "ok-few-control.txt", b"Ask\x07 the users\x00 first. " + b"Then see procurement. " * 40
    yield "ok-gbk.csv", "客户,金额\n甲,10\n乙,20\n".encode("gbk")
    yield "ok-gbk.html", "<html><head><meta charset=gb2312></head><body><h1>客户</h1><p>先见使用部门。</p></body></html>".encode("gbk")


def _texts() -> Iterator[tuple[str, bytes]]:
    yield "bad-empty.txt", b""
    yield "bad-empty.pdf", b""
    yield "bad-empty.pptx", b""
    yield "any-only-blanks.txt", b" \n\t\n" * 100
    yield "any-only-bom.txt", b"\xef\xbb\xbf"
    yield "ok-one-long-line.txt", "先见使用部门，再见采购。".encode() * 20_000
    yield "bad-endless-line.txt", b"a" * 10_000_000
    yield "ok-rtl.txt", "مرحبا بالعملاء. اسأل المستخدمين أولا.\n".encode() * 10
    yield "ok-emoji.txt", "👍🏽 先见使用部门 👩‍👩‍👧‍👦 再见采购 🎉\n".encode() * 10
    yield "ok-zero-width.txt", "先\u200b见\u200b使\ufeff用部门。\n".encode() * 10
    yield "ok-bidi-tricks.txt", "ask \u202eevil\u202c first.\n".encode() * 10
    yield "ok-vertical.txt", "\n".join("先见使用部门再见采购").encode() * 3
    yield "ok-surrogates.txt", ("𠀀𠮷 客户 " * 20).encode()
    yield "ok-form-feeds.txt", b"page one\n\fpage two\n\f\f\fpage five"
    yield "ok-many-pages.txt", b"text of a page\f" * 4000
    yield "bad-too-many-pages.txt", b"x\f" * 7000
    yield "ok-front-matter.md", b"---\ntitle: x\n---\n# Heading\nMeet the users.\n"
    yield "ok-broken-front-matter.md", b"---\ntitle: [x\n# Heading\nMeet the users.\n"
    yield "ok-deep-headings.md", "".join(f"{'#' * (i % 6 + 1)} H{i}\ntext {i}\n" for i in range(300)).encode()
    yield "ok-open-fence.md", b"# T\n```\ncode without end\n# not a heading\n"
    yield "ok-table.md", "| 客户 | 金额 |\n|---|---|\n| 甲 | 10 |\n".encode()
    yield "ok-deep.html", b"<html><body>" + b"<div>" * 5000 + b"Meet the users." + b"</div>" * 5000 + b"</body></html>"
    yield "ok-unclosed.html", b"<html><body><table><tr><td>a<td>b<tr><td>c<h1>T<p>text<li>x"
    yield "ok-script.html", b"<html><script>alert('x')</script><body><p>Meet the users.</p><iframe src=http://x></iframe></body></html>"
    yield "any-empty.html", b"<html></html>"
    yield "ok-wide.csv", (",".join(f"c{i}" for i in range(3000)) + "\n" + ",".join("1" for _ in range(3000))).encode()
    yield "ok-ragged.csv", b"a,b\n1\n1,2,3,4\n\n5,6\n"
    yield "ok-quotes.csv", b'a,b\n"unclosed, 1\n2,3\n'
    yield "any-huge-cell.csv", b"a,b\n" + b"x" * 2_000_000 + b",1\n"
    yield "ok-semicolons.csv", "客户;金额\n甲;10\n".encode()
    yield "ok-tabs.tsv", "客户\t金额\n甲\t10\n".encode()


def _pdfs() -> Iterator[tuple[str, bytes]]:
    yield "bad-header-only.pdf", b"%PDF-1.7\n"
    yield "bad-garbage.pdf", b"%PDF-1.4\n" + random.Random(2).randbytes(3000)
    yield "any-no-xref.pdf", pdf(["hello"]).split(b"xref")[0]
    yield "any-wrong-xref.pdf", pdf(["hello"]).replace(b"startxref\n", b"startxref\n9")
    yield "any-loop.pdf", pdf(["hello"]).replace(b"/Kids [5 0 R]", b"/Kids [2 0 R]")
    yield "any-huge-count.pdf", pdf(["hello"]).replace(b"/Count 1", b"/Count 99999999")
    yield "any-no-pages.pdf", pdf([])
    yield "any-blank.pdf", pdf([""])
    yield "ok-500-pages.pdf", pdf([f"Page {i}: meet the users" for i in range(500)])
    yield "any-junk-before.pdf", b"junk\n" * 20 + pdf(["hello customer"])
    yield "any-javascript.pdf", pdf(["hello"]).replace(b"/Type /Catalog", b"/Type /Catalog /OpenAction << /S /JavaScript /JS (app.alert) >>")
    bomb = zlib.compress(bytes(200_000_000), 9)
    yield "any-stream-bomb.pdf", pdf(["hello"]).replace(b"endobj\n4 0 obj", b"endobj\n99 0 obj\n<< /Length %d /Filter /FlateDecode >> stream\n%s\nendstream\nendobj\n4 0 obj" % (len(bomb), bomb))
    yield "bad-password.pdf", _locked_pdf()


def _locked_pdf() -> bytes:
    from pypdf import PdfReader, PdfWriter

    writer = PdfWriter(clone_from=PdfReader(io.BytesIO(pdf(["secret"]))))
    writer.encrypt("pass", algorithm="RC4-128")
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def _office() -> Iterator[tuple[str, bytes]]:
    deck, text, book = pptx(), docx(), xlsx()
    entity = b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
    laughs = b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY l "lol"><!ENTITY m "&l;&l;&l;&l;&l;&l;&l;&l;">]>'
    for suffix, data, part in (("pptx", deck, "ppt/slides/slide1.xml"), ("docx", text, "word/document.xml"), ("xlsx", book, "xl/worksheets/sheet1.xml")):
        yield f"bad-entity.{suffix}", repacked(data, lambda name, body, part=part: entity + body.split(b"?>", 1)[-1] if name == part else body)
        yield f"bad-laughs.{suffix}", repacked(data, lambda name, body, part=part: laughs + body.split(b"?>", 1)[-1] if name == part else body)
        yield f"any-part-missing.{suffix}", repacked(data, lambda name, body, part=part: None if name == part else body)
        yield f"any-part-broken.{suffix}", repacked(data, lambda name, body, part=part: body[: len(body) // 2] if name == part else body)
        yield f"any-part-empty.{suffix}", repacked(data, lambda name, body, part=part: b"" if name == part else body)
        yield f"any-no-types.{suffix}", repacked(data, lambda name, body: None if name == "[Content_Types].xml" else body)
        yield f"any-no-relations.{suffix}", repacked(data, lambda name, body: None if name.endswith(".rels") else body)
        yield f"bad-bomb.{suffix}", repacked(data, lambda name, body: body, more={"ppt/media/big.xml": bytes(120_000_000)})
        yield f"ok-macros.{suffix}", repacked(data, lambda name, body: body, more={"ppt/vbaProject.bin": b"macro"})
    yield "any-no-slides.pptx", pptx(0)
    yield "ok-60-slides.pptx", pptx(60)
    yield "ok-nested-tables.docx", docx(change=_nested_tables)
    yield "ok-nested-groups.pptx", pptx(1, change=_nested_groups)
    yield "any-formulas.xlsx", xlsx(5, formula=True)
    yield "ok-5000-rows.xlsx", xlsx(5000)
    yield "any-external-link.docx", repacked(text, lambda name, body: body.replace(b"</Relationships>", b'<Relationship Id="rId99" Type="http://x/attachedTemplate" Target="http://127.0.0.1:9/x.dotm" TargetMode="External"/></Relationships>') if name == "word/_rels/document.xml.rels" else body)


def _nested_tables(document: object) -> None:
    cell = document.add_table(1, 1).cell(0, 0)  # type: ignore[attr-defined]
    for depth in range(6):
        cell.text = f"level {depth}"
        cell = cell.add_table(1, 1).cell(0, 0)


def _nested_groups(deck: object) -> None:
    from pptx.util import Inches

    shapes = deck.slides[0].shapes  # type: ignore[attr-defined]
    for depth in range(8):
        group = shapes.add_group_shape()
        group.shapes.add_textbox(0, 0, Inches(1), Inches(1)).text_frame.text = f"inside {depth}"
        shapes = group.shapes


def _archives() -> Iterator[tuple[str, bytes]]:
    yield "ok-two-files.zip", zipped({"a.txt": TEXT.encode(), "folder/b.md": b"# T\nMeet the users."})
    yield "bad-nothing-inside.zip", zipped({"a.exe": b"MZ", "b.bin": bytes(10)})
    yield "bad-no-entries.zip", zipped({})
    yield "ok-path-tricks.zip", zipped({"../../etc/x.txt": TEXT.encode(), "/abs.txt": TEXT.encode()})
    yield "bad-nested.zip", zipped({"inner.zip": zipped({"a.txt": TEXT.encode()})})
    yield "bad-bomb.zip", zipped({"a.txt": bytes(200_000_000)})
    yield "bad-many.zip", zipped({f"{i}.bin": b"" for i in range(41_000)})
    yield "ok-one-bad-member.zip", zipped({"a.txt": TEXT.encode(), "b.pdf": b"%PDF-1.4 broken"})


def make_all(folder: Path) -> list[Path]:
    """Write every file; returns their paths in a fixed order."""
    made = []
    for maker in (_truncated, _wrong_names, _encodings, _texts, _pdfs, _office, _archives):
        for name, data in maker():
            path = folder / name
            path.write_bytes(data)
            made.append(path)
    sparse = folder / "bad-200-megabytes.txt"
    with sparse.open("wb") as file:
        file.truncate(200 * 1024 * 1024)
    return [*made, sparse]
