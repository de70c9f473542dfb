"""How the bot comes to Discord, and what it says when it cannot."""

import pytest

from bot.chats.interface import ChatUnavailable
from tests.bot.discord.harness import DiscordBot, OpenDiscordBot
from tests.fakes.faults import Fault


async def test_a_wrong_token_is_told_in_one_sentence(open_discord_bot: OpenDiscordBot) -> None:
    harness = await open_discord_bot(starts=False)

    with pytest.raises(ChatUnavailable) as unavailable:
        await harness.start(token="no.such.token")

    assert "DISCORD_TOKEN" in str(unavailable.value)
    assert "no.such.token" not in str(unavailable.value)


async def test_it_asks_for_no_privileged_intent(harness: DiscordBot) -> None:
    assert harness.discord.gateway.intents == 1 << 0 | 1 << 10 | 1 << 13


async def test_a_discord_that_is_down_at_the_start_is_tried_again(open_discord_bot: OpenDiscordBot) -> None:
    harness = await open_discord_bot(starts=False)
    harness.discord.faults.add("GET", "/users/@me", Fault.CUT_BEFORE)

    await harness.start()  # which waits until it is connected

    heard = await harness.discord.command(harness.ana, harness.channel, "help")
    assert heard.ephemeral


async def test_commands_that_discord_does_not_take_do_not_keep_it_from_serving(
    open_discord_bot: OpenDiscordBot,
) -> None:
    harness = await open_discord_bot()
    await harness.stop()
    harness.discord.faults.add("GET", r"/applications/\d+/commands", Fault.FORBIDDEN)
    await harness.start()

    heard = await harness.discord.command(harness.ana, harness.channel, "help")

    assert heard.ephemeral


async def test_shards_are_as_many_as_discord_asks_for(open_discord_bot: OpenDiscordBot) -> None:
    harness = await open_discord_bot(starts=False)
    harness.discord.gateway.shards = 1

    await harness.start()

    assert harness.chat is not None
    assert harness.chat.client.shard_count == 1
