"""A chat with a database of its own."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from storage.database import Database
from tests.commands.chat import Chat
from tests.new_database import new_database


@pytest.fixture
async def chat(tmp_path: Path) -> AsyncIterator[Chat]:
    database = await Database.open(new_database(tmp_path))
    yield Chat(database)
    await database.close()
