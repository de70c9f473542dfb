"""Each chat in turn, with a real database, a quick engine, and the chat's real library."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from bot.chats import delivery
from bot.chats.discord import client
from bot.chats.slack import messages, upload
from bot.config import SlackSettings
from tests.bot.discord.harness import DiscordBot
from tests.bot.fake_chat import a_config, quick
from tests.bot.slack.harness import Atelier
from tests.chats.harness import Harness, OpenChat
from tests.chats.on_discord import DiscordHarness
from tests.chats.on_slack import SlackHarness
from tests.chats.on_web import WebHarness
from tests.fakes.discord import FakeDiscord
from tests.fakes.discord.contract import breaches
from tests.fakes.slack import FakeSlack


@pytest.fixture(params=("discord", "slack", "web"))
def chat_name(request: pytest.FixtureRequest) -> str:
    """Each chat; a test that not all can pass names its own."""
    name: str = request.param
    return name


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """What failed on the way is tried again sooner, and files and guilds are looked for sooner."""
    monkeypatch.setattr(delivery, "FIRST_PAUSE", 0.05)
    monkeypatch.setattr(client, "GUILDS_COME", 0.05)
    monkeypatch.setattr(upload, "FIRST_LOOK", 0.01)
    monkeypatch.setattr(messages, "PAUSE", 0.1)


@pytest.fixture
async def open_chat(chat_name: str, tmp_path: Path) -> AsyncIterator[OpenChat]:
    async with AsyncExitStack() as stack:

        async def start_bot(*, seconds: float = 0.01, program: Sequence[str] | None = None) -> Harness:
            chat = await _harness(stack, chat_name, tmp_path, seconds, program)
            await chat.start()
            stack.push_async_callback(chat.stop)
            return chat

        yield start_bot


@pytest.fixture
async def chat(open_chat: OpenChat) -> Harness:
    return await open_chat()


async def _harness(
    stack: AsyncExitStack, name: str, folder: Path, seconds: float, program: Sequence[str] | None
) -> Harness:
    """A chat that is not started yet; the fake of its service must have no complaints in the end."""
    command = program or quick(folder, seconds)
    if name == "discord":
        discord = await stack.enter_async_context(FakeDiscord())
        stack.callback(lambda: _check(breaches(discord.record)))
        return DiscordHarness(DiscordBot(discord, folder, a_config(folder), command))
    if name == "slack":
        slack = await stack.enter_async_context(FakeSlack())
        stack.callback(lambda: _check(slack.problems))
        return SlackHarness(Atelier(slack, a_config(folder), command, SlackSettings()))
    web = WebHarness(folder, seconds, program)
    stack.push_async_callback(web.close)
    return web


def _check(complaints: Sequence[object]) -> None:
    assert list(complaints) == []
