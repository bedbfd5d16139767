"""Why a file could not be read, said so that its owner can mend it."""

from __future__ import annotations

from knowledge.problems import ContentProblem

# code → what is wrong, how to mend it. The same codes stand in bot/phrases/*/desk.yaml for the chat.
REFUSALS: dict[str, tuple[str, str]] = {
    "empty": ("the file is empty (0 bytes)", "export it again from the program that made it"),
    "no_text": ("no text was found in it", "if it holds only pictures, make its text selectable (OCR) and try again"),
    "too_big": ("the file has {megabytes} MB; at most {limit} MB are read", "remove pictures or split it"),
    "too_many_pages": ("it has more than {limit} pages", "split it into parts"),
    "too_long": ("it holds more than {limit} characters of text", "split it into parts"),
    "damaged": ("the file is damaged or incomplete", "export or download it again"),
    "password": ("the file is protected by a password", "save a copy without the password"),
    "old_office": ("this is an old Office file (.doc, .ppt, .xls)", "save it as .docx, .pptx or .xlsx"),
    "other_office": ("this kind of document is not known", "save it as .docx, .pptx, .xlsx or PDF"),
    "rtf": ("this is an RTF file", "save it as .docx"),
    "picture": ("this is a picture, not text", "type its text, or send a PDF with selectable text"),
    "program": ("this is a program, not a document", "send the document itself"),
    "rar": ("this kind of archive is not opened", "pack the files as .zip"),
    "sound": ("this is sound or video", "send the text that is said in it"),
    "binary": ("this is not text", "send it as text, Markdown, PDF, PowerPoint, Word, Excel or HTML"),
    "bomb": ("it unpacks to far more than it should", "repack it without oversized content"),
    "dtd": ("it contains XML entity declarations, which are not opened", "save it again from Office"),
    "nothing_inside": ("the archive holds no file that can be read", "put text, PDF or Office files into it"),
    "slow": ("reading took longer than {seconds} seconds", "split it, or print it to a simpler PDF"),
    "crashed": ("reading it needed too much memory or failed", "split it, or print it to a simpler PDF"),
    "missing": ("there is no such file", "check the path"),
    "not_ours": ("files of this type are not read", "send text, Markdown, PDF, PowerPoint, Word, Excel, HTML or zip"),
}


class Unreadable(ContentProblem):
    """A file that no reader can take. `code` is a key of REFUSALS; `values` fill its blanks."""

    def __init__(self, path: str, code: str, **values: object) -> None:
        what, fix = REFUSALS[code]
        super().__init__(path, 0, what.format(**values), fix)
        self.code = code
        self.values = values

    __hash__ = ContentProblem.__hash__
