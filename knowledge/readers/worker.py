"""Reads files in a process of its own, which can be killed: bounded memory and time, the bot stays responsive.

Protocol: one JSON line in (`{"path", "name"}`), then one JSON line out per page, closed by `{"done": …}` or `{"error": …}`.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
from collections.abc import AsyncIterator
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any

from knowledge.passages import Page
from knowledge.readers.refusals import Unreadable

SECONDS = 120.0
MEGABYTES = 1536
LINE = 64 * 1024 * 1024  # of one page as JSON


class ReadingWorker:
    """A reading process, started when first needed and again after a file has killed it."""

    def __init__(self, seconds: float = SECONDS, megabytes: int = MEGABYTES) -> None:
        self._seconds, self._megabytes = seconds, megabytes
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> ReadingWorker:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._end()

    async def read(self, path: Path, name: str = "") -> list[Page]:
        """All pages of a file. Raises Unreadable, also when the reader took too long or died."""
        name = name or path.name
        if not path.is_file():
            raise Unreadable(name, "missing")
        try:
            async with asyncio.timeout(self._seconds):
                return [page async for page in self._pages(path, name)]
        except TimeoutError:
            await self._end()
            raise Unreadable(name, "slow", seconds=int(self._seconds)) from None
        except BaseException as error:
            if not isinstance(error, Unreadable):
                await self._end()  # a half-read answer must not reach the next file
            raise

    async def _pages(self, path: Path, name: str) -> AsyncIterator[Page]:
        process = await self._started()
        assert process.stdin and process.stdout
        try:
            process.stdin.write(json.dumps({"path": str(path.resolve()), "name": name}).encode() + b"\n")
            await process.stdin.drain()
            while line := await process.stdout.readline():
                row = json.loads(line)
                if "done" in row:
                    return
                if "error" in row:
                    raise Unreadable(name, row["error"], **row["values"])
                yield Page(**{**row, "remarks": tuple(row["remarks"])})
        except (BrokenPipeError, ConnectionResetError):
            pass
        await self._end()
        raise Unreadable(name, "crashed")

    async def _started(self) -> asyncio.subprocess.Process:
        if self._process is None or self._process.returncode is not None:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "knowledge.readers.worker", str(self._megabytes),
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
                limit=LINE, cwd=Path(__file__).parents[2],
            )  # fmt: skip
        return self._process

    async def _end(self) -> None:
        if self._process is None:
            return
        process, self._process = self._process, None
        if process.returncode is None:
            process.kill()
        await process.wait()
        if process.stdin:
            process.stdin.close()


def main() -> None:
    """The child: serves files until its input ends."""
    limit = int(sys.argv[1]) * 1024 * 1024
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    out, sys.stdout = sys.stdout, sys.stderr  # libraries that print must not disturb the protocol
    for line in sys.stdin:
        request = json.loads(line)
        for row in _answers(Path(request["path"]), request["name"]):
            out.write(json.dumps(row) + "\n")
        out.flush()


def _answers(path: Path, name: str) -> Any:
    from knowledge.readers import read

    try:
        for page in read(path):
            yield asdict(page)
    except Unreadable as problem:
        yield {"error": problem.code, "values": problem.values}
    except (MemoryError, RecursionError):
        yield {"error": "crashed", "values": {}}
    except Exception as error:  # any library, any broken file: refused, and told to the log of whoever runs us
        print(f"{name}: {type(error).__name__}: {error}", file=sys.stderr)  # noqa: T201
        yield {"error": "damaged", "values": {}}
    else:
        yield {"done": True}


if __name__ == "__main__":
    main()
