"""Buttons under cards: who may press them, what they answer, and that they live on after a restart."""

import io

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from tests.bot.discord.harness import DiscordBot, OpenDiscordBot, finish, text_of
from tests.bot.running_bot import rows
from tests.fakes.discord import Attached, Channel, Heard, Message, User


def button(message: Message, action: str) -> str:
    """The custom_id of the message's button for this action, such as "keep" or "keep:2"."""
    name, _, place = action.partition(":")
    ids = [str(component["custom_id"]) for component in message.components]
    return next(
        custom_id
        for custom_id in ids
        if custom_id.split(":")[0] == name and (not place or custom_id.endswith(f":{place}"))
    )


async def a_picture(harness: DiscordBot, who: User | None = None, **options: object) -> Message:
    """A finished card."""
    heard = await harness.discord.command(
        who or harness.ana,
        harness.channel,
        "imagine",
        **{"prompt": "a red fox", "steps": 1, "seed": "7", **options},
    )
    return await finish(harness, heard)


async def a_long_job(harness: DiscordBot, steps: int = 100) -> Message:
    """Ana's card, which goes on for a while."""
    return card_of(await waits_for(harness, harness.channel, steps))


async def waits_for(harness: DiscordBot, channel: Channel, steps: int) -> Heard:
    """Ana's command, once a card has answered it."""
    heard = await harness.discord.command(harness.ana, channel, "imagine", prompt="a fox", steps=steps)
    await harness.discord.until(lambda: heard.message is not None and heard.message.components)
    return heard


def card_of(heard: Heard) -> Message:
    assert heard.message is not None
    return heard.message


def seeds(harness: DiscordBot) -> list[int]:
    return [seed for (seed,) in rows(harness.folder, "SELECT seed FROM pictures ORDER BY id")]


async def test_again_answers_with_the_same_picture_from_a_new_seed(harness: DiscordBot) -> None:
    first = await a_picture(harness)

    heard = await harness.discord.click(harness.bo, first, button(first, "again"))
    second = await finish(harness, heard)

    assert harness.channel.messages == [first, second]
    assert "**a red fox**" in text_of(second)
    assert second.embeds[0]["author"]["name"] == "Bo"
    assert seeds(harness)[0] == 7
    assert seeds(harness)[1] != 7


async def test_variations_of_one_picture_of_four_are_a_grid(harness: DiscordBot) -> None:
    first = await a_picture(harness, count=4)

    heard = await harness.discord.click(harness.ana, first, button(first, "vary:3"))
    second = await finish(harness, heard)

    assert len(seeds(harness)) == 8
    assert "variation 0.15" in text_of(second)


async def test_a_click_on_keep_is_a_favourite_and_another_one_takes_it_back(harness: DiscordBot) -> None:
    card = await a_picture(harness, count=2)

    heard = await harness.discord.click(harness.bo, card, button(card, "keep:2"))
    await harness.discord.until(lambda: "⭐ Picture 2: 1" in text_of(card))
    await harness.discord.click(harness.bo, card, button(card, "keep:2"))
    await harness.discord.until(lambda: "⭐" not in text_of(card))

    assert heard.ephemeral
    assert "in your favourites" in heard.text


async def test_send_brings_the_full_file_with_its_recipe_by_direct_message(harness: DiscordBot) -> None:
    card = await a_picture(harness, count=2)

    heard = await harness.discord.click(harness.bo, card, button(card, "send:2"))
    direct = harness.discord.direct(harness.bo)
    await harness.discord.until(lambda: len(direct.messages) == 2)

    (name,) = direct.messages[0].files
    assert name.startswith("atelier-")
    assert name.endswith("-2.png")
    assert "/imagine" in direct.messages[1].content
    assert heard.ephemeral


async def test_edit_opens_a_form_with_the_recipe_in_it(harness: DiscordBot) -> None:
    card = await a_picture(harness)

    heard = await harness.discord.click(harness.bo, card, button(card, "edit"))

    assert heard.modal is not None
    assert "a red fox" in [field.get("value") for field in heard.modal.fields]


async def test_only_its_person_may_cancel_a_job(open_discord_bot: OpenDiscordBot) -> None:
    harness = await open_discord_bot(seconds=0.2)
    card = await a_long_job(harness)

    refused = await harness.discord.click(harness.bo, card, button(card, "stop"))
    assert refused.ephemeral
    assert "Cancelled" not in text_of(card)
    await harness.discord.click(harness.ana, card, button(card, "stop"))

    await harness.discord.until(lambda: "🚫 Cancelled" in text_of(card))


