"""What is used of discord.py beyond its documentation, as read in version 2.7.1.

tests/bot/discord/test_undocumented.py fails on a version that moves any of it.
"""

from dataclasses import dataclass
from typing import Any

import discord

FILE_LIMIT = discord.utils.DEFAULT_FILE_SIZE_LIMIT_BYTES  # of a file in a direct message


@dataclass(frozen=True, kw_only=True)
class ExistingFile:
    """A file that a message has already; among the `attachments` of an edit it stays.

    discord.py takes anything there that has this method, as its own Attachment does; that one cannot be made
    without the message.
    """

    id: int

    def to_dict(self) -> dict[str, Any]:
        """What Discord is sent of it."""
        return {"id": self.id}


def silence_voice_warnings() -> None:
    """Let clients begin without the two warnings that packages for voice are missing: nobody talks here."""
    discord.VoiceClient.warn_nacl = discord.VoiceClient.warn_dave = False


async def fetch_commands(client: discord.Client) -> list[dict[str, Any]]:
    """Fetch the registered commands as Discord sends them: CommandTree.fetch_commands omits much."""
    commands = await client.http.get_global_commands(client.application_id or 0)
    return [dict(command) for command in commands]
