"""A message as people see it, with its files, embeds and buttons."""

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.fakes.discord.accounts import Json, User, now
from tests.fakes.discord.mentions import mentions_of
from tests.fakes.discord.snowflakes import snowflake

if TYPE_CHECKING:
    from tests.fakes.discord.world import Channel

EPHEMERAL, LOADING = 1 << 6, 1 << 7


@dataclass(kw_only=True, eq=False)
class Upload:
    """A file that hangs on a message or came with a command; `url` serves its bytes unless it is gone."""

    name: str
    content: bytes
    url: str
    size: int
    content_type: str | None = None
    pixels: tuple[int, int] | None = None
    gone: bool = False
    id: int = field(default_factory=snowflake)

    def json(self) -> Json:
        width, height = self.pixels or (None, None)
        return {
            "id": str(self.id),
            "filename": self.name,
            "size": self.size,
            "url": self.url,
            "proxy_url": self.url,
            "content_type": self.content_type,
            "width": width,
            "height": height,
        }


@dataclass(kw_only=True, eq=False)
class Message:
    """A message as people see it, and what a test wants to know of it."""

    channel: "Channel"
    author: User
    content: str = ""
    embeds: list[Json] = field(default_factory=list)
    rows: list[Json] = field(default_factory=list)
    uploads: list[Upload] = field(default_factory=list)
    flags: int = 0
    nonce: str | None = None
    allowed_mentions: Json | None = None
    interaction: Json | None = None
    thread: "Channel | None" = None
    edits: int = 0
    old_edits: int = 0  # when it was older than an hour
    deleted: bool = False
    edited: str | None = None
    reactions: set[tuple[int, str]] = field(default_factory=set)
    id: int = field(default_factory=snowflake)
    posted: str = field(default_factory=now)
    born: float = field(default_factory=time.monotonic)

    def __repr__(self) -> str:
        titles = [embed.get("title") for embed in self.embeds]
        return f"<{self.author.name} in {self.channel.name}: {self.content!r} {titles} {sorted(self.files)}>"

    @property
    def age(self) -> float:
        """Seconds since it was posted."""
        return time.monotonic() - self.born

    def grow_old(self, seconds: float) -> None:
        """So much time goes by for it."""
        self.born -= seconds

    @property
    def text(self) -> str:
        """All that somebody reads in it."""
        shown = [part["content"] for part in self.components if part["type"] == 10]
        return "\n".join(line for line in (self.content, *map(embed_text, self.embeds), *shown) if line)

    @property
    def ephemeral(self) -> bool:
        return bool(self.flags & EPHEMERAL)

    @property
    def loading(self) -> bool:
        """Whether it still says that the bot is thinking."""
        return bool(self.flags & LOADING)

    @property
    def files(self) -> dict[str, bytes]:
        """The files of the message, those in its embeds too."""
        return {upload.name: upload.content for upload in self.uploads}

    @property
    def components(self) -> list[Json]:
        """Every button and menu of the message, out of their rows."""
        return [part for row in self.rows for part in inner(row)]

    @property
    def loose(self) -> list[str]:
        """The files that people see outside of the embeds."""
        return [upload.name for upload in self.uploads if not self._is_embedded(upload)]

    @property
    def pings(self) -> list[str]:
        """Whom it notifies: "everyone" and ids."""
        return mentions_of(self.content, self.allowed_mentions)

    def _is_embedded(self, upload: Upload) -> bool:
        return any(upload.url == url for url in pictures(self.embeds))

    def json(self) -> Json:
        written: Json = {
            "id": str(self.id),
            "channel_id": str(self.channel.id),
            "author": self.author.json(),
            "content": self.content,
            "timestamp": self.posted,
            "edited_timestamp": self.edited,
            "tts": False,
            "mention_everyone": "everyone" in self.pings,
            "mentions": [],
            "mention_roles": [],
            # Discord leaves out what an embed shows
            "attachments": [upload.json() for upload in self.uploads if not self._is_embedded(upload)],
            "embeds": self.embeds,
            "components": self.rows,
            "pinned": False,
            "type": 20 if self.interaction else 0,
            "flags": self.flags,
        }
        optional = {"nonce": self.nonce, "interaction_metadata": self.interaction}
        written |= {key: value for key, value in optional.items() if value is not None}
        if self.thread is not None:
            written["thread"] = self.thread.json()
        return written


def inner(part: Json) -> list[Json]:
    """What stands inside of rows, sections and containers, and the part itself when it is none."""
    children = [*part.get("components", ()), *filter(None, [part.get("accessory")])]
    if part.get("component"):
        children.append(part["component"])
    return [leaf for child in children for leaf in inner(child)] if children else [part]


def embed_text(embed: Json) -> str:
    """What somebody reads in an embed."""
    fields = [text for part in embed.get("fields") or [] for text in (part["name"], part["value"])]
    footer = (embed.get("footer") or {}).get("text")
    return "\n".join(text for text in (embed.get("title"), embed.get("description"), *fields, footer) if text)


def pictures(embeds: Iterable[Json]) -> list[str]:
    """The addresses of the pictures that embeds show."""
    parts = [embed.get(key) or {} for embed in embeds for key in ("image", "thumbnail")]
    return [part["url"] for part in parts if "url" in part]
