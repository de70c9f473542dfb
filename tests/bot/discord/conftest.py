"""A bot on a fake Discord, with a real database and a quick engine."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from bot.chats import delivery
from bot.chats.discord import client
from bot.config import Config, DiscordSettings
from tests.bot.discord.harness import DiscordBot, OpenDiscordBot
from tests.bot.fake_chat import a_config, quick
from tests.fakes.discord import FakeDiscord
from tests.fakes.discord.contract import breaches


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """What failed on the way is tried again sooner, and all guilds are known sooner."""
    monkeypatch.setattr(delivery, "FIRST_PAUSE", 0.05)
    monkeypatch.setattr(client, "GUILDS_COME", 0.05)


@pytest.fixture
async def open_discord_bot(tmp_path: Path) -> AsyncIterator[OpenDiscordBot]:
    made: list[DiscordBot] = []
    async with FakeDiscord() as discord:

        async def start_bot(
            *,
            seconds: float = 0.01,
            settings: DiscordSettings | None = None,
            program: Sequence[str] | None = None,
            config: Config | None = None,
            every: float = 0.05,
            starts: bool = True,
        ) -> DiscordBot:
            harness = DiscordBot(
                discord, tmp_path, config or a_config(tmp_path), program or quick(tmp_path, seconds)
            )
            harness.every = every
            made.append(harness)
            if starts:
                await harness.start(settings)
            return harness

        yield start_bot
        for harness in made:
            await harness.stop()
        assert (
            breaches(discord.record) == []
        )  # whatever was tested, Discord's documents allow all that was asked


@pytest.fixture
async def harness(open_discord_bot: OpenDiscordBot) -> DiscordBot:
    return await open_discord_bot()
