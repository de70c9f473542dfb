"""A database of each kind, new for every test."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from storage.database import Database
from tests.new_database import new_database
from tests.storage.harness import StorageHarness

# What the storage layer promises holds on each of these; another kind joins with its URL.
DATABASES: dict[str, Callable[[Path], str]] = {
    "sqlite": new_database,
}


@pytest.fixture(params=DATABASES)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return DATABASES[request.param](tmp_path)


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    database = await Database.open(url)
    yield database
    await database.close()


@pytest.fixture
def harness(database: Database) -> StorageHarness:
    return StorageHarness(database)
