"""Payloads of messages: embeds, buttons and files; files that a message has are not sent again."""

import io
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any

import discord
from cachetools import FIFOCache

from bot.cards.card import Card
from bot.chats.discord.buttons import button_view
from bot.chats.discord.cards import EmbedImages, embeds
from bot.chats.discord.errors import is_too_large
from bot.chats.discord.undocumented import ExistingFile
from bot.images.card_images import CardImage, CardImages
from bot.images.encode import TooLarge

REMEMBERED = 2000  # messages whose files are remembered
REQUEST = 24 * 2**20  # bytes of files that Discord takes at once, nearly
SMALLER = (0.5, 0.1)  # of the limit, where Discord takes less than it says
STORED = re.compile(r"/(\d+)/([^/?#]+)(?:[?#]|$)")  # a file's number and name, in its address
SPOILER = "SPOILER_"  # how names of files begin that Discord hides until somebody opens them
NOTHING = "Discord did not accept the picture. ✉️ sends it."

Send = Callable[["Payload"], Awaitable[discord.Message]]


@dataclass(frozen=True, kw_only=True)
class MessageFile(ExistingFile):
    """A file that a message has, by the number that Discord knows it by, and what is said about it."""

    filename: str
    note: str


@dataclass(frozen=True, kw_only=True)
class Payload:
    """A message's embeds, buttons and files: `existing` are there, `new` come with it, by image."""

    embeds: list[discord.Embed]
    view: discord.ui.View
    existing: Mapping[str, MessageFile] = field(default_factory=dict)
    new: Mapping[str, tuple[str, bytes, str]] = field(default_factory=dict)  # name, content and note
    unchanged: bool = False  # the files are what the message has

    @property
    def send_arguments(self) -> dict[str, Any]:
        """What a new message is sent with."""
        return {
            "embeds": self.embeds,
            "view": self.view,
            "files": self._files(),
            "allowed_mentions": discord.AllowedMentions.none(),
        }

    @property
    def edit_arguments(self) -> dict[str, Any]:
        """What a message is edited with."""
        files = {} if self.unchanged else {"attachments": [*self.existing.values(), *self._files()]}
        return {
            "embeds": self.embeds,
            "view": self.view,
            "allowed_mentions": discord.AllowedMentions.none(),
            **files,
        }

    def _files(self) -> list[discord.File]:
        return [discord.File(io.BytesIO(content), filename=name) for name, content, _ in self.new.values()]


class Payloads:
    """Makes payloads, and remembers which files messages have."""

    def __init__(self, images: CardImages) -> None:
        self._card_images = images
        # By message, then by image.
        self._message_files: FIFOCache[str, Mapping[str, MessageFile]] = FIFOCache(REMEMBERED)

    async def send(self, card: Card, message: str | None, limit: int, send: Send) -> discord.Message:
        """Send the card, with smaller files or none where Discord wants that."""
        for most in (limit, *(round(limit * share) for share in SMALLER)):
            payload = await self._make(card, message, most)
            try:
                return await self._send_and_remember(payload, message, send)
            except discord.HTTPException as error:
                if not is_too_large(error) or not payload.new:
                    raise
        return await self._send_and_remember(await self._make(card, message, 0), message, send)

    def forget(self, message: str) -> None:
        """Forget which files this message has."""
        self._message_files.pop(message, None)

    async def _send_and_remember(self, payload: Payload, message: str | None, send: Send) -> discord.Message:
        # Unknown again until Discord has answered.
        files = {} if message is None else self._message_files.pop(message, {})
        try:
            sent = await send(payload)
        except discord.HTTPException as error:
            if message is not None and is_too_large(error):
                self._message_files[message] = files
            raise
        self._remember(sent, payload)
        return sent

    def _remember(self, sent: discord.Message, payload: Payload) -> None:
        there = dict(_files_of(sent))
        new = {
            key: MessageFile(id=there[name], filename=name, note=note)
            for key, (name, _, note) in payload.new.items()
            if name in there
        }
        self._message_files[key_of(sent)] = {**payload.existing, **new}

    async def _make(self, card: Card, message: str | None, limit: int) -> Payload:
        images = self._card_images.of(card)
        has = {} if message is None else self._message_files.get(message, {})
        existing = {image.key: has[image.key] for image in images if image.key in has}
        new, missing = await _draw_files([image for image in images if image.key not in has], limit)
        names = {key: file.filename for key, file in existing.items()}
        names |= {key: name for key, (name, _, _) in new.items()}
        file_notes = [file.note for file in existing.values()] + [note for _, _, note in new.values()]
        shown = EmbedImages(
            images={
                image.what: names[image.key] for image in images if image.key in names and not image.hidden
            },
            titles={image.what: image.title for image in images},
            notes=tuple(filter(None, [*file_notes, NOTHING if missing else ""])),
        )
        return Payload(
            embeds=embeds(card, shown),
            view=button_view(card),
            existing=existing,
            new=new,
            unchanged=bool(has) and has == existing and not new,
        )


def key_of(message: discord.Message) -> str:
    """What a message is called in the rows of jobs."""
    return f"{message.channel.id}-{message.id}"


def _files_of(message: discord.Message) -> Iterator[tuple[str, int]]:
    """The message's files by name; one that an embed shows is found in the embed alone."""
    for attachment in message.attachments:
        yield attachment.filename, attachment.id
    for embed in message.embeds:
        address = STORED.search(embed.image.url or "")
        if address:
            yield address[2], int(address[1])


async def _draw_files(images: list[CardImage], limit: int) -> tuple[dict[str, tuple[str, bytes, str]], bool]:
    """Draw these images as files; whether a picture is missing because it cannot be made small enough."""
    files: dict[str, tuple[str, bytes, str]] = {}
    missing, room = False, REQUEST
    for image in images:
        try:
            if limit <= 0:
                raise TooLarge(image.key)
            fitted = await image.draw(min(limit, room))
        except TooLarge:
            missing = missing or image.what == "picture"
            continue
        room -= len(fitted.content)
        name = f"{SPOILER if image.hidden else ''}{image.key}{PurePath(fitted.name).suffix}"
        files[image.key] = (name, fitted.content, fitted.note)
    return files, missing
