"""What the safety check flags, in Discord's own way: a spoiler."""

from tests.bot.discord.harness import Studio, shown


async def test_discord_hides_it_as_a_spoiler(studio: Studio) -> None:
    root = studio.discord.user("root")
    studio.guild.join(root, admin=True)
    ruled = await studio.discord.command(root, studio.channel, "admin rules", filtered="spoiler")
    await studio.discord.until(lambda: "hidden until" in ruled.text)

    heard = await studio.discord.command(studio.ana, studio.channel, "imagine", prompt="a flag", steps=2)
    await studio.discord.until(lambda: "Safety check: hidden until you open it" in shown(heard.message))
    await studio.discord.until(lambda: bool(heard.message and heard.message.files))

    assert heard.message is not None
    (name,) = heard.message.files
    assert name.startswith("SPOILER_")
    assert "image" not in heard.message.embeds[0]
