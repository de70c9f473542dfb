"""aiosqlite's connection with one trip to its thread per statement, where it makes four by itself.

Making a cursor, running the statement, fetching its rows and closing the cursor are a trip each, and each
costs more than most of our statements do: without them 100 jobs are filed in a third less time.
"""

import sqlite3
from collections.abc import Iterable
from typing import Any, Self

import aiosqlite

CHUNK = 64  # rows; aiosqlite's own default


class Cursor(aiosqlite.Cursor):
    """Fetches all rows together with the statement that makes them."""

    def __init__(self, connection: "Connection", cursor: sqlite3.Cursor) -> None:
        super().__init__(connection, cursor)
        self._rows: list[sqlite3.Row] = []

    async def __aenter__(self) -> Self:
        return self

    async def execute(self, sql: str, parameters: Iterable[Any] | None = None) -> Self:
        """Run the statement, and have its rows."""
        self._rows = await self._execute(self._run, sql, parameters or ())  # type: ignore[no-untyped-call]
        return self

    async def fetchall(self) -> list[sqlite3.Row]:
        """The rows of the last statement."""
        return self._rows

    async def close(self) -> None:
        """Nothing is left open: all rows were fetched."""
        self._cursor.close()

    def _run(self, sql: str, parameters: Any) -> list[sqlite3.Row]:
        self._cursor.execute(sql, parameters)
        return self._cursor.fetchall()


class Connection(aiosqlite.Connection):
    """A connection with such cursors."""

    def cursor(self) -> Cursor:  # type: ignore[override]  # SQLAlchemy asks for no more than this
        """A cursor; making one needs no trip."""
        return Cursor(self, self._conn.cursor())


def connect(path: str, **told: Any) -> Connection:
    """What aiosqlite.connect does; the thread ends with the program."""
    connection = Connection(lambda: sqlite3.connect(path, **told | {"check_same_thread": False}), CHUNK)
    connection._thread.daemon = True
    return connection
