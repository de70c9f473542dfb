"""All that this Discord remembers."""

from dataclasses import dataclass, field

from tests.fakes.discord.accounts import Json, User
from tests.fakes.discord.gateway import Gateway
from tests.fakes.discord.results import Heard
from tests.fakes.discord.world import DIRECT, Channel, Guild


@dataclass(kw_only=True, eq=False)
class State:
    """Who and what there is, by id, and the interactions by their token."""

    me: User
    owner: User
    gateway: Gateway
    guilds: dict[int, Guild]
    users: dict[int, User] = field(default_factory=dict)
    channels: dict[int, Channel] = field(default_factory=dict)  # direct ones and threads
    directs: dict[int, Channel] = field(default_factory=dict)
    commands: list[Json] = field(default_factory=list)
    interactions: dict[str, Heard] = field(default_factory=dict)

    def direct(self, user: User) -> Channel:
        """The channel between this person and the bot."""
        if user.id not in self.directs:
            channel = Channel(name=user.name, announce=lambda *_: None, kind=DIRECT, recipient=user)
            self.directs[user.id] = self.channels[channel.id] = channel
        return self.directs[user.id]

    def find_channel(self, channel: int) -> Channel | None:
        """The channel, thread or direct message with this id."""
        in_guilds = (
            other for guild in self.guilds.values() for other in guild.channels if other.id == channel
        )
        return self.channels.get(channel) or next(in_guilds, None)
