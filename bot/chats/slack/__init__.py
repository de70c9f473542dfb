"""The Slack front end: the only folder that knows slack-bolt."""

from bot.chats.slack.chat import SlackChat

__all__ = ["SlackChat"]
