"""Words for one person: what an ephemeral answer says, in pieces that Discord takes."""

from collections.abc import Awaitable, Iterator, Sequence

import aiohttp
import discord
import structlog

from bot.on_discord.pending import HIDDEN, Interaction

TROUBLES = (discord.HTTPException, discord.InteractionResponded, aiohttp.ClientError, TimeoutError)
LONGEST = 1900  # characters of a message, with room for its fence

log = structlog.get_logger(__name__)


async def say(interaction: Interaction, text: str, files: Sequence[discord.File] = ()) -> None:
    """Tell the person, and nobody else; a public word that it takes a while goes first."""
    first, *others = list(pieces(text)) or [""]
    response = interaction.response
    if not response.is_done():
        await response.send_message(first, ephemeral=True, files=list(files))
    else:
        if interaction.extras.get(HIDDEN) is False:
            await interaction.delete_original_response()  # what comes first takes its place, as public as it
            interaction.extras[HIDDEN] = True
        await interaction.followup.send(first, ephemeral=True, files=list(files))
    for piece in others:
        await interaction.followup.send(piece, ephemeral=True)


async def tried(answer: Awaitable[object]) -> bool:
    """Whether Discord took this answer; if not, that is nobody's fault: what was asked is done."""
    try:
        await answer
    except TROUBLES as error:
        log.warning("discord took no answer", reason=repr(error))
        return False
    return True


async def whisper(interaction: Interaction, text: str) -> None:
    """Tell the person, and nobody else, beside a card that has answered them."""
    for piece in pieces(text):
        await interaction.followup.send(piece, ephemeral=True)


def pieces(text: str) -> Iterator[str]:
    """A sentence as it is, several lines as a table in letters of one width."""
    if not text:
        return
    if "\n" not in text and len(text) <= LONGEST:
        yield discord.utils.escape_markdown(text)
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
