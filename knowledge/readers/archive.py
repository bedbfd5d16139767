"""A zip of documents: each readable file inside becomes its own run of pages; archives inside archives are not opened."""

from __future__ import annotations

import contextlib
import stat
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath

from knowledge.passages import Page
from knowledge.readers.office import BROKEN_ZIP, check_sizes
from knowledge.readers.refusals import Unreadable

MAX_FILES = 1000


def read(path: Path) -> Iterator[Page]:
    from knowledge.readers import read as read_any

    with tempfile.TemporaryDirectory() as folder:
        for name, file in unpack(path, Path(folder)):
            try:
                for page in read_any(file):
                    yield replace(page, place=f"{name} {page.place}".strip())
            except Unreadable as problem:
                yield Page(name, "", remarks=(f"unreadable:{problem.code}",))


def unpack(path: Path, folder: Path) -> list[tuple[str, Path]]:
    """The readable files of an archive, written below `folder` under names of ours: (name inside, file)."""
    from knowledge.readers import SUFFIXES

    found: list[tuple[str, Path]] = []
    try:
        with zipfile.ZipFile(path) as archive:
            check_sizes(archive, path.name)
            for info in archive.infolist():
                name = _real_name(info)
                suffix = PurePosixPath(name).suffix.lower()
                if info.is_dir() or _is_link(info) or suffix not in SUFFIXES - {".zip"} or _hidden(name) or len(found) >= MAX_FILES:
                    continue
                file = folder / f"{len(found):04d}{suffix}"
                file.write_bytes(archive.read(info))
                found.append((name, file))
    except BROKEN_ZIP as error:
        raise Unreadable(path.name, "password" if "password" in str(error) else "damaged") from None
    if not found:
        raise Unreadable(path.name, "nothing_inside")
    return found


def _real_name(info: zipfile.ZipInfo) -> str:
    """Chinese Windows writes names in GBK without saying so."""
    name = info.filename
    if not info.flag_bits & 0x800:
        with contextlib.suppress(UnicodeEncodeError, UnicodeDecodeError):
            name = name.encode("cp437").decode("gb18030")
    return "/".join(part for part in PurePosixPath(name.replace("\\", "/")).parts if part.strip("/") not in ("", ".."))


def _is_link(info: zipfile.ZipInfo) -> bool:
    """A symbolic link: its content is a path, not a document."""
    return stat.S_ISLNK(info.external_attr >> 16)


def _hidden(name: str) -> bool:
    return any(part.startswith((".", "__MACOSX", "~$")) for part in PurePosixPath(name).parts)
