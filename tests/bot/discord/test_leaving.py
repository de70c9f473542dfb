"""What stays when the bot is removed from a guild, and when somebody has all about them deleted."""

import io
import sqlite3
import zipfile
from typing import Any

from tests.bot.discord.harness import OpenStudio, Studio, painted
from tests.bot.running_bot import rows, until


def stored(studio: Studio) -> list[str]:
    assert studio.bot is not None
    return [path.name for path in studio.bot.files.folder.glob("??/*")]


def left(studio: Studio) -> list[int]:
    """How many spaces, people, jobs and pictures there are on the disk."""
    tables = ("spaces", "people", "jobs", "pictures")
    return [rows(studio.folder, f"SELECT count(*) FROM {table}")[0][0] for table in tables]


def away(studio: Studio) -> list[tuple[Any, ...]]:
    """Of each space whether the bot is known as a member, and since when it is not named; guilds last."""
    return sorted(rows(studio.folder, "SELECT joined, away_at FROM spaces"), key=lambda row: row[0])


def later(studio: Studio, days: int) -> None:
    """The bot was off for so long."""
    with sqlite3.connect(studio.folder / "atelier.db") as connection:
        connection.execute("UPDATE spaces SET away_at = away_at - ?", (86_400 * days,))


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


async def test_nothing_stays_of_a_guild_that_removed_the_bot_while_it_was_off(
    open_studio: OpenStudio,
) -> None:
    studio = await open_studio()
    await painted(studio, await studio.discord.command(studio.ana, studio.channel, "imagine", prompt="a fox"))
    direct = studio.discord.direct(studio.bo)
    await painted(studio, await studio.discord.command(studio.bo, direct, "imagine", prompt="a hare"))
    await studio.restart()
    await until(lambda: away(studio) == [(0, None), (1, None)])
    await studio.stop()
    studio.guild.remove_bot()

    await studio.start()
    await until(lambda: [since is not None for _, since in away(studio)] == [False, True])
    assert left(studio) == [2, 2, 2, 2], "it may be Discord that is wrong: nothing goes at once"
    await studio.stop()
    later(studio, 8)
    await studio.start()

    await until(lambda: left(studio) == [1, 1, 1, 1])
    await until(lambda: len(stored(studio)) == 1)


async def test_a_guild_that_is_named_again_in_time_keeps_all(open_studio: OpenStudio) -> None:
    studio = await open_studio()
    await painted(studio, await studio.discord.command(studio.ana, studio.channel, "imagine", prompt="a fox"))
    await studio.restart()
    await until(lambda: away(studio) == [(1, None)])
    await studio.stop()
    studio.guild.bot = False
    await studio.start()
    await until(lambda: away(studio) != [(1, None)])
    await studio.stop()
    later(studio, 8)
    studio.guild.bot = True

    await studio.start()

    await until(lambda: away(studio) == [(1, None)])
    assert left(studio) == [1, 1, 1, 1]


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
