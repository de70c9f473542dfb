"""Who is an admin, and the check before a command that is for admins."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Protocol

from commands.syntax.spec import Command
from engine.messages import InvalidRequest


class Requester(Protocol):
    """The person who asks, as far as permissions go."""

    @property
    def admin(self) -> bool:
        """Whether they are an admin here."""


@dataclass(frozen=True, kw_only=True)
class Admins:
    """Those whom config.toml names, by chat.

    `by_name`: chats in which a name is as good as a key, for nobody from elsewhere can take it.
    """

    named: Mapping[str, Collection[str]] = field(default_factory=lambda: MappingProxyType({}))
    by_name: Collection[str] = ()

    def has(self, chat: str, key: str, name: str) -> bool:
        """Whether this person is one of them."""
        named = self.named.get(chat, ())
        return key in named or (chat in self.by_name and name in named)


NOBODY = Admins()


class NotAllowed(InvalidRequest):
    """A refusal by the rules or limits of the space; `why` is counted for its admins."""

    def __init__(self, text: str, why: str) -> None:
        super().__init__(text)
        self.why = why


def check_allowed(asking: Requester, command: Command[..., Any]) -> None:
    """Raise InvalidRequest when the command is for admins and the person is none."""
    if command.admin and not asking.admin:
        raise InvalidRequest(f"/{command.name} is for admins. Ask one of them.")
