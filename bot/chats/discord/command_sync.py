"""Registration of our commands with Discord, only when they differ: it has a daily limit."""

from typing import Any

import aiohttp
import discord
import structlog
from discord import app_commands

from bot.chats.discord.undocumented import fetch_commands

IGNORED = ("dm_permission",)  # contexts say it better

log = structlog.get_logger(__name__)


async def sync(client: discord.Client, tree: app_commands.CommandTree[Any]) -> None:
    """Register our commands, unless Discord has them. A failure is logged: the old ones still work."""
    ours = [command.to_dict(tree) for command in tree.get_commands(type=None)]
    try:
        if _are_same(ours, await fetch_commands(client)):
            return
        await tree.sync()
    except (discord.DiscordException, aiohttp.ClientError, OSError, TimeoutError) as error:
        log.error("Commands rejected by Discord", reason=str(error))
    else:
        log.info("Commands registered with Discord", commands=len(ours))


def _are_same(ours: list[dict[str, Any]], theirs: list[dict[str, Any]]) -> bool:
    """Whether they are the same, apart from what Discord adds by itself."""
    registered = {(command["name"], command.get("type", 1)): command for command in theirs}
    if len(registered) != len(ours):
        return False
    return all(
        _comparable(command)
        == _comparable(registered.get((command["name"], command["type"]), {}), like=command)
        for command in ours
    )


def _comparable(value: Any, like: Any = None) -> Any:
    """The definition without its default values, which Discord leaves out."""
    like = value if like is None else like
    if isinstance(value, dict) and isinstance(like, dict):
        items = {key: _comparable(value.get(key), like[key]) for key in like if key not in IGNORED}
        return {
            key: item for key, item in items.items() if item is not False and item not in (None, "", [], {})
        }
    if isinstance(value, str) and isinstance(like, int):  # permissions, which are sent as a number
        return int(value) if value.isdecimal() else value
    if isinstance(value, list) and isinstance(like, list):
        if all(isinstance(item, int) for item in (*value, *like)):
            return sorted(value)  # contexts are a set
        if len(value) != len(like) or not all(isinstance(item, dict) for item in value):
            return value
        return [_comparable(item, other) for item, other in zip(value, like, strict=True)]
    return value
