"""What stays when the bot is removed from a guild, and when somebody has all about them deleted."""

import io
import zipfile

from tests.bot.discord.studio import OpenStudio, Studio, painted
from tests.bot.running_bot import rows


def stored(studio: Studio) -> list[str]:
    assert studio.bot is not None
    return [path.name for path in studio.bot.files.folder.glob("??/*")]


def left(studio: Studio) -> list[int]:
    """How many spaces, people, jobs and pictures there are on the disk."""
    tables = ("spaces", "people", "jobs", "pictures")
    return [rows(studio.folder, f"SELECT count(*) FROM {table}")[0][0] for table in tables]


async def test_nothing_stays_of_a_guild_from_which_the_bot_was_removed(open_studio: OpenStudio) -> None:
    studio = await open_studio()
    await painted(studio, await studio.discord.command(studio.ana, studio.channel, "imagine", prompt="a fox"))
    assert left(studio) == [1, 1, 1, 1]

    studio.guild.remove_bot()

    await studio.discord.until(lambda: left(studio) == [0, 0, 0, 0])
    await studio.discord.until(lambda: not stored(studio))


async def test_a_guild_that_is_down_for_a_while_keeps_all(open_studio: OpenStudio) -> None:
    studio = await open_studio()
    await painted(studio, await studio.discord.command(studio.ana, studio.channel, "imagine", prompt="a fox"))
    other = studio.discord.guild("other")
    rooms = other.channel("rooms")
    other.join(studio.bo)
    await painted(studio, await studio.discord.command(studio.bo, rooms, "imagine", prompt="a hare"))

    studio.guild.go_down()
    other.remove_bot()

    await studio.discord.until(lambda: left(studio) == [1, 1, 1, 1])


async def test_the_cards_of_who_is_forgotten_leave_the_channel(open_studio: OpenStudio) -> None:
    studio = await open_studio()
    await painted(studio, await studio.discord.command(studio.ana, studio.channel, "imagine", prompt="a fox"))
    kept = await painted(
        studio, await studio.discord.command(studio.bo, studio.channel, "imagine", prompt="a hare")
    )

    heard = await studio.discord.command(studio.ana, studio.channel, "privacy delete", sure=True)

    assert heard.ephemeral
    await studio.discord.until(lambda: "1 picture" in heard.text)
    await studio.discord.until(lambda: studio.channel.messages == [kept])
    await studio.discord.until(lambda: left(studio) == [1, 1, 1, 1])


async def test_what_is_stored_comes_by_direct_message(open_studio: OpenStudio) -> None:
    studio = await open_studio()
    await painted(studio, await studio.discord.command(studio.ana, studio.channel, "imagine", prompt="a fox"))

    await studio.discord.command(studio.ana, studio.channel, "privacy export")

    direct = studio.discord.direct(studio.ana)
    await studio.discord.until(lambda: any(message.files for message in direct.messages))
    [content] = next(message.files for message in direct.messages if message.files).values()
    names = zipfile.ZipFile(io.BytesIO(content)).namelist()
    assert "atelier.json" in names
    assert any(name.startswith("pictures/") for name in names)
