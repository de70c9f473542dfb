"""People on Discord, their roles, and what they and the bot may do."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeAlias

from tests.fakes.discord.snowflakes import snowflake

Json: TypeAlias = dict[str, Any]

VIEW, SEND, EMBED, ATTACH, HISTORY = 1 << 10, 1 << 11, 1 << 14, 1 << 15, 1 << 16
MANAGE_GUILD, REACT, COMMANDS = 1 << 5, 1 << 6, 1 << 31
MANAGE_THREADS, OPEN_THREADS, SEND_IN_THREADS = 1 << 34, 1 << 35, 1 << 38
PERMISSIONS = {
    "view_channel": VIEW,
    "send_messages": SEND,
    "embed_links": EMBED,
    "attach_files": ATTACH,
    "read_message_history": HISTORY,
    "add_reactions": REACT,
    "manage_threads": MANAGE_THREADS,
    "create_public_threads": OPEN_THREADS,
    "send_messages_in_threads": SEND_IN_THREADS,
}
ALLOWED = sum(PERMISSIONS.values()) | COMMANDS


def now() -> str:
    """This moment, as Discord writes it."""
    return datetime.now(UTC).isoformat()


@dataclass(kw_only=True, eq=False)
class User:
    """Somebody with an account; `direct` is their channel with the bot, once there is one."""

    name: str
    bot: bool = False
    id: int = field(default_factory=snowflake)
    closed: bool = False

    def json(self) -> Json:
        return {
            "id": str(self.id),
            "username": self.name,
            "global_name": self.name.capitalize(),
            "discriminator": "0",
            "avatar": None,
            "bot": self.bot,
        }


@dataclass(kw_only=True, eq=False)
class Role:
    """A role in a guild."""

    name: str
    id: int = field(default_factory=snowflake)
    permissions: int = 0

    def json(self) -> Json:
        return {
            "id": str(self.id),
            "name": self.name,
            "permissions": str(self.permissions),
            "color": 0,
            "colors": {"primary_color": 0, "secondary_color": None, "tertiary_color": None},
            "hoist": False,
            "position": 0 if self.name == "@everyone" else 1,
            "managed": False,
            "mentionable": True,
            "flags": 0,
        }


@dataclass(kw_only=True, eq=False)
class Member:
    """Somebody in a guild."""

    user: User
    admin: bool = False
    roles: tuple[Role, ...] = ()

    @property
    def permissions(self) -> int:
        return ALLOWED | (MANAGE_GUILD if self.admin else 0)

    def json(self) -> Json:
        return {
            "user": self.user.json(),
            "nick": None,
            "roles": [str(role.id) for role in self.roles],
            "joined_at": now(),
            "deaf": False,
            "mute": False,
            "flags": 0,
            "permissions": str(self.permissions),
        }
