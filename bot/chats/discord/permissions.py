"""Permissions of the bot in a guild, and who may ask where: checked before a job is made."""

from collections.abc import Collection

import discord

from bot.chats.discord.pending import Interaction
from bot.config import DiscordGuild, DiscordSettings
from commands.syntax.parser import join_list

NEEDED_PERMISSIONS = {
    "view_channel": "View Channel",
    "send_messages": "Send Messages",
    "embed_links": "Embed Links",
    "attach_files": "Attach Files",
}
THREAD_PERMISSIONS = {**NEEDED_PERMISSIONS, "send_messages_in_threads": "Send Messages in Threads"}
SCOPES = ("bot", "applications.commands")
OTHER_PERMISSIONS = {  # for threads of trainings, which are deleted when empty, and to find a card again
    "create_public_threads": "Create Public Threads",
    "manage_threads": "Manage Threads",
    "read_message_history": "Read Message History",
}
ASKED_PERMISSIONS = {**THREAD_PERMISSIONS, **OTHER_PERMISSIONS}


def refusal(interaction: Interaction, settings: DiscordSettings, *, makes_card: bool) -> str:
    """Why this cannot be asked here, in one sentence; nothing if it can.

    `makes_card`: the bot will have to post pictures there.
    """
    if interaction.guild_id is None:
        return ""
    if isinstance(interaction.user, discord.Member):
        reason = place_refusal(settings, interaction.user, interaction.channel, interaction.channel_id)
        if reason:
            return reason
    return _permission_refusal(interaction) if makes_card and is_member(interaction) else ""


def place_refusal(
    settings: DiscordSettings, member: discord.Member, channel: object, channel_id: int | None
) -> str:
    """Why this person may not ask in this channel; nothing if they may."""
    usual = DiscordGuild(channels=settings.channels, roles=settings.roles)
    rules = settings.guilds.get(str(member.guild.id), usual)
    places = {str(channel_id), str(getattr(channel, "parent_id", None))}  # a thread is where its channel is
    if rules.channels and not places & set(rules.channels):
        channels = join_list([f"<#{key}>" for key in rules.channels], "or")
        return f"The bot cannot be used in this channel. Ask in {channels}."
    if rules.roles and not _is_allowed(member, rules.roles):
        return f"Only {join_list([f'<@&{role}>' for role in rules.roles])} may use the bot here."
    return ""


def is_member(interaction: Interaction) -> bool:
    """Whether the bot is in this guild, and not only somebody's own app there."""
    return interaction.guild_id is not None and interaction.client.get_guild(interaction.guild_id) is not None


def is_adult(channel: object) -> bool:
    """Whether the channel, or that of the thread, is age-restricted."""
    restricted = getattr(channel, "is_nsfw", None)
    return bool(restricted is not None and restricted())


def _is_allowed(member: discord.Member, roles: Collection[str]) -> bool:
    """Whoever can change the rules is not held by them."""
    granted = member.resolved_permissions or member.guild_permissions
    return granted.manage_guild or any(str(role.id) in roles for role in member.roles)


def _permission_refusal(interaction: Interaction) -> str:
    """What the bot lacks here, for somebody who can give it."""
    granted = interaction.app_permissions
    needed = THREAD_PERMISSIONS if isinstance(interaction.channel, discord.Thread) else NEEDED_PERMISSIONS
    missing = [label for name, label in needed.items() if not getattr(granted, name)]
    if not missing or granted.administrator:
        return ""
    return f"The bot cannot post pictures here. It needs {join_list(missing)} in this channel."


def bot_permissions() -> discord.Permissions:
    """What the bot asks a guild for."""
    return discord.Permissions(**dict.fromkeys(ASKED_PERMISSIONS, True))


def invite_link(application: int) -> str:
    """Where somebody who can manage a guild adds the application with this id."""
    return discord.utils.oauth_url(application, permissions=bot_permissions(), scopes=SCOPES)
