"""What Discord's refusals mean for a card."""

import discord

UNKNOWN_CHANNEL, UNKNOWN_MESSAGE, UNKNOWN_WEBHOOK, UNKNOWN_INTERACTION = 10003, 10008, 10015, 10062
ANSWERED = 40060  # the interaction has its first answer already
TOO_LARGE = 40005
INVALID_TOKEN = 50027
ARCHIVED = 50083
THREAD_EXISTS = 160004


def is_late(error: discord.HTTPException) -> bool:
    """Whether its token does no more: it is dead, the answer was deleted, or its thread is in the archive."""
    return error.status in (401, 403, 404) or error.code in (
        ARCHIVED,
        INVALID_TOKEN,
        UNKNOWN_WEBHOOK,
        UNKNOWN_INTERACTION,
        UNKNOWN_MESSAGE,
    )


def is_shut(error: discord.HTTPException) -> bool:
    """Whether the channel or the message is gone, or closed to the bot."""
    return error.status in (403, 404)


def is_too_large(error: discord.HTTPException) -> bool:
    """Whether the files were more than Discord takes there."""
    return error.status == 413 or error.code == TOO_LARGE
