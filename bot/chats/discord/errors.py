"""Discord's error codes, and what they mean for a card."""

import discord

from bot.chats.interface import CardRefused

UNKNOWN_CHANNEL, UNKNOWN_MESSAGE, UNKNOWN_WEBHOOK, UNKNOWN_INTERACTION = 10003, 10008, 10015, 10062
ANSWERED = 40060  # the interaction has its first answer already
TOO_LARGE = 40005
TOO_OFTEN_EDITED = 30046  # a message that is older than an hour
NO_DIRECT = 50007
OVERLOADED = 130000
INVALID_TOKEN = 50027
ARCHIVED = 50083
THREAD_EXISTS = 160004
AUTOMOD = "The server's AutoMod blocks it. Direct messages are not checked."
REASONS = {  # why Discord keeps a message out, for whom it concerns
    20009: "Discord considers it explicit content.",
    200000: AUTOMOD,
    200001: AUTOMOD,
    240000: "Discord considers a link in it harmful.",
    TOO_LARGE: "It is larger than Discord accepts here.",
    TOO_OFTEN_EDITED: "Discord does not allow so many changes to a message of that age.",
    NO_DIRECT: "You accept no direct messages from the bot. The server's privacy settings can allow them.",
}
LONGEST = 200  # characters of what Discord says itself


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


def is_final(error: discord.HTTPException) -> bool:
    """Whether Discord will refuse the same again, however often it is asked, though the place is open."""
    if error.code == TOO_OFTEN_EDITED:  # though it comes with 429
        return True
    passing = error.status in (401, 403, 404, 408, 429) or error.code == OVERLOADED
    return 400 <= error.status < 500 and not passing


def reason(error: discord.HTTPException) -> str:
    """Why Discord refuses something, as a sentence."""
    answer = " ".join(error.text.split())[:LONGEST].rstrip(".") or f"status {error.status}"
    return REASONS.get(error.code, f"Discord refuses it ({answer}).")


def card_refusal(error: discord.HTTPException) -> CardRefused:
    """What a final refusal means for a card."""
    often = error.code == TOO_OFTEN_EDITED
    return CardRefused(reason(error), bare=not often, anew=often)
