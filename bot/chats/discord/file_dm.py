"""Files sent to one person: by direct message, or in ephemeral answers."""

import asyncio
import io
from collections.abc import AsyncIterator, Sequence
from pathlib import PurePath

import discord
import structlog

from bot.chats.discord.ephemeral import say, write
from bot.chats.discord.errors import card_refusal, is_final, is_shut
from bot.chats.discord.pending import Interaction
from bot.chats.discord.undocumented import FILE_LIMIT
from bot.chats.interface import CardRefused
from bot.images.encode import TooLarge, fit_pictures
from engine.messages import Sha256
from storage.files import Files

SENT = "It is in your direct messages."
TOGETHER, AT_ONCE = 24 * 2**20, 10  # bytes and files of one message

Recipient = discord.User | discord.Member
NamedFiles = Sequence[tuple[str, Sha256]]

log = structlog.get_logger(__name__)


async def send_directly(files: Files, user: Recipient, text: str, named: NamedFiles) -> None:
    """Send these to the person by direct message. Raises CardRefused where they cannot come."""
    try:
        async for note, name, content in _fit_files(files, named):
            await user.send(note, files=[_file(name, content)] if content else [])
        if text:
            await write(user, text)
    except discord.HTTPException as error:
        if not is_final(error) and not is_shut(error):
            raise
        raise card_refusal(error) from error


async def send_privately(files: Files, interaction: Interaction, named: NamedFiles, text: str) -> None:
    """Send them by direct message, or here where nobody else sees them; large files take a while."""
    if not interaction.response.is_done():
        await interaction.response.defer(thinking=True, ephemeral=True)
    try:
        await send_directly(files, interaction.user, text, named)
    except CardRefused as refusal:
        log.info("Direct message not accepted", reason=str(refusal))
        await _send_here(files, interaction, named, text)
    else:
        await say(interaction, SENT)


async def _send_here(files: Files, interaction: Interaction, named: NamedFiles, text: str) -> None:
    """Send all of it, in as many answers as its size needs."""
    words: list[str] = []
    batch: list[discord.File] = []
    size = 0
    async for note, name, content in _fit_files(files, named):
        words += [note] if note else []
        if not content:
            continue
        if batch and (size + len(content) > TOGETHER or len(batch) == AT_ONCE):
            await say(interaction, "", batch)
            batch, size = [], 0
        batch.append(_file(name, content))
        size += len(content)
    await say(interaction, "\n".join([*words, text]), batch)


async def _fit_files(files: Files, named: NamedFiles) -> AsyncIterator[tuple[str, str, bytes]]:
    """Read each file as a note, its name and its content; a picture that is too large comes smaller,
    and of other files there is nothing but what is said."""
    for name, sha256 in named:
        content, note = await files.get(sha256), ""
        if len(content) > FILE_LIMIT:
            try:
                small = await asyncio.to_thread(fit_pictures, [content], FILE_LIMIT)
            except (TooLarge, OSError):
                size = f"{name} has {len(content) / 2**20:.0f} MB."
                yield f"{size} Discord allows {FILE_LIMIT // 2**20} MB in a direct message.", name, b""
                continue
            name = PurePath(name).stem + PurePath(small.name).suffix
            content, note = small.content, small.note
        yield note, name, content


def _file(name: str, content: bytes) -> discord.File:
    return discord.File(io.BytesIO(content), filename=name)
