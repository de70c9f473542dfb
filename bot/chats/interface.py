"""What the bot asks of a chat, and what a chat tells the bot."""

from dataclasses import dataclass
from typing import Protocol

from bot.cards.card import Card


@dataclass(frozen=True, kw_only=True)
class Caller:
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
    """The chat will not show this card, however often it is asked, for this reason: a sentence for its owner.

    `bare`: the same card without its pictures may be taken. `anew`: this message changes no more, and a new
    one may be posted. Other errors mean that the chat may take the very same later.
    """

    def __init__(self, reason: str, *, bare: bool = False, anew: bool = False) -> None:
        super().__init__(reason)
        self.bare = bare
        self.anew = anew


class NotYet(Exception):
    """The chat takes no more changes for a moment: the card is shown in so many seconds, as it is then."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"in {seconds:.1f} s")
        self.seconds = seconds


class ChatUnavailable(Exception):
    """One sentence for the operator: why this chat cannot be served. The others go on."""


class ChatUnreached(ChatUnavailable):
    """The chat's service is not there now: it may be before long."""


class Chat(Protocol):
    """A chat: it shows cards and takes them away. `every`: the least seconds between edits of a message."""

    name: str
    every: float

    @property
    def absent(self) -> str:
        """Why nobody is heard there, in a sentence for the operator; empty while people are."""

    async def show(self, channel: str, message: str | None, card: Card) -> str:
        """Make this message show the card, or post it where there is none yet; the message's key.

        Raises CardRefused, NotYet.
        """

    async def remove(self, channel: str, message: str) -> None:
        """Take the message away; one that is gone already is no error."""

    async def tell(self, channel: str, card: Card, text: str) -> None:
        """Tell the job's owner alone, wherever they hear it; that nothing reaches them is no error."""
