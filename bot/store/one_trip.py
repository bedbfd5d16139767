"""SQLite with one trip to its thread for each statement.

aiosqlite makes four (open a cursor, run, fetch, close), each of which wakes two threads; a turn has some twenty
statements. Here the thread fetches the first rows with the run; opening and closing a cursor need no thread at all.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any

import aiosqlite

AT_ONCE = 500  # rows that come with the run; more are fetched on demand


class OneTripConnection(aiosqlite.Connection):
    """A connection whose cursors bring the first rows along."""

    def cursor(self) -> OneTripCursor:  # type: ignore[override]
        return OneTripCursor(self, self._conn.cursor())


class OneTripCursor(aiosqlite.Cursor):
    """A cursor that fetched the first rows when it ran."""

    _rows: list[Any]

    def __await__(self) -> Any:
        return self.__aenter__().__await__()

    async def __aenter__(self) -> OneTripCursor:
        self._rows = []
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()

    async def execute(self, sql: str, parameters: Iterable[Any] | None = None) -> OneTripCursor:
        self._rows = await self._there(self._run, sql, parameters or ())
        return self

    async def _there(self, work: Callable[..., list[Any]], *arguments: Any) -> list[Any]:
        """Work on the connection's thread."""
        return await self._execute(work, *arguments)  # type: ignore[no-any-return, no-untyped-call]

    def _run(self, sql: str, parameters: Any) -> list[Any]:
        self._cursor.execute(sql, parameters)
        return self._cursor.fetchmany(AT_ONCE) if self._cursor.description else []

    async def fetchall(self) -> list[Any]:
        rows, self._rows = self._rows, []
        return [*rows, *await self._there(self._cursor.fetchall)] if len(rows) == AT_ONCE else rows

    async def fetchmany(self, size: int | None = None) -> list[Any]:
        size = size or self._cursor.arraysize
        if not self._rows:
            self._rows = await self._there(self._cursor.fetchmany, size)
        rows, self._rows = self._rows[:size], self._rows[size:]
        return rows

    async def fetchone(self) -> Any:
        rows = await self.fetchmany(1)
        return rows[0] if rows else None

    async def close(self) -> None:
        self._cursor.close()


def connecting(path: str, seconds: float) -> Callable[[], Any]:
    """What opens a connection to the file; a writer waits up to `seconds` for another one."""

    async def connect() -> OneTripConnection:
        def opened() -> sqlite3.Connection:
            return sqlite3.connect(path, timeout=seconds, check_same_thread=False)  # its thread or ours, never both at once

        connection = OneTripConnection(opened, iter_chunk_size=64)
        connection._thread.daemon = True
        await connection
        return connection

    return connect
