"""What a card looks like on Discord: one message from the place in line to the picture, within all limits."""

import io

from PIL import Image

from tests.bot.discord.harness import DiscordBot, OpenDiscordBot, finish, text_of
from tests.bot.discord.test_train import card as train_card
from tests.bot.discord.test_train import opens, pictures, presses
from tests.fakes.discord import Message


def buttons(message: Message) -> list[list[str]]:
    """What can be pressed, row by row: "again", "keep:2"."""
    rows = [row["components"] for row in message.rows]
    return [
        [button["custom_id"].replace(":" + button["custom_id"].split(":")[1], "", 1) for button in row]
        for row in rows
    ]


def image(message: Message, nth: int = 0) -> str:
    """The name of the file that an embed shows."""
    return str(message.embeds[nth]["image"]["url"]).rpartition("/")[2]


async def test_the_message_that_told_the_place_in_line_becomes_the_picture(harness: DiscordBot) -> None:
    heard = await harness.discord.command(
        harness.ana, harness.channel, "imagine", prompt="a red fox", steps=3
    )
    done = await finish(harness, heard)

    assert harness.channel.messages == [done]
    assert done.edits >= 1
    assert "**a red fox**" in text_of(done)
    assert "steps 3" in text_of(done)
    assert done.embeds[0]["author"]["name"] == "Ana"
    assert list(done.files) == [image(done)]
    assert done.loose == []


async def test_a_weight_that_is_painted_as_words_is_told_under_the_card(harness: DiscordBot) -> None:
    heard = await harness.discord.command(
        harness.ana, harness.channel, "imagine", prompt="a [red] fox", steps=1
    )

    assert "-# Painted as plain words, for weights are not understood here: [red]." in text_of(
        await finish(harness, heard)
    )


async def test_a_running_card_has_a_bar_and_a_glimpse(open_discord_bot: OpenDiscordBot) -> None:
    harness = await open_discord_bot(seconds=0.3)
    heard = await harness.discord.command(harness.ana, harness.channel, "imagine", prompt="a fox", steps=40)

    message = heard.message
    assert message is not None
    await harness.discord.until(lambda: "▓" in text_of(message) and message.files)

    assert "of 40" in text_of(message)
    assert "%" in text_of(message)
    assert buttons(message) == [["stop"]]


async def test_one_picture_has_one_row_or_two_of_buttons(harness: DiscordBot) -> None:
    heard = await harness.discord.command(harness.ana, harness.channel, "imagine", prompt="a fox", steps=1)

    assert buttons(await finish(harness, heard)) == [
        ["again", "vary", "edit", "keep", "send"],
        ["upscale", "delete"],
        ["more"],
    ]


async def test_four_pictures_are_one_grid_with_buttons_for_each(harness: DiscordBot) -> None:
    heard = await harness.discord.command(
        harness.ana, harness.channel, "imagine", prompt="a fox", steps=1, count=4
    )
    done = await finish(harness, heard)

    each = [[f"{action}:{place}" for place in range(1, 5)] for action in ("vary", "keep", "send")]
    assert buttons(done) == [["again", "edit", "delete"], *each, ["more"]]
    assert [component["label"] for component in done.rows[1]["components"]] == ["1", "2", "3", "4"]
    (content,) = done.files.values()
    with Image.open(io.BytesIO(content)) as whole:
        assert whole.width == whole.height
        assert whole.width > 2


async def test_a_prompt_pings_nobody_and_is_shown_as_it_was_written(harness: DiscordBot) -> None:
    prompt = f"@everyone <@{harness.bo.id}> **bold** [here](https://example.com) ||hidden||"
    heard = await harness.discord.command(harness.ana, harness.channel, "imagine", prompt=prompt, steps=1)
    done = await finish(harness, heard)

    text = text_of(done)
    assert done.pings == []
    assert done.content == ""
    assert r"\*\*bold\*\*" in text
    assert r"\[here" in text
    assert "@everyone" not in text
    assert f" <@{harness.bo.id}>" not in text


