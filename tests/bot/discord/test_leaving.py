"""What stays when the bot is removed from a guild, and when somebody has all about them deleted."""

import io
import sqlite3
import zipfile
from typing import Any

from tests.bot.discord.harness import DiscordBot, OpenDiscordBot, finish
from tests.bot.running_bot import rows, until


def list_files(harness: DiscordBot) -> list[str]:
    assert harness.bot is not None
    return [path.name for path in harness.bot.files.folder.glob("??/*")]


def count_rows(harness: DiscordBot) -> list[int]:
    """How many spaces, people, jobs and pictures there are on the disk."""
    tables = ("spaces", "people", "jobs", "pictures")
    return [rows(harness.folder, f"SELECT count(*) FROM {table}")[0][0] for table in tables]


def away(harness: DiscordBot) -> list[tuple[Any, ...]]:
    """Of each space whether the bot is known as a member, and since when it is not named; guilds last."""
    return sorted(rows(harness.folder, "SELECT joined, away_at FROM spaces"), key=lambda row: row[0])


def later(harness: DiscordBot, days: int) -> None:
    """The bot was off for so long."""
    with sqlite3.connect(harness.folder / "atelier.db") as connection:
        connection.execute("UPDATE spaces SET away_at = away_at - ?", (86_400 * days,))


async def test_nothing_stays_of_a_guild_from_which_the_bot_was_removed(
    open_discord_bot: OpenDiscordBot,
) -> None:
    harness = await open_discord_bot()
    await finish(
        harness, await harness.discord.command(harness.ana, harness.channel, "imagine", prompt="a fox")
    )
    assert count_rows(harness) == [1, 1, 1, 1]

    harness.guild.remove_bot()

    await harness.discord.until(lambda: count_rows(harness) == [0, 0, 0, 0])
    await harness.discord.until(lambda: not list_files(harness))


async def test_a_guild_that_is_down_for_a_while_keeps_all(open_discord_bot: OpenDiscordBot) -> None:
    harness = await open_discord_bot()
    await finish(
        harness, await harness.discord.command(harness.ana, harness.channel, "imagine", prompt="a fox")
    )
    other = harness.discord.guild("other")
    rooms = other.channel("rooms")
    other.join(harness.bo)
    await finish(harness, await harness.discord.command(harness.bo, rooms, "imagine", prompt="a hare"))

    harness.guild.go_down()
    other.remove_bot()

    await harness.discord.until(lambda: count_rows(harness) == [1, 1, 1, 1])


async def test_nothing_stays_of_a_guild_that_removed_the_bot_while_it_was_off(
    open_discord_bot: OpenDiscordBot,
) -> None:
    harness = await open_discord_bot()
    await finish(
        harness, await harness.discord.command(harness.ana, harness.channel, "imagine", prompt="a fox")
    )
    direct = harness.discord.direct(harness.bo)
    await finish(harness, await harness.discord.command(harness.bo, direct, "imagine", prompt="a hare"))
    await harness.restart()
    await until(lambda: away(harness) == [(0, None), (1, None)])
    await harness.stop()
    harness.guild.remove_bot()

    await harness.start()
    await until(lambda: [since is not None for _, since in away(harness)] == [False, True])
    assert count_rows(harness) == [2, 2, 2, 2], "it may be Discord that is wrong: nothing goes at once"
    await harness.stop()
    later(harness, 8)
    await harness.start()

    await until(lambda: count_rows(harness) == [1, 1, 1, 1])
    await until(lambda: len(list_files(harness)) == 1)


async def test_a_guild_that_is_named_again_in_time_keeps_all(open_discord_bot: OpenDiscordBot) -> None:
    harness = await open_discord_bot()
    await finish(
        harness, await harness.discord.command(harness.ana, harness.channel, "imagine", prompt="a fox")
    )
    await harness.restart()
    await until(lambda: away(harness) == [(1, None)])
    await harness.stop()
    harness.guild.bot = False
    await harness.start()
    await until(lambda: away(harness) != [(1, None)])
    await harness.stop()
    later(harness, 8)
    harness.guild.bot = True

    await harness.start()

    await until(lambda: away(harness) == [(1, None)])
    assert count_rows(harness) == [1, 1, 1, 1]


async def test_the_cards_of_who_is_forgotten_leave_the_channel(open_discord_bot: OpenDiscordBot) -> None:
    harness = await open_discord_bot()
    await finish(
        harness, await harness.discord.command(harness.ana, harness.channel, "imagine", prompt="a fox")
    )
    other_card = await finish(
        harness, await harness.discord.command(harness.bo, harness.channel, "imagine", prompt="a hare")
    )

    heard = await harness.discord.command(harness.ana, harness.channel, "privacy delete", sure=True)

    assert heard.ephemeral
    await harness.discord.until(lambda: "1 picture" in heard.text)
    await harness.discord.until(lambda: harness.channel.messages == [other_card])
    await harness.discord.until(lambda: count_rows(harness) == [1, 1, 1, 1])


async def test_what_is_stored_comes_by_direct_message(open_discord_bot: OpenDiscordBot) -> None:
    harness = await open_discord_bot()
    await finish(
        harness, await harness.discord.command(harness.ana, harness.channel, "imagine", prompt="a fox")
    )

    await harness.discord.command(harness.ana, harness.channel, "privacy export")

    direct = harness.discord.direct(harness.ana)
    await harness.discord.until(lambda: any(message.files for message in direct.messages))
    [content] = next(message.files for message in direct.messages if message.files).values()
    names = zipfile.ZipFile(io.BytesIO(content)).namelist()
    assert "atelier.json" in names
    assert any(name.startswith("pictures/") for name in names)
