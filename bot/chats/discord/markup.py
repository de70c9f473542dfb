"""Escaping for Discord's markdown: texts are shown letter by letter, and cut to a field's limit."""

import re

import discord

from bot.cards.card_text import short

MARKS = re.compile(r"[\\_*~|`]")
LINK, BRACKETS = "](", re.compile(r"[\\_*~|`\[\]]")
LINES = re.compile(r"^([^\S\n]*)([-#>])", re.MULTILINE)  # lists, headings, small print, quotes


def escape(text: str, limit: int) -> str:
    """What somebody wrote, as text of at most so many characters, the backslashes of its escapes included.

    No markup, no links with other words, no mentions.
    """
    markup = escape_marks(short(text, limit)).replace("<", "\\<")
    markup = discord.utils.escape_mentions(markup)
    if len(markup) <= limit:
        return markup
    cut = markup[: limit - 1]
    if (len(cut) - len(cut.rstrip("\\"))) % 2:  # an escape is not cut in two
        cut = cut[:-1]
    return cut.rstrip() + "…"


def escape_marks(text: str) -> str:
    """A sentence of ours, in which mentions are meant."""
    marks = BRACKETS if LINK in text else MARKS
    return LINES.sub(r"\1\\\2", marks.sub(r"\\\g<0>", text))
