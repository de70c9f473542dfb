"""Names of our slash commands in Slack: with the app's prefix, and others where Slack has its own."""

import re
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from bot.cards.card import Card
from commands.registry import COMMANDS

TAKEN: Mapping[str, str] = MappingProxyType({"me": "mine"})  # what ours are called where Slack has its own
FIRST_WORDS = tuple(dict.fromkeys(command.group or command.name for command in COMMANDS.values()))
SLASH: Mapping[str, str] = MappingProxyType(  # as Slack says it, and the first word of ours
    {f"/{TAKEN.get(word, word)}": word for word in FIRST_WORDS}
)
COMMAND = re.compile(rf"(?<![\w/.:<-])/({'|'.join(FIRST_WORDS)})(?![\w/-])")  # one of ours in a sentence


def word_of(slash: str) -> str:
    """The first word of ours for a command that Slack calls so, with whatever prefix: "/at-imagine"."""
    name = slash.rpartition("-")[2].removeprefix("/")
    return SLASH.get(f"/{name}", name)


def with_prefix(slash: str, prefix: str) -> str:
    """The command as an app with this prefix has it: "/imagine" becomes "/at-imagine"."""
    return f"/{prefix}-{slash.removeprefix('/')}" if prefix else slash


class SlashNames:
    """What our commands are called here. Slack tells the prefix with each command that somebody says."""

    def __init__(self, prefix: str = "") -> None:
        self._prefix = prefix

    def learn(self, slash: str) -> None:
        """Remember the prefix of a command that was said; an app has the same for all."""
        self._prefix = slash.removeprefix("/").rpartition("-")[0]

    def rename(self, text: str) -> str:
        """The text with our commands as Slack knows them, so that people can copy them."""

        def slack_name(match: re.Match[str]) -> str:
            return with_prefix(f"/{TAKEN.get(match[1], match[1])}", self._prefix)

        return COMMAND.sub(slack_name, text)

    def rename_in(self, card: Card) -> Card:
        """The card with our commands as Slack knows them, in all that is not somebody's own words."""
        return replace(
            card,
            line=self.rename(card.line),
            hint=self.rename(card.hint),
            problems=tuple(map(self.rename, card.problems)),
            line_to_copy=self.rename(card.line_to_copy),
            bare=self.rename(card.bare),
        )
