"""What aiosqlite keeps private and connection.py uses, as in 0.22.1: an upgrade that moves it fails here."""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from storage.connection import Connection, connect


@pytest.fixture
async def connection(tmp_path: Path) -> AsyncIterator[Connection]:
    made = connect(str(tmp_path / "a.db"), at_once=True, isolation_level=None)
    await made
    yield made
    await made.close()


async def threads_of(connection: Connection, statement: str) -> set[int]:
    """The threads in which a statement is run."""
    seen: set[int] = set()
    driver = connection._conn
    driver.create_function("seen", 0, lambda: seen.add(threading.get_ident()))
    await connection.cursor().execute(statement)
    return seen


async def test_the_thread_of_a_connection_ends_with_the_program(tmp_path: Path) -> None:
    before = set(threading.enumerate())

    connection = await connect(str(tmp_path / "a.db"))

    (thread,) = set(threading.enumerate()) - before
    assert thread.daemon
    await connection.close()


async def test_a_connection_gives_its_drivers_own_to_cursors(connection: Connection) -> None:
    assert isinstance(connection._conn, sqlite3.Connection)
    assert isinstance(connection.cursor()._cursor, sqlite3.Cursor)


async def test_rows_are_fetched_with_the_statement_that_makes_them(connection: Connection) -> None:
    cursor = await connection.cursor().execute("SELECT 1 UNION SELECT 2")

    assert await cursor.fetchall() == [(1,), (2,)]


async def test_only_what_may_wait_for_a_lock_is_left_to_the_thread(connection: Connection) -> None:
    here = threading.get_ident()

    outside = await threads_of(connection, "SELECT seen()")
    await connection.cursor().execute("BEGIN IMMEDIATE")
    inside = await threads_of(connection, "SELECT seen()")

    assert len(outside) == 1 and here not in outside
    assert inside == {here}


async def test_a_thread_runs_what_it_is_given_one_after_another(connection: Connection) -> None:
    def order() -> list[int]:
        return seen[:]

    seen: list[int] = []
    cursor = connection.cursor()
    told = [cursor._execute(seen.append, number) for number in range(3)]  # type: ignore[no-untyped-call]
    await asyncio.gather(*told)

    assert await cursor._execute(order) == [0, 1, 2]  # type: ignore[no-untyped-call]
