"""Reactions under cards do what the buttons do, before and after a restart."""

import pytest

from bot.chats import delivery
from bot.config import DiscordSettings
from tests.bot.discord.harness import DiscordBot, OpenDiscordBot, text_of
from tests.bot.discord.test_buttons import a_long_job, a_picture, seeds
from tests.bot.discord.test_delivery import CALLBACK
from tests.bot.running_bot import rows
from tests.fakes.discord import Fault


async def test_reroll_posts_the_same_picture_from_a_new_seed(harness: DiscordBot) -> None:
    card = await a_picture(harness)

    await harness.discord.react(harness.bo, card, "🔁")
    await harness.discord.until(lambda: len(harness.channel.messages) == 2)
    again = harness.channel.messages[1]
    await harness.discord.until(lambda: "Painted in" in text_of(again))

    assert again.embeds[0]["author"]["name"] == "Bo"
    assert seeds(harness)[1] != 7


async def test_a_card_can_be_reacted_to_before_discord_has_said_which_message_it_is(
    harness: DiscordBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "ON_ITS_WAY", 20.0)
    harness.discord.faults.add("POST", CALLBACK, Fault.SLOW_AFTER, seconds=1.0)
    heard = await harness.discord.command(harness.ana, harness.channel, "imagine", prompt="a fox", steps=1)
    await harness.discord.until(lambda: harness.channel.messages)
    assert heard.message is not None
    assert rows(harness.folder, "SELECT message FROM jobs") == [(None,)]

    await harness.discord.react(harness.bo, heard.message, "🔁")

    await harness.discord.until(lambda: len(harness.channel.messages) == 2)
    await harness.discord.until(lambda: "Painted in" in text_of(harness.channel.messages[1]))


async def test_the_dice_paint_four_variations(harness: DiscordBot) -> None:
    card = await a_picture(harness)

    await harness.discord.react(harness.ana, card, "🎲")

    await harness.discord.until(lambda: len(seeds(harness)) == 5)
    await harness.discord.until(lambda: "variation 0.15" in text_of(harness.channel.messages[-1]))


async def test_the_cross_cancels_what_is_mine_and_nothing_else(open_discord_bot: OpenDiscordBot) -> None:
    harness = await open_discord_bot(seconds=0.2)
    card = await a_long_job(harness)
    await harness.discord.until(lambda: rows(harness.folder, "SELECT message FROM jobs") != [(None,)])

    await harness.discord.react(harness.bo, card, "❌")
    steps = text_of(card)
    await harness.discord.until(lambda: text_of(card) != steps)
    assert "Cancelled" not in text_of(card)
    await harness.discord.react(harness.ana, card, "❌")

    await harness.discord.until(lambda: "🚫 Cancelled" in text_of(card))


async def test_the_cross_deletes_what_is_mine_and_done(harness: DiscordBot) -> None:
    card = await a_picture(harness)

    await harness.discord.react(harness.ana, card, "❌")

    await harness.discord.until(lambda: card.deleted)


async def test_a_star_keeps_the_picture_until_it_is_taken_back(harness: DiscordBot) -> None:
    card = await a_picture(harness)

    await harness.discord.react(harness.bo, card, "⭐")
    await harness.discord.until(lambda: "⭐ 1" in text_of(card))
    await harness.discord.unreact(harness.bo, card, "⭐")
    await harness.discord.until(lambda: "⭐" not in text_of(card))

    assert harness.discord.direct(harness.bo).messages == []


async def test_taking_a_star_back_does_not_change_what_somebody_is_called(harness: DiscordBot) -> None:
    card = await a_picture(harness)
    await harness.discord.react(harness.ana, card, "⭐")
    await harness.discord.until(lambda: "⭐ 1" in text_of(card))
    names = rows(harness.folder, "SELECT name FROM people ORDER BY id")

    await harness.discord.unreact(harness.ana, card, "⭐")
    await harness.discord.until(lambda: "⭐" not in text_of(card))

    assert rows(harness.folder, "SELECT name FROM people ORDER BY id") == names


async def test_the_letter_brings_the_full_file_by_direct_message(harness: DiscordBot) -> None:
    card = await a_picture(harness, count=2)

    for emoji in ("✉️", "✉"):
        await harness.discord.react(harness.bo, card, emoji)
    direct = harness.discord.direct(harness.bo)

    await harness.discord.until(lambda: sum(len(message.files) for message in direct.messages) == 4)
    assert harness.channel.messages == [card]


async def test_reactions_that_mean_nothing_and_messages_of_others_are_left_alone(
    harness: DiscordBot,
) -> None:
    card = await a_picture(harness)
    talk = harness.channel.says(harness.bo, "hello")
    calls = len(harness.discord.record)

    await harness.discord.react(harness.ana, card, "🎉")
    await harness.discord.react(harness.ana, talk, "🔁")
    await harness.discord.unreact(harness.ana, talk, "🔁")
    await harness.discord.react(harness.ana, card, "🔁")
    await harness.discord.until(lambda: len(harness.channel.messages) == 3)

    assert {call.method for call in harness.discord.record[calls:]} <= {"POST", "PATCH"}
    assert len(seeds(harness)) <= 2


async def test_a_reaction_where_nothing_may_be_asked_does_nothing(open_discord_bot: OpenDiscordBot) -> None:
    harness = await open_discord_bot()
    card = await a_picture(harness)
    await harness.stop()
    await harness.start(DiscordSettings(channels=("1234",)))

    await harness.discord.react(harness.ana, card, "🔁")
    await harness.discord.react(harness.ana, card, "⭐")
    await harness.discord.unreact(harness.ana, card, "⭐")  # heard after the others

    await harness.discord.until(lambda: any("/members/" in call.path for call in harness.discord.record))
    assert rows(harness.folder, "SELECT count(*) FROM jobs") == [(1,)]


async def test_a_card_in_direct_messages_takes_reactions_too(harness: DiscordBot) -> None:
    direct = harness.discord.direct(harness.ana)
    await harness.discord.command(
        harness.ana, harness.channel, "imagine", prompt="a fox", steps=1, private=True
    )
    await harness.discord.until(lambda: any("Painted in" in text_of(message) for message in direct.messages))

    await harness.discord.react(harness.ana, direct.messages[0], "🔁")

    await harness.discord.until(
        lambda: sum("Painted in" in text_of(message) for message in direct.messages) == 2
    )
    assert harness.channel.messages == []
