"""A web chat around a small bot, open to this machine or guarded by a token."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.bot.web.page_client import TOKEN, Place, a_place


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    async with a_place(tmp_path) as place:
        yield place


@pytest.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[Place]:
    """A chat that asks for a token."""
    async with a_place(tmp_path, token=TOKEN) as place:
        yield place
