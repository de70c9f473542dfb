"""`python -m bot slack-manifest`: prints the manifest to create the Slack app from."""

import re
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

from bot.chats.slack.manifest import manifest
from bot.cli.exit_status import BAD_INPUT, FINE, say
from commands.help import HELP, usage
from commands.syntax.parser import parse, shorten
from commands.syntax.spec import Command, Option, command
from engine.messages import InvalidRequest

BEGINNING = re.compile(r"[a-z0-9]{1,16}", re.ASCII)


def address(text: str) -> str:
    """The address that Slack sends its requests to. Raises InvalidRequest."""
    if (
        not text.startswith("https://")
        or not text.isprintable()
        or any(character.isspace() for character in text)
    ):
        raise InvalidRequest(f"The address must start with https://, unlike {shorten(text)!r}.")
    return text


def beginning(text: str) -> str:
    """The prefix of all commands. Raises InvalidRequest."""
    if not BEGINNING.fullmatch(text):
        raise InvalidRequest(
            f"The prefix must have 1 to 16 characters of a-z and 0-9, not {shorten(text)!r}."
        )
    return text


@command
def slack_manifest(
    address: Annotated[
        str,
        Option("Where Slack sends requests over HTTP", read=address, otherwise="over sockets, no address"),
    ] = "",
    prefix: Annotated[
        str,
        Option("Prefix of all commands: art makes /art-imagine", read=beginning, otherwise="nothing"),
    ] = "",
) -> str:
    """Print the manifest of the Slack app."""
    return manifest(address, prefix)


MANIFEST: Command[..., str] = replace(slack_manifest, name="slack-manifest")


def main(words: Sequence[str]) -> int:
    """Print the manifest; returns the exit status."""
    try:
        wanted = HELP.isdisjoint(words)
        text = MANIFEST(**parse(words, MANIFEST.parameters)) if wanted else f"{usage(MANIFEST)}\n"
    except InvalidRequest as error:
        return say(str(error), BAD_INPUT)
    sys.stdout.write(text)
    return FINE