async def test_a_star_is_seen_on_the_card_without_sending_the_picture_again(harness: DiscordBot) -> None:
    heard = await harness.discord.command(harness.ana, harness.channel, "imagine", prompt="a fox", steps=1)
    done = await finish(harness, heard)
    sent = sum(bool(call.files) for call in harness.discord.record)

    await presses(harness, done, "keep")
    await harness.discord.until(lambda: "⭐ 1" in text_of(done))

    assert sum(bool(call.files) for call in harness.discord.record) == sent
    assert list(done.files) == [image(done)]


async def test_a_picture_that_is_too_large_comes_smaller_and_the_card_says_so(
    harness: DiscordBot,
) -> None:
    harness.guild.file_limit = 600
    heard = await harness.discord.command(
        harness.ana, harness.channel, "imagine", prompt="a fox", steps=1, count=4
    )
    done = await finish(harness, heard)

    assert all(len(content) <= 600 for content in done.files.values())


async def test_where_no_picture_is_taken_the_card_says_how_to_get_it(
    open_discord_bot: OpenDiscordBot,
) -> None:
    harness = await open_discord_bot(seconds=0.1)
    heard = await harness.discord.command(harness.ana, harness.channel, "imagine", prompt="a fox", steps=10)
    harness.guild.file_limit = 10  # bytes, and nobody told the bot
    done = await finish(harness, heard)

    assert done.files == {}
    assert "✉️ sends it" in text_of(done)


async def test_a_training_has_its_report_its_curve_and_its_samples_in_its_thread(
    harness: DiscordBot,
) -> None:
    form = await opens(harness)
    values = {"pictures": pictures(3), "rest": "--trigger ohwx --subject gear --steps 12", "consent": ["yes"]}
    await harness.discord.submit(harness.ana, form, values)

    report = await train_card(harness, "3 pictures")
    looked = dict(report.files)
    await presses(harness, report, "start")
    done = await train_card(harness, "--lora maria", 60)

    assert done is report
    assert ["report" in name for name in looked] == [True]
    assert [embed.get("title") for embed in done.embeds] == [None, "What it paints"]
    assert "curve" in image(done, 0)
    assert "samples" in image(done, 1)
    assert len(done.files) == 2
    assert "📉 Loss from" in text_of(done)
    assert done.channel.name == "maria: ohwx gear"
    (above,) = harness.channel.messages
    assert above.thread is done.channel


async def test_what_a_training_shows_already_is_not_sent_again(harness: DiscordBot) -> None:
    form = await opens(harness)
    values = {"pictures": pictures(3), "rest": "--trigger ohwx --subject gear --steps 12", "consent": ["yes"]}
    await harness.discord.submit(harness.ana, form, values)
    await presses(harness, await train_card(harness, "3 pictures"), "start")
    done = await train_card(harness, "--lora maria", 60)
    curve, before = image(done, 0), len(harness.discord.record)

    await presses(harness, done, "choose")
    await harness.discord.until(
        lambda: any("samples" in name for call in harness.discord.record[before:] for name in call.files)
    )

    sent = [name for call in harness.discord.record[before:] for name in call.files]
    assert all("samples" in name for name in sent)
    assert image(done, 0) == curve
    assert len(done.files) == 2


async def test_my_pictures_are_hung_on_a_sheet_for_me_alone(harness: DiscordBot) -> None:
    card = await finish(
        harness, await harness.discord.command(harness.ana, harness.channel, "imagine", prompt="a fox")
    )

    heard = await harness.discord.command(harness.ana, harness.channel, "gallery")

    await harness.discord.until(lambda: "a fox" in heard.text)
    assert heard.ephemeral
    assert heard.message is not None and list(heard.message.files) == ["gallery.png"]
    assert harness.channel.messages == [card]
