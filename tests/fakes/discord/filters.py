"""What Discord and a server's own rules keep out of messages, where a test wants them to."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.fakes.discord.accounts import Json
from tests.fakes.discord.message import embed_text
from tests.fakes.discord.rules import Refused
from tests.fakes.discord.world import DIRECT, Channel

EXPLICIT = Refused(400, 20009, "Explicit content cannot be sent to the desired recipient(s)")
AUTOMOD = Refused(400, 200000, "Message was blocked by automatic moderation")
HARMFUL = Refused(400, 240000, "Message blocked by harmful links filter")


@dataclass(kw_only=True, eq=False)
class Filters:
    """`explicit`: how the names of files that are held for explicit end; words and links that are stopped."""

    explicit: tuple[str, ...] = ()
    words: set[str] = field(default_factory=set)
    links: set[str] = field(default_factory=set)

    def check(self, channel: Channel, sent: Json, files: Mapping[str, bytes]) -> None:
        """Refuse what may not be seen there. AutoMod is a server's: direct messages have none."""
        text = "\n".join([sent.get("content") or "", *map(embed_text, sent.get("embeds") or [])])
        if self.explicit and any(name.endswith(self.explicit) for name in files):
            raise EXPLICIT
        if channel.kind != DIRECT and any(word in text for word in self.words):
            raise AUTOMOD
        if any(link in text for link in self.links):
            raise HARMFUL
