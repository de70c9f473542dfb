"""The Slack front end: the only folder that knows slack-bolt."""

from bot.on_slack.chat import SlackChat

__all__ = ["SlackChat"]
