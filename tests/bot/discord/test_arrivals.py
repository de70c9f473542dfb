"""LoRAs that people attach to a slash command, and those that they merge."""

from functools import partial

from tests.bot.discord.harness import DiscordBot, finish
from tests.bot.quick_lora import a_file
from tests.fakes.discord import Attached, Heard


def tells(heard: Heard, words: str) -> bool:
    return words in heard.text


async def test_an_attached_lora_is_theirs_and_paints(harness: DiscordBot) -> None:
    heard = await harness.discord.command(
        harness.ana, harness.channel, "lora import", name="fox", file=Attached("fox.safetensors", a_file())
    )
    await harness.discord.until(lambda: "The LoRA fox is ready" in heard.text)
    paints = await harness.discord.command(
        harness.ana, harness.channel, "imagine", prompt="a tree", lora="fox", steps=2
    )

    assert heard.ephemeral
    assert await finish(harness, paints)


async def test_an_attached_pickle_is_refused_to_who_sent_it(harness: DiscordBot) -> None:
    pickle = Attached("fox.safetensors", b"\x80\x02}q\x00." * 9)

    heard = await harness.discord.command(
        harness.ana, harness.channel, "lora import", name="fox", file=pickle
    )

    await harness.discord.until(lambda: "which can run code" in heard.text)
    assert heard.ephemeral


async def test_a_file_that_says_it_is_larger_than_any_lora_is_not_read(harness: DiscordBot) -> None:
    huge = Attached("fox.safetensors", a_file(), size=2 * 2**30)

    heard = await harness.discord.command(harness.ana, harness.channel, "lora import", name="fox", file=huge)

    await harness.discord.until(lambda: "larger than 512 MB" in heard.text)


async def test_a_merge_is_said_as_in_every_chat_and_comes_with_its_sheet(harness: DiscordBot) -> None:
    for name in ("fox", "owl"):
        sent = Attached(f"{name}.safetensors", a_file(name))
        heard = await harness.discord.command(
            harness.ana, harness.channel, "lora import", name=name, file=sent
        )
        await harness.discord.until(partial(tells, heard, "is ready"))

    await harness.discord.command(
        harness.ana, harness.channel, "lora merge", name="both", lora="fox:0.7, owl:0.5"
    )

    direct = harness.discord.direct(harness.ana)
    await harness.discord.until(
        lambda: any("both merges fox:0.7" in message.text for message in direct.messages)
    )
    assert any("both-beside-its-mix.png" in message.files for message in direct.messages)


async def test_loras_are_shown_as_cards_with_what_they_paint(harness: DiscordBot) -> None:
    sent = Attached("fox.safetensors", a_file())
    heard = await harness.discord.command(harness.ana, harness.channel, "lora import", name="fox", file=sent)
    await harness.discord.until(lambda: "is ready" in heard.text)

    heard = await harness.discord.command(harness.ana, harness.channel, "loras")
    near = await harness.discord.command(harness.ana, harness.channel, "loras", like="wood")

    for answer in (heard, near):
        await harness.discord.until(lambda heard=answer: bool(heard.followups))  # type: ignore[misc]
        (card,) = answer.followups[-1].embeds
        assert answer.ephemeral and answer.followups[-1].ephemeral
        assert (card["title"], card["thumbnail"]["url"].rpartition("/")[2][:10]) == ("fox", "lora-0.jpg")
    assert {field["name"] for field in card["fields"]} == {"match", "weight", "used", "likes", "for", "by"}
