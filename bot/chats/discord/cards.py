"""Embeds of a job's card."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import discord

from bot.cards.card import Card, CardOrigin
from bot.cards.card_text import (
    bar,
    bare_line,
    checkpoints,
    curve_words,
    notes,
    problems,
    recipe_line,
    short,
    stars_line,
    status,
)
from bot.chats.discord.markup import escape

PROMPT, STATUS, LINES, CODE, NOTE = 1200, 500, 1000, 500, 200  # characters: an embed's text has 4,096
FOOTER, AUTHOR, TITLE = 700, 100, 250  # all embeds of a message together have 6,000
NOTES = 12  # pictures that are told about; the contact sheet shows them all
COLOURS = {
    "draft": 0x79B0EA,
    "queued": 0x978E84,
    "running": 0xE6B155,
    "succeeded": 0x6CC592,
    "failed": 0xE0524A,
    "cancelled": 0x5D554C,
}


@dataclass(frozen=True, kw_only=True)
class EmbedImages:
    """The images of a card by what they show, as the names of their files, and what to say about them."""

    images: Mapping[str, str] = field(default_factory=dict)
    titles: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def embeds(card: Card, shown: EmbedImages) -> list[discord.Embed]:
    """What the message shows: the card with its first image, and an embed for each other one."""
    first = discord.Embed(
        description=_description(card, shown),
        colour=COLOURS.get(card.state),
        timestamp=datetime.fromtimestamp(card.at, UTC),
    )
    first.set_author(name=short(card.person or "somebody", AUTHOR))
    recipe = recipe_line(card)
    first.set_footer(text=f"{short(recipe, FOOTER)} · {card.job}" if recipe else card.job)
    mine = [what for what in ("picture", "preview", "curve") if what in shown.images]
    if mine:
        first.set_image(url=f"attachment://{shown.images[mine[0]]}")
    others = [what for what in shown.images if what not in mine]
    return [first, *(_image(card, shown.titles[what], shown.images[what]) for what in others)]


def starter_embed(card: Card) -> discord.Embed:
    """What stands above the thread of a training."""
    embed = discord.Embed(
        title=escape(card.title, TITLE),
        description="The thread shows how its LoRA is made and what it paints.",
        colour=COLOURS["draft"],
    )
    embed.set_author(name=short(card.person or "somebody", AUTHOR))
    embed.set_footer(text=card.job)
    return embed


def is_about(embed_footers: Sequence[str | None], card: Card) -> bool:
    """Whether a message with these footers is about the card's job."""
    return any(footer is not None and footer.split(" · ")[-1] == card.job for footer in embed_footers)


def _description(card: Card, shown: EmbedImages) -> str:
    parts = [f"**{escape(card.title, PROMPT)}**" if card.title else "", escape(status(card), STATUS)]
    if card.done is not None:
        parts.append(f"`{bar(card.done, 20)}` {card.done:.0%}")
    if card.kind == "train":
        parts += _training_lines(card)
    parts += [stars_line(card), *map(_origin, card.origins)]
    small = (card.hint, bare_line(card), *shown.notes)
    parts += [f"-# {escape(note, NOTE)}" for note in small if note]
    return "\n".join(part for part in parts if part)


def _origin(origin: CardOrigin) -> str:
    """What it started from, with a link to the message that shows it."""
    text = escape(origin.text, NOTE)
    if not origin.message:
        return f"-# From {text}"
    guild = origin.space if origin.space.isdecimal() else "@me"
    return f"-# From [{text}](https://discord.com/channels/{guild}/{origin.message.replace('-', '/')})"


def _training_lines(card: Card) -> list[str]:
    report = notes(card)
    if len(report) > NOTES:
        report = [*report[:NOTES], f"… and {len(report) - NOTES} more"]
    if card.state not in ("draft", "queued"):
        report = []  # the report is of no use any more
    words = "" if card.curve is None else curve_words(card.curve)
    lines = [*problems(card), *report, *([f"📉 {words}"] if words else []), *checkpoints(card)]
    code = card.line_to_copy.replace("`", "'")
    return [escape("\n".join(lines), LINES), f"```\n{short(code, CODE)}\n```" if code else ""]


def _image(card: Card, title: str, name: str) -> discord.Embed:
    embed = discord.Embed(title=title, colour=COLOURS.get(card.state))
    return embed.set_image(url=f"attachment://{name}")
