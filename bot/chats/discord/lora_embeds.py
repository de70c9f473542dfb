"""Embeds of LoRAs, each with what it paints, for one person."""

import asyncio
import io
from collections.abc import Collection, Sequence

import discord

from bot.cards.card_text import short
from bot.chats.discord.ephemeral import say
from bot.chats.discord.markup import escape
from bot.chats.discord.pending import Interaction
from bot.chats.interface import LorasReply
from bot.images.encode import thumbnail
from commands.lora_cards import LoraCard, lora_cards
from storage.files import Files

SHOWN, CHARACTERS = 10, 5900  # embeds of a message, and their letters; the words before them tell of all
COLOUR = 0xFF7D5C


async def show_lora_cards(files: Files, interaction: Interaction, reply: LorasReply) -> None:
    """Send the words, then the cards."""
    if not interaction.response.is_done():
        await interaction.response.defer(thinking=True, ephemeral=True)
    await say(interaction, reply.text)
    shown = lora_cards(reply.loras)[:SHOWN]
    pictures = await _read_thumbnails(files, shown)
    made = embeds(shown, pictures)
    used = [_name(nth) for nth in range(len(made)) if _name(nth) in pictures]
    sent = [discord.File(io.BytesIO(pictures[name]), filename=name) for name in used]
    await interaction.followup.send(embeds=made, files=sent, ephemeral=True)


def embeds(cards: Sequence[LoraCard], pictures: Collection[str]) -> list[discord.Embed]:
    """As many of these as Discord takes in one message, with the thumbnails that there are by name."""
    made = [_embed(card, nth, pictures) for nth, card in enumerate(cards)]
    while sum(map(len, made)) > CHARACTERS:
        made.pop()
    return made


async def _read_thumbnails(files: Files, cards: Sequence[LoraCard]) -> dict[str, bytes]:
    """Read the thumbnails as small files by name, without those that cannot be read."""
    thumbnails = {}
    for nth, card in enumerate(cards):
        if card.thumbnail is not None:
            try:
                content = await files.get(card.thumbnail)
                thumbnails[_name(nth)] = await asyncio.to_thread(thumbnail, content)
            except OSError:
                continue
    return thumbnails


def _embed(card: LoraCard, nth: int, pictures: Collection[str]) -> discord.Embed:
    code = card.line.replace("`", "'")
    embed = discord.Embed(
        title=escape(card.name, 100),
        description=f"{escape(card.phrase, 100)}\n```\n{short(code, 300)}\n```".strip(),
        colour=COLOUR,
    )
    for name, value in card.facts:
        embed.add_field(name=name, value=escape(value, 60), inline=True)
    if _name(nth) in pictures:
        embed.set_thumbnail(url=f"attachment://{_name(nth)}")
    return embed


def _name(nth: int) -> str:
    return f"lora-{nth}.jpg"
