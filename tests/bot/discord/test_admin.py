"""/admin in Discord: a group of subcommands for those who may manage the server."""

import pytest

from tests.bot.discord.harness import DiscordBot, finish


async def test_admin_is_a_group_that_only_managers_are_offered(harness: DiscordBot) -> None:
    (command,) = (command for command in harness.discord.commands if command["name"] == "admin")

    assert [option["name"] for option in command["options"]][:4] == ["people", "reports", "loras", "queue"]
    assert {option["type"] for option in command["options"]} == {1}
    assert int(command["default_member_permissions"]) == 1 << 5
    assert (command["contexts"], command["integration_types"]) == ([0], [0])
    with pytest.raises(AssertionError, match="there is no 'admin'"):
        await harness.discord.command(harness.ana, harness.channel, "admin people")


async def test_who_manages_the_server_blocks_somebody_and_nobody_else_sees_it(
    harness: DiscordBot,
) -> None:
    discord, channel = harness.discord, harness.channel
    root = discord.user("root")
    harness.guild.join(root, admin=True)
    card = await finish(harness, await discord.command(harness.ana, channel, "imagine", prompt="a fox"))

    listed = await discord.command(root, channel, "admin people")
    blocked = await discord.command(root, channel, "admin people", who=f"<@{harness.ana.id}>", block=True)
    refused = await discord.command(harness.ana, channel, "settings", steps=3)

    await discord.until(lambda: "1 painting" in listed.text)
    await discord.until(lambda: "Ana is blocked here" in blocked.text)
    await discord.until(lambda: "An admin has blocked you here" in refused.text)
    assert all(answer.ephemeral for answer in (listed, blocked, refused))
    assert channel.messages == [card]


async def test_a_command_that_is_also_a_group_is_called_show(harness: DiscordBot) -> None:
    heard = await harness.discord.command(harness.ana, harness.channel, "privacy show")

    await harness.discord.until(lambda: "stored" in heard.text)
    assert heard.ephemeral


async def test_stats_are_told_and_drawn_for_the_admin_alone(harness: DiscordBot) -> None:
    root = harness.discord.user("root")
    harness.guild.join(root, admin=True)

    heard = await harness.discord.command(root, harness.channel, "admin stats")

    await harness.discord.until(lambda: "By person:" in heard.text)
    assert heard.ephemeral
    assert heard.message is not None and list(heard.message.files) == ["stats.png"]


async def test_those_who_have_a_role_have_its_limits(harness: DiscordBot) -> None:
    discord, channel, root = harness.discord, harness.channel, harness.discord.user("root")
    artists = harness.guild.role("artists")
    harness.guild.join(root, admin=True)
    harness.guild.join(harness.ana)
    usual = await discord.command(root, channel, "admin limits", queued="0")
    await discord.until(lambda: "Jobs in line" in usual.text)
    theirs = await discord.command(root, channel, "admin limits", role=f"<@&{artists.id}>", queued="5")
    await discord.until(lambda: "Limits of the role" in theirs.text)

    without = await discord.command(harness.ana, channel, "imagine", prompt="a fox")
    await discord.until(lambda: "0 may wait" in without.text)
    harness.guild.join(harness.ana, roles=(artists,))
    with_it = await discord.command(harness.ana, channel, "imagine", prompt="a fox")

    await finish(harness, with_it)
    listed = await discord.command(root, channel, "admin limits")
    await discord.until(lambda: f"role {artists.id}" in listed.text)
