"""Which channels the bot may be used in: those it can post in and that its operator allows."""

from bot.chats.interface import Caller
from bot.chats.slack.workspace import Workspace
from bot.config import SlackSettings
from commands.registry import posting_names


class ChannelPolicy:
    """The channels of a workspace in which the bot may be used."""

    def __init__(self, settings: SlackSettings, workspace: Workspace) -> None:
        self._channels = settings.channels
        self._workspace = workspace

    async def find_refusal(self, caller: Caller, command: str) -> str:
        """Find out why this cannot be done here, as a sentence; empty if it can."""
        if command not in posting_names() or caller.direct:
            return ""
        if self._channels and caller.channel not in self._channels:
            return "The bot is used in other channels here. Ask an admin which, or write to it directly."
        channel = await self._workspace.read_channel(caller.channel)
        if channel.member:
            return ""
        bot_name = self._workspace.installation.bot_name
        return f"The bot is not in this channel. Invite it with /invite @{bot_name}, or write to it directly."
