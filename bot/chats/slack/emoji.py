"""Slack's names of the emoji that mean something under a card."""

from collections.abc import Mapping
from types import MappingProxyType

EMOJI: Mapping[str, str] = MappingProxyType(
    {
        "repeat": "🔁",
        "game_die": "🎲",
        "x": "❌",
        "star": "⭐",
        "email": "✉️",
        "envelope": "✉️",
        "mag": "🔍",
    }
)
