"""Files for one person: by direct message, or where nobody else sees them."""

import asyncio
import io
from collections.abc import AsyncIterator, Sequence
from pathlib import PurePath

import discord

from bot.front import CardRefused
from bot.on_discord.pending import Interaction
from bot.on_discord.saying import pieces, say
from bot.outcomes import Reply
from bot.sheets import TooLarge, fitted
from engine.messages import Sha256
from storage.files import Files

SENT = "it comes to you by direct message."
LIMIT = discord.utils.DEFAULT_FILE_SIZE_LIMIT_BYTES  # of a direct message

Giftable = discord.User | discord.Member
Named = Sequence[tuple[str, Sha256]]


async def gift(files: Files, user: Giftable, text: str, named: Named) -> None:
    """Send these to the person by direct message. Raises CardRefused when they take none."""
    try:
        async for content, file in _fitting(files, named):
            await user.send(content, files=[file] if file else [])
        for piece in pieces(text):
            await user.send(piece)
    except discord.Forbidden as error:
        raise CardRefused("they take no direct messages from the bot.") from error


async def give(files: Files, interaction: Interaction, reply: Reply) -> None:
    """By direct message, or here where nobody else sees it; large files take a while."""
    if not interaction.response.is_done():
        await interaction.response.defer(thinking=True, ephemeral=True)
    try:
        await gift(files, interaction.user, reply.text, reply.files)
    except CardRefused:
        told = [one async for one in _fitting(files, reply.files)]
        words = "\n".join([*(content for content, _ in told if content), reply.text])
        await say(interaction, words, [file for _, file in told if file])
    else:
        await say(interaction, SENT)


async def _fitting(files: Files, named: Named) -> AsyncIterator[tuple[str, discord.File | None]]:
    """Each file with what there is to say of it; a picture that is too large is sent smaller."""
    for name, sha256 in named:
        content, note = await files.get(sha256), ""
        if len(content) > LIMIT:
            try:
                small = await asyncio.to_thread(fitted, [content], LIMIT)
            except (TooLarge, OSError):
                size = f"{name} has {len(content) / 2**20:.0f} MB"
                yield f"{size}, and Discord takes {LIMIT // 2**20} MB in a direct message.", None
                continue
            name = PurePath(name).stem + PurePath(small.name).suffix
            content, note = small.content, small.note
        yield note, discord.File(io.BytesIO(content), filename=name)
