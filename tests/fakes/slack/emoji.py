"""The names by which Slack knows emoji."""

from collections.abc import Mapping

NAMES: Mapping[str, str] = {
    "🔁": "repeat",
    "🎲": "game_die",
    "❌": "x",
    "⭐": "star",
    "✉": "email",  # envelope is another name of it
    "✏": "pencil2",
    "🗑": "wastebasket",
    "👍": "+1",
}


def name(emoji: str) -> str:
    """repeat for 🔁; what is a name already stays."""
    bare = emoji.replace("\ufe0f", "")
    return NAMES.get(bare, emoji.strip(":"))
