"""A bot on a fake Slack, with a real database and a quick engine."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from bot.chats import delivery
from bot.chats.slack import messages, upload
from bot.config import Config, SlackSettings
from tests.bot.fake_chat import a_config, quick
from tests.bot.slack.harness import Atelier, OpenAtelier
from tests.fakes.slack import FakeSlack


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """What failed on the way is tried again sooner, and files are looked for again sooner."""
    monkeypatch.setattr(delivery, "FIRST_PAUSE", 0.05)
    monkeypatch.setattr(upload, "FIRST_LOOK", 0.01)
    monkeypatch.setattr(messages, "PAUSE", 0.1)


@pytest.fixture
async def open_atelier(tmp_path: Path) -> AsyncIterator[OpenAtelier]:
    made: list[Atelier] = []
    async with FakeSlack() as slack:

        async def start_bot(
            *,
            seconds: float = 0.01,
            settings: SlackSettings | None = None,
            program: Sequence[str] | None = None,
            config: Config | None = None,
            starts: bool = True,
            over: str = "sockets",
            enterprise: str | None = None,
        ) -> Atelier:
            program, settings = program or quick(tmp_path, seconds), settings or SlackSettings()
            atelier = Atelier(slack, config or a_config(tmp_path), program, settings, over, enterprise)
            made.append(atelier)
            if starts:
                await atelier.start()
            return atelier

        yield start_bot
        for atelier in made:
            await atelier.stop()
        assert slack.problems == []


@pytest.fixture
async def atelier(open_atelier: OpenAtelier) -> Atelier:
    return await open_atelier()
