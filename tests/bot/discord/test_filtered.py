"""What the safety check flags, in Discord's own way: a spoiler."""

from tests.bot.discord.harness import DiscordBot, text_of


async def test_discord_hides_it_as_a_spoiler(harness: DiscordBot) -> None:
    root = harness.discord.user("root")
    harness.guild.join(root, admin=True)
    ruled = await harness.discord.command(root, harness.channel, "admin rules", filtered="spoiler")
    await harness.discord.until(lambda: "hidden until" in ruled.text)

    heard = await harness.discord.command(harness.ana, harness.channel, "imagine", prompt="a flag", steps=2)
    await harness.discord.until(lambda: "Safety check: hidden until you open it" in text_of(heard.message))
    await harness.discord.until(lambda: bool(heard.message and heard.message.files))

    assert heard.message is not None
    (name,) = heard.message.files
    assert name.startswith("SPOILER_")
    assert "image" not in heard.message.embeds[0]
