"""Guilds, channels, threads and direct messages. It knows neither REST nor the gateway."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from tests.fakes.discord.accounts import ALLOWED, PERMISSIONS, Json, Member, Role, User, now
from tests.fakes.discord.message import Message
from tests.fakes.discord.snowflakes import snowflake

Announce = Callable[[str, Json, int | None], None]  # an event's name, its data and its guild

TEXT, DIRECT, THREAD = 0, 1, 11
MEGABYTE = 1 << 20


@dataclass(kw_only=True, eq=False)
class Channel:
    """A text channel, a thread or a direct message."""

    name: str
    announce: Announce
    guild: "Guild | None" = None
    kind: int = TEXT
    nsfw: bool = False
    parent: "Channel | None" = None
    recipient: User | None = None
    bot_permissions: int = ALLOWED
    posted: list[Message] = field(default_factory=list)
    threads: list["Channel"] = field(default_factory=list)
    joined: set[int] = field(default_factory=set)  # people in a thread
    gone: bool = False
    archived: bool = False
    id: int = field(default_factory=snowflake)

    def __repr__(self) -> str:
        return f"<#{self.name} {self.id}>"

    @property
    def messages(self) -> list[Message]:
        """What stands there now, oldest first; ephemeral messages never do."""
        return [message for message in self.posted if not message.deleted and not message.ephemeral]

    @property
    def file_limit(self) -> int:
        return self.guild.file_limit if self.guild else 10 * MEGABYTE

    @property
    def guild_id(self) -> int | None:
        return self.guild.id if self.guild else None

    @property
    def permissions(self) -> int:
        """What the bot may do there."""
        return self.parent.permissions if self.parent else self.bot_permissions

    @property
    def adult(self) -> bool:
        """Whether it is age-restricted; threads are as their channel is."""
        return self.parent.adult if self.parent else self.nsfw

    def close_to_bot(self) -> None:
        """The bot no longer sees the channel."""
        self.bot_permissions = 0
        self._notify_change()

    def open_to_bot(self) -> None:
        """The bot may do there all that it needs."""
        self.bot_permissions = ALLOWED
        self._notify_change()

    def forbid(self, *names: str) -> None:
        """Take these permissions from the bot, such as "attach_files"."""
        for name in names:
            self.bot_permissions &= ~PERMISSIONS[name]
        self._notify_change()

    def delete(self) -> None:
        """The channel is gone with all its messages and threads."""
        self.gone = True
        for thread in self.threads:
            thread.gone = True
        name = "THREAD_DELETE" if self.kind == THREAD else "CHANNEL_DELETE"
        self.announce(name, self.json(), self.guild_id)

    def says(self, author: User, content: str) -> Message:
        """Somebody writes a plain message, as people do."""
        message = Message(channel=self, author=author, content=content)
        self.posted.append(message)
        return message

    def find(self, message: int) -> Message | None:
        """The message, unless somebody deleted it."""
        return next((other for other in self.posted if other.id == message and not other.deleted), None)

    def _notify_change(self) -> None:
        self.announce("CHANNEL_UPDATE", self.json(), self.guild_id)

    def json(self) -> Json:
        written: Json = {"id": str(self.id), "type": self.kind, "flags": 0, "last_message_id": None}
        if self.kind == DIRECT:
            assert self.recipient is not None
            return written | {"recipients": [self.recipient.json()]}
        written |= {"guild_id": str(self.guild_id), "name": self.name, "rate_limit_per_user": 0}
        if self.kind == THREAD:
            return written | self._thread_json()
        return written | {
            "position": 0,
            "permission_overwrites": self._overwrites(),
            "nsfw": self.nsfw,
            "parent_id": None,
            "topic": None,
        }

    def _overwrites(self) -> list[Json]:
        assert self.guild is not None
        denied = ALLOWED & ~self.bot_permissions
        overwrite = {"id": str(self.guild.me.id), "type": 1, "allow": "0", "deny": str(denied)}
        return [overwrite] if denied else []

    def _thread_json(self) -> Json:
        assert self.parent is not None
        return {
            "parent_id": str(self.parent.id),
            "owner_id": str(self.guild.me.id if self.guild else 0),
            "message_count": len(self.messages),
            "member_count": 1,
            "total_message_sent": len(self.posted),
            "thread_metadata": {
                "archived": self.archived,
                "auto_archive_duration": 1440,
                "archive_timestamp": now(),
                "locked": False,
            },
        }


@dataclass(kw_only=True, eq=False)
class Guild:
    """A server; without the bot in it, people there have installed it for themselves only."""

    name: str
    announce: Announce
    me: User
    bot: bool = True
    file_limit: int = 10 * MEGABYTE
    channels: list[Channel] = field(default_factory=list)
    members: dict[int, Member] = field(default_factory=dict)
    roles: list[Role] = field(default_factory=list)
    id: int = field(default_factory=snowflake)

    def __post_init__(self) -> None:
        self.roles.append(Role(name="@everyone", id=self.id, permissions=ALLOWED))

    def channel(self, name: str, *, nsfw: bool = False) -> Channel:
        """A new text channel."""
        allowed = ALLOWED if self.bot else 0
        channel = Channel(name=name, announce=self.announce, guild=self, nsfw=nsfw, bot_permissions=allowed)
        self.channels.append(channel)
        self.announce("CHANNEL_CREATE", channel.json(), self.id)
        return channel

    def role(self, name: str) -> Role:
        """A new role."""
        role = Role(name=name)
        self.roles.append(role)
        self.announce("GUILD_ROLE_CREATE", {"guild_id": str(self.id), "role": role.json()}, self.id)
        return role

    def join(self, user: User, *, admin: bool = False, roles: Iterable[Role] = ()) -> None:
        """Somebody comes in, or has other roles from now on; an admin has Manage Server."""
        self.members[user.id] = Member(user=user, admin=admin, roles=tuple(roles))

    def remove_bot(self) -> None:
        """Somebody removes the bot from the guild."""
        for channel in self.channels:
            channel.bot_permissions = 0
        self.announce("GUILD_DELETE", {"id": str(self.id)}, self.id)
        self.bot = False

    def go_down(self) -> None:
        """Discord has an outage: the guild cannot be reached for a while."""
        self.announce("GUILD_DELETE", {"id": str(self.id), "unavailable": True}, self.id)

    def json(self) -> Json:
        mine = {**Member(user=self.me).json()}
        del mine["permissions"]
        threads = [thread for channel in self.channels for thread in channel.threads if not thread.gone]
        return {
            "id": str(self.id),
            "name": self.name,
            "owner_id": "1",
            "member_count": len(self.members) + 1,
            "large": False,
            "unavailable": False,
            "roles": [role.json() for role in self.roles],
            "emojis": [],
            "stickers": [],
            "features": [],
            "channels": [channel.json() for channel in self.channels if not channel.gone],
            "threads": [thread.json() for thread in threads],
            "members": [mine],
            "preferred_locale": "en-US",
        }
