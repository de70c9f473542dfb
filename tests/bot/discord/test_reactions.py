"""Reactions under cards do what the buttons do, before and after a restart."""

import pytest

from bot.chats import delivery
from bot.config import DiscordSettings
from tests.bot.discord.harness import OpenStudio, Studio, shown
from tests.bot.discord.test_buttons import a_long_job, a_picture, seeds
from tests.bot.discord.test_delivery import CALLBACK
from tests.bot.running_bot import rows
from tests.fakes.discord import Fault


async def test_reroll_posts_the_same_picture_from_a_new_seed(studio: Studio) -> None:
    card = await a_picture(studio)

    await studio.discord.react(studio.bo, card, "🔁")
    await studio.discord.until(lambda: len(studio.channel.messages) == 2)
    again = studio.channel.messages[1]
    await studio.discord.until(lambda: "Painted in" in shown(again))

    assert again.embeds[0]["author"]["name"] == "Bo"
    assert seeds(studio)[1] != 7


async def test_a_card_can_be_reacted_to_before_discord_has_said_which_message_it_is(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "ON_ITS_WAY", 20.0)
    studio.discord.faults.add("POST", CALLBACK, Fault.SLOW_AFTER, seconds=1.0)
    heard = await studio.discord.command(studio.ana, studio.channel, "imagine", prompt="a fox", steps=1)
    await studio.discord.until(lambda: studio.channel.messages)
    assert heard.message is not None
    assert rows(studio.folder, "SELECT message FROM jobs") == [(None,)]

    await studio.discord.react(studio.bo, heard.message, "🔁")

    await studio.discord.until(lambda: len(studio.channel.messages) == 2)
    await studio.discord.until(lambda: "Painted in" in shown(studio.channel.messages[1]))


async def test_the_dice_paint_four_variations(studio: Studio) -> None:
    card = await a_picture(studio)

    await studio.discord.react(studio.ana, card, "🎲")

    await studio.discord.until(lambda: len(seeds(studio)) == 5)
    await studio.discord.until(lambda: "variation 0.15" in shown(studio.channel.messages[-1]))


async def test_the_cross_cancels_what_is_mine_and_nothing_else(open_studio: OpenStudio) -> None:
    studio = await open_studio(seconds=0.2)
    card = await a_long_job(studio)
    await studio.discord.until(lambda: rows(studio.folder, "SELECT message FROM jobs") != [(None,)])

    await studio.discord.react(studio.bo, card, "❌")
    steps = shown(card)
    await studio.discord.until(lambda: shown(card) != steps)
    assert "Cancelled" not in shown(card)
    await studio.discord.react(studio.ana, card, "❌")

    await studio.discord.until(lambda: "🚫 Cancelled" in shown(card))


async def test_the_cross_deletes_what_is_mine_and_done(studio: Studio) -> None:
    card = await a_picture(studio)

    await studio.discord.react(studio.ana, card, "❌")

    await studio.discord.until(lambda: card.deleted)


async def test_a_star_keeps_the_picture_until_it_is_taken_back(studio: Studio) -> None:
    card = await a_picture(studio)

    await studio.discord.react(studio.bo, card, "⭐")
    await studio.discord.until(lambda: "⭐ 1" in shown(card))
    await studio.discord.unreact(studio.bo, card, "⭐")
    await studio.discord.until(lambda: "⭐" not in shown(card))

    assert studio.discord.direct(studio.bo).messages == []


async def test_taking_a_star_back_does_not_change_what_somebody_is_called(studio: Studio) -> None:
    card = await a_picture(studio)
    await studio.discord.react(studio.ana, card, "⭐")
    await studio.discord.until(lambda: "⭐ 1" in shown(card))
    names = rows(studio.folder, "SELECT name FROM people ORDER BY id")

    await studio.discord.unreact(studio.ana, card, "⭐")
    await studio.discord.until(lambda: "⭐" not in shown(card))

    assert rows(studio.folder, "SELECT name FROM people ORDER BY id") == names


async def test_the_letter_brings_the_full_file_by_direct_message(studio: Studio) -> None:
    card = await a_picture(studio, count=2)

    for emoji in ("✉️", "✉"):
        await studio.discord.react(studio.bo, card, emoji)
    direct = studio.discord.direct(studio.bo)

    await studio.discord.until(lambda: sum(len(one.files) for one in direct.messages) == 4)
    assert studio.channel.messages == [card]


async def test_reactions_that_mean_nothing_and_messages_of_others_are_left_alone(studio: Studio) -> None:
    card = await a_picture(studio)
    talk = studio.channel.says(studio.bo, "hello")
    calls = len(studio.discord.record)

    await studio.discord.react(studio.ana, card, "🎉")
    await studio.discord.react(studio.ana, talk, "🔁")
    await studio.discord.unreact(studio.ana, talk, "🔁")
    await studio.discord.react(studio.ana, card, "🔁")
    await studio.discord.until(lambda: len(studio.channel.messages) == 3)

    assert {call.method for call in studio.discord.record[calls:]} <= {"POST", "PATCH"}
    assert len(seeds(studio)) <= 2


async def test_a_reaction_where_nothing_may_be_asked_does_nothing(open_studio: OpenStudio) -> None:
    studio = await open_studio()
    card = await a_picture(studio)
    await studio.stop()
    await studio.start(DiscordSettings(channels=("1234",)))

    await studio.discord.react(studio.ana, card, "🔁")
    await studio.discord.react(studio.ana, card, "⭐")
    await studio.discord.unreact(studio.ana, card, "⭐")  # heard after the others

    await studio.discord.until(lambda: any("/members/" in call.path for call in studio.discord.record))
    assert rows(studio.folder, "SELECT count(*) FROM jobs") == [(1,)]


async def test_a_card_in_direct_messages_takes_reactions_too(studio: Studio) -> None:
    direct = studio.discord.direct(studio.ana)
    await studio.discord.command(studio.ana, studio.channel, "imagine", prompt="a fox", steps=1, private=True)
    await studio.discord.until(lambda: any("Painted in" in shown(one) for one in direct.messages))

    await studio.discord.react(studio.ana, direct.messages[0], "🔁")

    await studio.discord.until(lambda: sum("Painted in" in shown(one) for one in direct.messages) == 2)
    assert studio.channel.messages == []
