"""`python -m bot discord-invite`: prints the link that adds the bot to a Discord server."""

import base64
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

from bot.cli.exit_status import BAD_INPUT, FINE, say
from bot.config import DISCORD_TOKEN, SNOWFLAKE
from commands.help import HELP, usage
from commands.syntax.parser import parse, shorten
from commands.syntax.spec import Command, Option, command
from engine.messages import InvalidRequest


def application_id(text: str) -> int:
    """The id of a Discord application. Raises InvalidRequest."""
    if not SNOWFLAKE.fullmatch(text.strip()):
        raise InvalidRequest(f"There is no application id {shorten(text)!r}. Discord's have 15 to 20 digits.")
    return int(text)


@command
def discord_invite(
    application: Annotated[
        int | None,
        Option("The application id", read=application_id, otherwise=f"that of {DISCORD_TOKEN}"),
    ] = None,
) -> str:
    """Print the link that adds the bot to a Discord server."""
    from bot.chats.discord.permissions import invite_link  # loads Discord's library

    return invite_link(
        _application_of_token(os.environ.get(DISCORD_TOKEN, "")) if application is None else application
    )


NAME = "discord-invite"
INVITE: Command[..., str] = replace(discord_invite, name=NAME)


def main(words: Sequence[str]) -> int:
    """Print the link; returns the exit status."""
    try:
        text = usage(INVITE) if not HELP.isdisjoint(words) else INVITE(**parse(words, INVITE.parameters))
    except InvalidRequest as error:
        return say(str(error), BAD_INPUT)
    sys.stdout.write(f"{text}\n")
    return FINE


def _application_of_token(token: str) -> int:
    """The application id that a token starts with. Raises InvalidRequest."""
    first = token.strip().partition(".")[0]
    try:
        return application_id(base64.urlsafe_b64decode(first + "=" * (-len(first) % 4)).decode("ascii"))
    except (ValueError, InvalidRequest) as error:
        raise InvalidRequest(
            f"Name the application id, such as {NAME} 112233445566778899, or set {DISCORD_TOKEN}."
        ) from error
