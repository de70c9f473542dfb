"""The gateway's troubles: whatever it does, each command has one card, and that one ends right."""

import pytest
import structlog

from bot.chats.discord import chat
from tests.bot.discord.harness import DiscordBot, OpenDiscordBot, text_of
from tests.bot.discord.test_buttons import waits_for
from tests.bot.running_bot import rows


@pytest.fixture
async def harness(open_discord_bot: OpenDiscordBot) -> DiscordBot:
    return await open_discord_bot(seconds=0.05)


async def paints_through(harness: DiscordBot, trouble: str) -> None:
    """Ask, let the trouble happen, ask again: one right card each."""
    gateway = harness.discord.gateway
    first = await harness.discord.command(harness.ana, harness.channel, "imagine", prompt="a fox", steps=20)
    match trouble:
        case "close 4000":
            await gateway.close(4000)
        case "op 7":
            await gateway.reconnect()
        case "op 9":
            await gateway.invalid_session()
        case "second READY":
            await gateway.ready_again()
    await harness.discord.until(lambda: gateway.connected, 20)
    second = await harness.discord.command(harness.bo, harness.channel, "imagine", prompt="a hen", steps=2)

    cards = (first, second)
    await harness.discord.until(lambda: all("Painted in" in text_of(card.message) for card in cards), 30)
    assert len(harness.channel.messages) == 2
    assert rows(harness.folder, "SELECT state FROM jobs") == [("succeeded",), ("succeeded",)]


async def test_a_closed_gateway_is_resumed(harness: DiscordBot) -> None:
    await paints_through(harness, "close 4000")

    assert harness.discord.gateway.resumed == 1


async def test_a_gateway_that_asks_to_come_back_is_resumed(harness: DiscordBot) -> None:
    await paints_through(harness, "op 7")

    assert harness.discord.gateway.resumed == 1


async def test_an_invalid_session_is_begun_anew(harness: DiscordBot) -> None:
    await paints_through(harness, "op 9")

    assert harness.discord.gateway.identified == 2


async def test_a_second_ready_changes_nothing(harness: DiscordBot) -> None:
    await paints_through(harness, "second READY")

    assert harness.count_calls("PUT", "/commands") == 1


async def test_a_command_said_while_the_gateway_is_away_is_heard_when_it_is_back(
    harness: DiscordBot,
) -> None:
    await harness.discord.gateway.close(4000)

    heard = await harness.discord.command(harness.ana, harness.channel, "imagine", prompt="a fox", steps=2)

    await harness.discord.until(lambda: "Painted in" in text_of(heard.message), 30)
    assert len(harness.channel.messages) == 1


@pytest.mark.parametrize(
    ("code", "words"),
    [(4004, "DISCORD_TOKEN"), (4014, "its intents"), (4013, "know the intents"), (4012, "API is newer")],
)
async def test_a_gateway_that_hangs_up_for_good_is_told_and_tried_again(
    harness: DiscordBot, monkeypatch: pytest.MonkeyPatch, code: int, words: str
) -> None:
    assert harness.bot is not None
    monkeypatch.setattr(chat, "RETRY_PAUSE", 0.2)
    gateway, health = harness.discord.gateway, harness.bot.health
    assert health()[1]["chats"] == {"discord": "served"}

    with structlog.testing.capture_logs() as logged:
        await gateway.hang_up(code)
        await harness.discord.until(lambda: words in health()[1]["chats"]["discord"])
        tried = gateway.identified
        await harness.discord.until(lambda: gateway.identified >= tried + 2, 20)

    reasons = [entry["reason"] for entry in logged if entry["event"] == "Discord is not served"]
    assert len(reasons) >= 2
    assert all(words in reason for reason in reasons)
    gateway.turns_away = 0
    await harness.discord.until(lambda: health()[1]["chats"] == {"discord": "served"}, 20)
    heard = await harness.discord.command(harness.ana, harness.channel, "imagine", prompt="a fox", steps=2)
    await harness.discord.until(lambda: "Painted in" in text_of(heard.message), 30)
    assert len(harness.channel.messages) == 1


async def test_a_card_that_changes_while_the_gateway_is_gone_is_right_when_it_is_back(
    harness: DiscordBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chat, "RETRY_PAUSE", 0.5)
    heard = await waits_for(harness, harness.channel, 20)

    await harness.discord.gateway.hang_up(4004)
    await harness.discord.until(
        lambda: rows(harness.folder, "SELECT state FROM jobs") == [("succeeded",)], 30
    )
    harness.discord.gateway.turns_away = 0

    await harness.discord.until(lambda: "Painted in" in text_of(heard.message), 30)
    assert len(harness.channel.messages) == 1
