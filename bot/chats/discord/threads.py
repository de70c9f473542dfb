"""Threads of trainings, one for each, so that a channel is not flooded."""

from contextlib import suppress
from typing import Final

import discord

from bot.cards.card import Card
from bot.cards.card_text import short
from bot.chats.discord.errors import THREAD_EXISTS

LONGEST_NAME = 100  # characters
LOOK_BACK = 50  # messages, most of which are about who came in
MESSAGE_TYPES = (
    discord.MessageType.default,
    discord.MessageType.reply,
    discord.MessageType.chat_input_command,
    discord.MessageType.context_menu_command,
)
ARCHIVED_AFTER: Final = 4320  # minutes without a word


async def open_thread(above: discord.Message, card: Card) -> int | None:
    """Open the thread under this message, or find it; None where there can be none."""
    try:
        thread = await above.create_thread(
            name=short(card.title or card.job, LONGEST_NAME), auto_archive_duration=ARCHIVED_AFTER
        )
    except ValueError:  # it is in no guild
        return None
    except discord.HTTPException as error:
        if error.code == THREAD_EXISTS:
            return above.id  # they are called the same
        if error.status in (400, 403, 404):
            return None
        raise
    with suppress(discord.HTTPException, ValueError):  # otherwise they find it in the channel
        await thread.add_user(discord.Object(int(card.person_key)))
    return thread.id


async def is_empty(thread: discord.Thread) -> bool:
    """Whether nobody has a message in it, the bot itself included, as far as the bot can read that."""
    if not thread.permissions_for(thread.guild.me).read_message_history:
        return False  # Discord shows nothing then
    async for message in thread.history(limit=LOOK_BACK):
        if message.type in MESSAGE_TYPES:
            return False
    return True
