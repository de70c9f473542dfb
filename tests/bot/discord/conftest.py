"""A bot on a fake Discord, with a real database and a quick engine."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from bot.chats import delivery
from bot.chats.discord import client
from bot.config import Config, DiscordSettings
from tests.bot.discord.harness import OpenStudio, Studio
from tests.bot.fake_chat import a_config, quick
from tests.fakes.discord import FakeDiscord
from tests.fakes.discord.contract import breaches


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """What failed on the way is tried again sooner, and all guilds are known sooner."""
    monkeypatch.setattr(delivery, "FIRST_PAUSE", 0.05)
    monkeypatch.setattr(client, "GUILDS_COME", 0.05)


@pytest.fixture
async def open_studio(tmp_path: Path) -> AsyncIterator[OpenStudio]:
    made: list[Studio] = []
    async with FakeDiscord() as discord:

        async def opened(
            *,
            seconds: float = 0.01,
            settings: DiscordSettings | None = None,
            program: Sequence[str] | None = None,
            config: Config | None = None,
            every: float = 0.05,
            starts: bool = True,
        ) -> Studio:
            studio = Studio(
                discord, tmp_path, config or a_config(tmp_path), program or quick(tmp_path, seconds)
            )
            studio.every = every
            made.append(studio)
            if starts:
                await studio.start(settings)
            return studio

        yield opened
        for studio in made:
            await studio.stop()
        assert (
            breaches(discord.record) == []
        )  # whatever was tested, Discord's documents allow all that was asked


@pytest.fixture
async def studio(open_studio: OpenStudio) -> Studio:
    return await open_studio()
