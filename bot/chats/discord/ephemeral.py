"""Words for one person: what an ephemeral answer says, in pieces that Discord takes."""

import io
from collections.abc import Awaitable, Iterator, Sequence

import aiohttp
import discord
import structlog

from bot.chats.discord.errors import is_final, is_late, reason
from bot.chats.discord.markup import plain
from bot.chats.discord.pending import HIDDEN, Interaction

TROUBLES = (discord.HTTPException, discord.InteractionResponded, aiohttp.ClientError, OSError, TimeoutError)
LONGEST = 1900  # characters of a message, with room for its fence
MOST = 4  # pieces of an answer: where the bot is no member Discord takes five, and something may come beside
IN_FILE, FILE = "All of it is in the file.", "answer.txt"
NOT_NOW = "Discord did not take the answer. Ask again."

log = structlog.get_logger(__name__)


async def say(interaction: Interaction, text: str, files: Sequence[discord.File] = ()) -> None:
    """Tell the person, and nobody else; a public word that it takes a while goes first."""
    (first, *others), long = split_text(text)
    response, sent = interaction.response, [*files, *long]
    if not response.is_done():
        await response.send_message(first, ephemeral=True, files=sent)
    else:
        if interaction.extras.get(HIDDEN) is False:
            await interaction.delete_original_response()  # what comes first takes its place, as public as it
            interaction.extras[HIDDEN] = True
        await interaction.followup.send(first, ephemeral=True, files=sent)
    for piece in others:
        await interaction.followup.send(piece, ephemeral=True)


async def attempt(answer: Awaitable[object]) -> bool:
    """Whether Discord took this answer; if not, that is nobody's fault: what was asked is done."""
    try:
        await answer
    except TROUBLES as error:
        log.warning("Discord took no answer", reason=repr(error))
        return False
    return True


async def answer_or_explain(interaction: Interaction, answer: Awaitable[object]) -> None:
    """An answer; where Discord takes another one in its place, the person is told why it is not there."""
    try:
        await answer
    except TROUBLES as error:
        log.warning("Discord took no answer", reason=repr(error))
        if isinstance(error, discord.HTTPException) and is_late(error):
            return
        text = NOT_NOW
        if isinstance(error, discord.HTTPException) and is_final(error):
            text = f"This cannot be shown. {reason(error)}"
        await attempt(say(interaction, text))


async def whisper(interaction: Interaction, text: str) -> None:
    """Tell the person, and nobody else, beside a card that has answered them."""
    (first, *others), long = split_text(text)
    await interaction.followup.send(first, ephemeral=True, files=long)
    for piece in others:
        await interaction.followup.send(piece, ephemeral=True)


async def write(to: discord.abc.Messageable, text: str) -> None:
    """Write it to them directly."""
    (first, *others), long = split_text(text)
    await to.send(first, files=long)
    for piece in others:
        await to.send(piece)


def split_text(text: str) -> tuple[list[str], list[discord.File]]:
    """The pieces of a text; of one that has too many the beginning, and a file with all of it."""
    parts = list(pieces(text)) or [""]
    if len(parts) <= MOST:
        return parts, []
    return [f"{parts[0]}\n{IN_FILE}"], [discord.File(io.BytesIO(text.encode()), filename=FILE)]


def pieces(text: str) -> Iterator[str]:
    """A sentence as it is, several lines as a table in letters of one width."""
    if not text:
        return
    if "\n" not in text and len(plain(text)) <= LONGEST:
        yield plain(text)
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
