"""What the bot may do in a guild, and who may ask where: told before anything is filed."""

from collections.abc import Collection

import discord

from bot.chats.discord.pending import Interaction
from bot.config import DiscordGuild, DiscordSettings
from commands.syntax.parser import join_list

NEEDED = {
    "view_channel": "View Channel",
    "send_messages": "Send Messages",
    "embed_links": "Embed Links",
    "attach_files": "Attach Files",
}
IN_THREADS = {**NEEDED, "send_messages_in_threads": "Send Messages in Threads"}
SCOPES = ("bot", "applications.commands")
BESIDE = {  # for the thread of a training, which goes when it is empty, and for finding a card again
    "create_public_threads": "Create Public Threads",
    "manage_threads": "Manage Threads",
    "read_message_history": "Read Message History",
}
ASKED = {**IN_THREADS, **BESIDE}


def refusal(interaction: Interaction, settings: DiscordSettings, *, makes_card: bool) -> str:
    """Why this cannot be asked here, in one sentence; nothing if it can.

    `makes_card`: the bot will have to post pictures there.
    """
    if interaction.guild_id is None:
        return ""
    if isinstance(interaction.user, discord.Member):
        no = place_refusal(settings, interaction.user, interaction.channel, interaction.channel_id)
        if no:
            return no
    return _unable(interaction) if makes_card and is_member(interaction) else ""


def place_refusal(
    settings: DiscordSettings, member: discord.Member, channel: object, channel_id: int | None
) -> str:
    """Why this person may not ask in this channel; nothing if they may."""
    usual = DiscordGuild(channels=settings.channels, roles=settings.roles)
    rules = settings.guilds.get(str(member.guild.id), usual)
    places = {str(channel_id), str(getattr(channel, "parent_id", None))}  # a thread is where its channel is
    if rules.channels and not places & set(rules.channels):
        return f"This is not the place. Ask in {join_list([f'<#{key}>' for key in rules.channels], 'or')}."
    if rules.roles and not _may(member, rules.roles):
        return f"Only {join_list([f'<@&{key}>' for key in rules.roles])} may ask for this here."
    return ""


def is_member(interaction: Interaction) -> bool:
    """Whether the bot is in this guild, and not only somebody's own app there."""
    return interaction.guild_id is not None and interaction.client.get_guild(interaction.guild_id) is not None


def is_adult(channel: object) -> bool:
    """Whether the channel, or that of the thread, is age-restricted."""
    restricted = getattr(channel, "is_nsfw", None)
    return bool(restricted is not None and restricted())


def _may(member: discord.Member, roles: Collection[str]) -> bool:
    """Whoever can change the rules is not held by them."""
    held = member.resolved_permissions or member.guild_permissions
    return held.manage_guild or any(str(role.id) in roles for role in member.roles)


def _unable(interaction: Interaction) -> str:
    """What the bot lacks here, for somebody who can give it."""
    held = interaction.app_permissions
    needed = IN_THREADS if isinstance(interaction.channel, discord.Thread) else NEEDED
    missing = [label for name, label in needed.items() if not getattr(held, name)]
    if not missing or held.administrator:
        return ""
    return f"The bot cannot post pictures here. Allow it {join_list(missing)} in this channel."


def wanted_permissions() -> discord.Permissions:
    """What the bot asks a guild for."""
    return discord.Permissions(**dict.fromkeys(ASKED, True))


def invite_link(application: int) -> str:
    """Where somebody who can manage a guild adds the application with this id."""
    return discord.utils.oauth_url(application, permissions=wanted_permissions(), scopes=SCOPES)
