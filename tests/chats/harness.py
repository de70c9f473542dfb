"""What a test of all chats needs of one: people who do things there, and what each of them sees then.

A new chat starts here. Write a harness for it beside the others, with the chat's real library against a
fake of its service, name it in conftest.py, and make test_every_chat.py pass.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, kw_only=True)
class SeenCard:
    """A job's card as everybody in the channel sees it at this moment.

    `key` stays the same while it is the same message; `buttons` are ids by action; so many `pictures` are
    shown in it.
    """

    key: object
    text: str
    pictures: int
    buttons: Mapping[str, str]


class Seen(Protocol):
    """What somebody, and nobody else, is shown in answer to what they did; it goes on growing."""

    @property
    def text(self) -> str:
        """All the words."""

    @property
    def files(self) -> Sequence[str]:
        """The names of the files and pictures."""

    @property
    def form(self) -> Mapping[str, Any] | None:
        """What stands in the fields of the form that has opened."""

    @property
    def seconds(self) -> float | None:
        """After how many seconds the chat's service had its answer, or the word that it takes a while."""


class Harness(Protocol):
    """A running bot in a chat with one channel, where Ana and Bo are."""

    async def start(self) -> None:
        """Start the bot."""

    async def stop(self) -> None:
        """Stop it in good order."""

    async def say(self, who: str, command: str, words: str = "", **options: object) -> Seen:
        """Somebody says a command: the words for its first parameter, and options by name."""

    async def press(self, who: str, card: SeenCard, action: str) -> Seen:
        """Somebody presses the button of this action."""

    async def fill(self, who: str, seen: Seen, **values: str) -> Seen:
        """Somebody changes these fields of the form that has opened, and sends it."""

    async def send_lora(self, who: str, name: str, content: bytes) -> Seen:
        """Somebody brings a LoRA's file with /lora import."""

    async def send_picture(self, who: str, content: bytes, words: str) -> Seen:
        """Somebody says /imagine with these words and a picture that they send."""

    async def verify_picture(self, who: str, content: bytes) -> Seen:
        """Somebody says /verify with a picture that they send."""

    def cards(self) -> list[SeenCard]:
        """The cards in the channel, oldest first."""

    def others(self) -> list[str]:
        """The words of whatever else the bot has written where all see it."""


class WithMenus(Harness, Protocol):
    """A chat in which messages have menus."""

    def post_picture(self, who: str, content: bytes) -> object:
        """Somebody posts a picture; the message's key."""

    async def paint_from(self, who: str, message: object) -> Seen:
        """Somebody chooses "Paint from this" in the menu of a message, by its key."""

    def link(self, message: object) -> str:
        """The address of a message, as people copy it."""


class WithReactions(Harness, Protocol):
    """A chat in which people react to messages."""

    async def react(self, who: str, card: SeenCard, emoji: str) -> None:
        """Somebody puts an emoji under a card."""


class WithRedelivery(Harness, Protocol):
    """A chat whose service tells the bot again what it is not sure to have told."""

    async def redeliver(self, seen: Seen) -> None:
        """The bot is told once more what this was the answer to."""


class OpenChat(Protocol):
    """Starts the bot of the test in its chat; each step of the engine takes so many seconds."""

    def __call__(
        self, *, seconds: float = 0.01, program: Sequence[str] | None = None
    ) -> Awaitable[Harness]: ...


async def until(wanted: Callable[[], object], seconds: float = 20.0) -> None:
    """Wait until it is so."""
    deadline = time.monotonic() + seconds
    while not wanted():
        assert time.monotonic() < deadline, "it never came to that"
        await asyncio.sleep(0.01)


async def wait_for_card(
    chat: Harness, wanted: Callable[[SeenCard], object], seconds: float = 20.0
) -> SeenCard:
    """Wait for a card that is as wanted; the newest such."""
    await until(lambda: any(wanted(card) for card in chat.cards()), seconds)
    return next(card for card in reversed(chat.cards()) if wanted(card))


async def paint(chat: Harness, who: str = "ana", words: str = "a red fox", **options: object) -> SeenCard:
    """Somebody says /imagine; the card when its pictures are there."""
    await chat.say(who, "imagine", words, **{"steps": 2, **options})
    return await wait_for_card(chat, lambda card: is_done(card) and words in card.text)


def is_done(card: SeenCard) -> bool:
    """Whether it shows how long it took, and pictures."""
    return "Painted in" in card.text and card.pictures > 0


def is_waiting(card: SeenCard) -> bool:
    """Whether it says that its job waits, and lets its person cancel it."""
    return "stop" in card.buttons and any(words in card.text for words in ("Queued", "in line"))


def line(command: str, words: str, options: Mapping[str, object]) -> str:
    """A command as people type it."""
    flags = (f"--{name} {value}" for name, value in options.items())
    return " ".join(filter(None, (f"/{command}", words, *flags)))
