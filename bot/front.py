"""What the bot asks of a chat, and what a chat tells the bot."""

from dataclasses import dataclass
from typing import Protocol

from bot.card import Card


@dataclass(frozen=True, kw_only=True)
class Asker:
    """Who asks, and where, in the chat's own keys.

    `direct`: nobody but this person sees the channel; `adult`: the chat keeps it for adults; `roles`: those
    of Discord that they have there.
    """

    chat: str  # "local", "discord", "slack"
    space: str
    space_name: str
    channel: str
    person: str
    person_name: str
    admin: bool = False
    direct: bool = False
    adult: bool = False
    roles: tuple[str, ...] = ()


class CardRefused(Exception):
    """The chat will never show this card: its channel is gone or closed. Other errors: it tries again."""


class ChatUnavailable(Exception):
    """One sentence for the operator: why this chat cannot be served. The others go on."""


class Front(Protocol):
    """A chat: shows cards and takes them away. `every`: the least seconds between edits of a message."""

    chat: str
    every: float

    async def show(self, channel: str, message: str | None, card: Card) -> str:
        """Make this message show the card, or post it where there is none yet; the message's key."""

    async def remove(self, channel: str, message: str) -> None:
        """Take the message away; one that is gone already is no error."""