async def test_buttons_live_on_after_a_restart(harness: DiscordBot) -> None:
    card = await a_picture(harness)

    await harness.restart()
    heard = await harness.discord.click(harness.bo, card, button(card, "again"))
    await finish(harness, heard)
    await harness.discord.click(harness.ana, card, button(card, "keep"))
    await harness.discord.until(lambda: "⭐ 1" in text_of(card))

    assert len(harness.channel.messages) == 2
    assert len(card.files) == 1


@pytest.mark.parametrize(
    "forged", ["again:zzzzzz", "delete:zzzzzz", "nonsense", "again:../etc", "keep:zzzzzz:9", "x" * 100]
)
async def test_a_forged_button_does_nothing_and_says_so(harness: DiscordBot, forged: str) -> None:
    card = await a_picture(harness)

    heard = await harness.discord.click(harness.ana, card, forged, forged=True)

    assert heard.ephemeral
    assert "There is no" in heard.text
    assert harness.channel.messages == [card]


async def test_a_button_of_another_guilds_job_finds_no_job(harness: DiscordBot) -> None:
    card = await a_picture(harness)
    elsewhere = harness.discord.guild("elsewhere")
    elsewhere.join(harness.bo)
    lobby = elsewhere.channel("lobby")
    heard = await harness.discord.command(harness.bo, lobby, "imagine", prompt="a hen", steps=1)
    other = await finish(harness, heard)

    for action in ("again", "send", "delete"):
        heard = await harness.discord.click(harness.bo, other, button(card, action), forged=True)
        assert "There is no job" in heard.text, action
    assert len(lobby.messages) == 1


async def test_the_menu_of_a_message_tells_the_recipe_to_whoever_asked(harness: DiscordBot) -> None:
    card = await a_picture(harness)

    heard = await harness.discord.menu(harness.bo, card, "Recipe of this picture")

    assert heard.ephemeral
    assert "/imagine a red fox " in heard.text
    assert "--seed 7" in heard.text


async def test_paint_like_this_opens_the_form_with_its_recipe(harness: DiscordBot) -> None:
    card = await a_picture(harness)

    heard = await harness.discord.menu(harness.bo, card, "Paint like this")

    assert heard.modal is not None
    assert "a red fox" in [field.get("value") for field in heard.modal.fields]


BLOCK = "a red fox\nNegative prompt: hat\nSteps: 1, Seed: 7, Size: 64x96, Clip skip: 2"


@pytest.mark.parametrize("hangs", [True, False])
async def test_a_message_with_a_recipe_from_elsewhere_is_painted_like(
    harness: DiscordBot, hangs: bool
) -> None:
    info, out = PngInfo(), io.BytesIO()
    info.add_text("parameters", BLOCK)
    Image.new("RGB", (60, 40), "red").save(out, "PNG", pnginfo=info)
    file = Attached("fox.png", out.getvalue())
    message = (
        harness.discord.posts(harness.bo, harness.channel, file)
        if hangs
        else harness.channel.says(harness.bo, BLOCK)
    )

    heard = await harness.discord.menu(harness.ana, message, "Paint like this")

    assert heard.modal is not None, heard.text
    told_values = [field.get("value") for field in heard.modal.fields]
    assert told_values[:4] == ["a red fox", "hat", None, "7"]
    assert "--size 64x96" in str(told_values[4])
    await harness.discord.until(
        lambda: any("Clip skip: 2" in text_of(followup) for followup in heard.followups)
    )


async def test_a_recipe_in_the_prompt_is_painted_and_what_is_not_known_is_told(
    harness: DiscordBot,
) -> None:
    heard = await harness.discord.command(
        harness.ana, harness.channel, "imagine", prompt=" ".join(BLOCK.split())
    )

    done = await finish(harness, heard)
    assert "**a red fox**" in text_of(done)
    assert "seed 7" in text_of(done) and "64x96" in text_of(done)
    await harness.discord.until(
        lambda: any("Clip skip: 2" in text_of(followup) for followup in heard.followups)
    )


@pytest.mark.parametrize("name", ["Recipe of this picture", "Paint like this"])
async def test_the_menu_of_somebody_elses_message_says_that_it_is_none_of_mine(
    harness: DiscordBot, name: str
) -> None:
    message = harness.channel.says(harness.bo, "hello")

    heard = await harness.discord.menu(harness.ana, message, name)

    assert heard.ephemeral
    assert "none of the bot's pictures" in heard.text
