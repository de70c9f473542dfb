"""A chat with a database of its own."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from storage.database import Database
from tests.commands.chat import Chat


@pytest.fixture
async def chat(tmp_path: Path) -> AsyncIterator[Chat]:
    database = await Database.open(f"sqlite+aiosqlite:///{tmp_path / 'atelier.db'}")
    yield Chat(database)
    await database.close()
