"""The link that brings the bot into a guild, with the permissions that this program uses and no others."""

import discord

from bot.chats.discord.permissions import IN_THREADS

SCOPES = ("bot", "applications.commands")
BESIDE = {  # for the thread of a training, which goes when it is empty, and for finding a card again
    "create_public_threads": "Create Public Threads",
    "manage_threads": "Manage Threads",
    "read_message_history": "Read Message History",
}
ASKED = {**IN_THREADS, **BESIDE}


def permissions() -> discord.Permissions:
    """What the bot asks a guild for."""
    return discord.Permissions(**dict.fromkeys(ASKED, True))


def link(application: int) -> str:
    """Where somebody who can manage a guild adds the application with this id."""
    return discord.utils.oauth_url(application, permissions=permissions(), scopes=SCOPES)
