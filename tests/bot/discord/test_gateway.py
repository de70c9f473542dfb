"""The gateway's troubles: whatever it does, each command has one card, and that one ends right."""

import pytest
import structlog

from bot.chats.discord import chat
from tests.bot.discord.harness import OpenStudio, Studio, shown
from tests.bot.discord.test_buttons import waits_for
from tests.bot.running_bot import rows


@pytest.fixture
async def studio(open_studio: OpenStudio) -> Studio:
    return await open_studio(seconds=0.05)


async def paints_through(studio: Studio, trouble: str) -> None:
    """Ask, let the trouble happen, ask again: one right card each."""
    gateway = studio.discord.gateway
    first = await studio.discord.command(studio.ana, studio.channel, "imagine", prompt="a fox", steps=20)
    match trouble:
        case "close 4000":
            await gateway.close(4000)
        case "op 7":
            await gateway.reconnect()
        case "op 9":
            await gateway.invalid_session()
        case "second READY":
            await gateway.ready_again()
    await studio.discord.until(lambda: gateway.connected, 20)
    second = await studio.discord.command(studio.bo, studio.channel, "imagine", prompt="a hen", steps=2)

    cards = (first, second)
    await studio.discord.until(lambda: all("Painted in" in shown(one.message) for one in cards), 30)
    assert len(studio.channel.messages) == 2
    assert rows(studio.folder, "SELECT state FROM jobs") == [("succeeded",), ("succeeded",)]


async def test_a_closed_gateway_is_resumed(studio: Studio) -> None:
    await paints_through(studio, "close 4000")

    assert studio.discord.gateway.resumed == 1


async def test_a_gateway_that_asks_to_come_back_is_resumed(studio: Studio) -> None:
    await paints_through(studio, "op 7")

    assert studio.discord.gateway.resumed == 1


async def test_an_invalid_session_is_begun_anew(studio: Studio) -> None:
    await paints_through(studio, "op 9")

    assert studio.discord.gateway.identified == 2


async def test_a_second_ready_changes_nothing(studio: Studio) -> None:
    await paints_through(studio, "second READY")

    assert studio.asked("PUT", "/commands") == 1


async def test_a_command_said_while_the_gateway_is_away_is_heard_when_it_is_back(studio: Studio) -> None:
    await studio.discord.gateway.close(4000)

    heard = await studio.discord.command(studio.ana, studio.channel, "imagine", prompt="a fox", steps=2)

    await studio.discord.until(lambda: "Painted in" in shown(heard.message), 30)
    assert len(studio.channel.messages) == 1


@pytest.mark.parametrize(
    ("code", "words"),
    [(4004, "DISCORD_TOKEN"), (4014, "its intents"), (4013, "know the intents"), (4012, "API is newer")],
)
async def test_a_gateway_that_hangs_up_for_good_is_told_and_tried_again(
    studio: Studio, monkeypatch: pytest.MonkeyPatch, code: int, words: str
) -> None:
    assert studio.bot is not None
    monkeypatch.setattr(chat, "RETRY_PAUSE", 0.2)
    gateway, health = studio.discord.gateway, studio.bot.health
    assert health()[1]["chats"] == {"discord": "served"}

    with structlog.testing.capture_logs() as logged:
        await gateway.hang_up(code)
        await studio.discord.until(lambda: words in health()[1]["chats"]["discord"])
        tried = gateway.identified
        await studio.discord.until(lambda: gateway.identified >= tried + 2, 20)

    told = [one["reason"] for one in logged if one["event"] == "Discord is not served"]
    assert len(told) >= 2
    assert all(words in reason for reason in told)
    gateway.turns_away = 0
    await studio.discord.until(lambda: health()[1]["chats"] == {"discord": "served"}, 20)
    heard = await studio.discord.command(studio.ana, studio.channel, "imagine", prompt="a fox", steps=2)
    await studio.discord.until(lambda: "Painted in" in shown(heard.message), 30)
    assert len(studio.channel.messages) == 1


async def test_a_card_that_changes_while_the_gateway_is_gone_is_right_when_it_is_back(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chat, "RETRY_PAUSE", 0.5)
    heard = await waits_for(studio, studio.channel, 20)

    await studio.discord.gateway.hang_up(4004)
    await studio.discord.until(lambda: rows(studio.folder, "SELECT state FROM jobs") == [("succeeded",)], 30)
    studio.discord.gateway.turns_away = 0

    await studio.discord.until(lambda: "Painted in" in shown(heard.message), 30)
    assert len(studio.channel.messages) == 1
