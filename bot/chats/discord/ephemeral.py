"""Ephemeral answers and direct messages: texts for one person, in pieces that Discord takes."""

import io
from collections.abc import Awaitable, Iterator, Sequence

import aiohttp
import discord
import structlog

from bot.chats.discord.errors import is_final, is_late, reason
from bot.chats.discord.markup import escape_marks
from bot.chats.discord.pending import IS_EPHEMERAL, Interaction

TROUBLES = (discord.HTTPException, discord.InteractionResponded, aiohttp.ClientError, OSError, TimeoutError)
LONGEST = 1900  # characters of a message, with room for its fence
MOST = 4  # pieces of an answer: where the bot is no member Discord takes five, and something may come beside
IN_FILE, FILE = "The whole answer is in the file.", "answer.txt"
NOT_NOW = "Discord did not accept the answer. Try again."

log = structlog.get_logger(__name__)


async def say(interaction: Interaction, text: str, files: Sequence[discord.File] = ()) -> None:
    """Tell the person alone; a public "thinking" message is removed first."""
    (first, *others), long = split_message(text)
    response, sent = interaction.response, [*files, *long]
    if not response.is_done():
        await response.send_message(first, ephemeral=True, files=sent)
    else:
        if interaction.extras.get(IS_EPHEMERAL) is False:
            await interaction.delete_original_response()  # what comes first takes its place, as public as it
            interaction.extras[IS_EPHEMERAL] = True
        await interaction.followup.send(first, ephemeral=True, files=sent)
    for piece in others:
        await interaction.followup.send(piece, ephemeral=True)


async def try_answer(answer: Awaitable[object]) -> bool:
    """Send this answer, and say whether Discord took it; if not, what was asked is done all the same."""
    try:
        await answer
    except TROUBLES as error:
        log.warning("Answer rejected by Discord", reason=repr(error))
        return False
    return True


async def answer_or_explain(interaction: Interaction, answer: Awaitable[object]) -> None:
    """Send this answer; where Discord rejects it but takes another one, tell the person why."""
    try:
        await answer
    except TROUBLES as error:
        log.warning("Answer rejected by Discord", reason=repr(error))
        if isinstance(error, discord.HTTPException) and is_late(error):
            return
        words = NOT_NOW
        if isinstance(error, discord.HTTPException) and is_final(error):
            words = f"This cannot be shown. {reason(error)}"
        await try_answer(say(interaction, words))


async def follow_up(interaction: Interaction, text: str) -> None:
    """Tell the person alone, after a card that has answered them."""
    (first, *others), long = split_message(text)
    await interaction.followup.send(first, ephemeral=True, files=long)
    for piece in others:
        await interaction.followup.send(piece, ephemeral=True)


async def write(to: discord.abc.Messageable, text: str) -> None:
    """Send it to them directly."""
    (first, *others), long = split_message(text)
    await to.send(first, files=long)
    for piece in others:
        await to.send(piece)


def split_message(text: str) -> tuple[list[str], list[discord.File]]:
    """The pieces of a text; of one that has too many the beginning, and a file with all of it."""
    messages = list(pieces(text)) or [""]
    if len(messages) <= MOST:
        return messages, []
    return [f"{messages[0]}\n{IN_FILE}"], [discord.File(io.BytesIO(text.encode()), filename=FILE)]


def pieces(text: str) -> Iterator[str]:
    """A sentence as it is, several lines as a table in letters of one width."""
    if not text:
        return
    if "\n" not in text and len(escape_marks(text)) <= LONGEST:
        yield escape_marks(text)
        return
    piece = ""
    for line in text.replace("```", "`` `").split("\n"):
        for start in range(0, len(line) or 1, LONGEST):
            part = line[start : start + LONGEST]
            if len(piece) + len(part) + 1 > LONGEST:
                yield f"```\n{piece}\n```"
                piece = ""
            piece = f"{piece}\n{part}" if piece else part
    if piece:
        yield f"```\n{piece}\n```"
