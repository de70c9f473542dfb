"""`python -m bot slack-manifest`: the file to paste when the app is made in a workspace."""

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
    """Where Slack would send its requests. Raises InvalidRequest."""
    if not text.startswith("https://") or not text.isprintable() or any(one.isspace() for one in text):
        raise InvalidRequest(f"{shorten(text)!r} is no address for Slack: it begins with https://.")
    return text


def beginning(text: str) -> str:
    """What the commands begin with. Raises InvalidRequest."""
    if not BEGINNING.fullmatch(text):
        raise InvalidRequest(f"{shorten(text)!r} is no prefix: 1 to 16 of a to z and 0 to 9 make one.")
    return text


@command
def slack_manifest(
    address: Annotated[
        str,
        Option("where Slack sends requests over HTTP", read=address, otherwise="over sockets, no address"),
    ] = "",
    prefix: Annotated[
        str,
        Option("what the commands begin with: art makes /art-imagine", read=beginning, otherwise="nothing"),
    ] = "",
) -> str:
    """Print the manifest of the Slack app."""
    return manifest(address, prefix)


MANIFEST: Command[..., str] = replace(slack_manifest, name="slack-manifest")


def main(words: Sequence[str]) -> int:
    """Print the manifest as it is; the exit status."""
    try:
        asked = HELP.isdisjoint(words)
        told = MANIFEST(**parse(words, MANIFEST.parameters)) if asked else f"{usage(MANIFEST)}\n"
    except InvalidRequest as error:
        return say(str(error), BAD_INPUT)
    sys.stdout.write(told)
    return FINE
