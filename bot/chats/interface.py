"""The interface of a chat: its protocols, who calls, and the kinds of reply.

A chat that is added implements Chat, for cards, and ReplySink, for the answers to one person.
"""

from dataclasses import dataclass
from typing import Protocol

from bot.cards.card import Card
from commands.answers import Form
from engine.messages import JobId, Sha256
from storage.adapters import LoraView


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


@dataclass(frozen=True, kw_only=True)
class TextReply:
    """Plain text; none where it is done and there is nothing to tell."""

    text: str = ""


@dataclass(frozen=True, kw_only=True)
class RefusalReply:
    """Why nothing was done, in a sentence; `field` is the parameter of the form that it is about."""

    text: str
    field: str = ""


@dataclass(frozen=True, kw_only=True)
class FormReply:
    """A form to fill in and send; `text` is told about it."""

    form: Form
    text: str = ""


@dataclass(frozen=True, kw_only=True)
class FilesReply:
    """Files by name, to be read from the store."""

    files: tuple[tuple[str, Sha256], ...]
    text: str = ""


@dataclass(frozen=True, kw_only=True)
class ImageReply:
    """A drawn picture that is stored nowhere: a chart, or a sheet of pictures."""

    name: str
    content: bytes
    text: str = ""


@dataclass(frozen=True, kw_only=True)
class LorasReply:
    """LoRAs to be shown as cards, and files about them; `text` says the same in words.

    `person` is the number of who asked: some of the LoRAs may be theirs.
    """

    loras: tuple[LoraView, ...]
    person: int
    text: str = ""
    files: tuple[tuple[str, Sha256], ...] = ()


@dataclass(frozen=True, kw_only=True)
class CardReply:
    """A job whose card comes to the channel by itself; `text` is told to the caller alone."""

    job: JobId
    text: str = ""


Reply = TextReply | RefusalReply | FormReply | FilesReply | ImageReply | LorasReply | CardReply


class ReplySink(Protocol):
    """Where the person who called sees the reply, and nobody else: one method for each kind of reply."""

    async def defer(self) -> None:
        """Say that the reply takes a while; called at most once, and only before the reply."""

    async def show_text(self, reply: TextReply) -> None:
        """Tell them; that it is done, where there are no words."""

    async def show_refusal(self, reply: RefusalReply) -> None:
        """Tell them that it was not done, and why."""

    async def open_form(self, reply: FormReply) -> None:
        """Open the form for them."""

    async def send_files(self, reply: FilesReply) -> None:
        """Hand the files over."""

    async def show_image(self, reply: ImageReply) -> None:
        """Show the picture."""

    async def show_loras(self, reply: LorasReply) -> None:
        """Show the LoRAs, each with its picture."""

    async def show_card(self, reply: CardReply) -> None:
        """Tell what the card does not."""


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
