"""Slack as a chat; nothing else knows slack-bolt."""

from bot.chats.slack.chat import SlackChat

__all__ = ["SlackChat"]
