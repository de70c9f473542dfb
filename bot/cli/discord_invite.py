"""`python -m bot discord-invite`: the link that brings the bot into a guild, made on this machine alone."""

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
        raise InvalidRequest(
            f"{shorten(text)!r} is no application id: Discord's are numbers of 15 to 20 digits."
        )
    return int(text)


@command
def discord_invite(
    application: Annotated[
        int | None,
        Option("the application id", read=application_id, otherwise=f"that of {DISCORD_TOKEN}"),
    ] = None,
) -> str:
    """Print the link that brings the bot into a Discord guild."""
    from bot.chats.discord.permissions import invite_link  # Discord's own numbers for scopes and permissions

    return invite_link(_of_token(os.environ.get(DISCORD_TOKEN, "")) if application is None else application)


NAME = "discord-invite"
INVITE: Command[..., str] = replace(discord_invite, name=NAME)


def main(words: Sequence[str]) -> int:
    """Print the link; the exit status."""
    try:
        told = usage(INVITE) if not HELP.isdisjoint(words) else INVITE(**parse(words, INVITE.parameters))
    except InvalidRequest as error:
        return say(str(error), BAD_INPUT)
    sys.stdout.write(f"{told}\n")
    return FINE


def _of_token(token: str) -> int:
    """A token begins with its application's id; nobody has to be asked. Raises InvalidRequest."""
    first = token.strip().partition(".")[0]
    try:
        return application_id(base64.urlsafe_b64decode(first + "=" * (-len(first) % 4)).decode("ascii"))
    except (ValueError, InvalidRequest) as error:
        raise InvalidRequest(
            f"say the application id, or set {DISCORD_TOKEN} to the bot's token: {NAME} 112233445566778899"
        ) from error
