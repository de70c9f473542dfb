"""Connections of aiosqlite with one trip to its thread per statement, or none.

Making a cursor, running the statement, fetching its rows and closing the cursor are a trip each, and each
costs more than most of our statements do. The writer's own statements need none: once its transaction holds
the lock they touch a few pages in memory. What may wait for a lock or a disk, its begin and its commit, is
left to the thread.

What aiosqlite keeps private is used in this module alone: a connection's `_conn` and `_thread`, a cursor's
`_cursor` and `_execute`, as read in version 0.22.1. tests/storage/test_connection.py fails on a version that
moves them.
"""

import sqlite3
from collections.abc import Callable, Iterable
from typing import Any, Self, TypeVar

import aiosqlite

CHUNK = 64  # rows; aiosqlite's own default

T = TypeVar("T")


class Cursor(aiosqlite.Cursor):
    """Fetches all rows together with the statement that makes them."""

    def __init__(self, connection: "Connection", cursor: sqlite3.Cursor) -> None:
        super().__init__(connection, cursor)
        self._connection = connection
        self._rows: list[sqlite3.Row] = []

    async def __aenter__(self) -> Self:
        return self

    async def execute(self, sql: str, parameters: Iterable[Any] | None = None) -> Self:
        """Run the statement, and have its rows."""
        self._rows = await self._run_statement(self._execute_and_fetch, sql, parameters or ())
        return self

    async def executemany(self, sql: str, parameters: Iterable[Iterable[Any]]) -> Self:
        """Run the statement with each of these."""
        await self._run_statement(self._cursor.executemany, sql, parameters)
        return self

    async def fetchall(self) -> list[sqlite3.Row]:
        """The rows of the last statement."""
        return self._rows

    async def close(self) -> None:
        """Nothing is left open: all rows were fetched."""
        self._cursor.close()

    async def _run_statement(self, work: Callable[[str, Any], T], sql: str, parameters: Any) -> T:
        if self._connection.at_once and self._connection.in_transaction:
            return work(sql, parameters)
        result: T = await self._execute(work, sql, parameters)  # type: ignore[no-untyped-call]
        return result

    def _execute_and_fetch(self, sql: str, parameters: Any) -> list[sqlite3.Row]:
        self._cursor.execute(sql, parameters)
        return self._cursor.fetchall()


class Connection(aiosqlite.Connection):
    """A connection with such cursors; `at_once`: its transactions' statements run without the thread."""

    at_once = False

    def cursor(self) -> Cursor:  # type: ignore[override]  # SQLAlchemy asks for no more than this
        """A cursor; making one needs no trip."""
        return Cursor(self, self._conn.cursor())


def connect(path: str, *, at_once: bool = False, **options: Any) -> Connection:
    """What aiosqlite.connect does; the thread ends with the program."""
    connection = Connection(lambda: sqlite3.connect(path, **options | {"check_same_thread": False}), CHUNK)
    connection.at_once = at_once
    connection._thread.daemon = True
    return connection
