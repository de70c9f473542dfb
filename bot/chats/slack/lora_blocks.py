"""Block Kit of LoRAs: a section for each, in as few messages as Slack takes."""

from collections.abc import Sequence

from bot.cards.card_text import short
from bot.chats.slack.mrkdwn import JSON, context, literal, pack, section
from commands.lora_cards import LoraCard

SHOWN = 12  # cards of one answer; the words before them tell of all


def lora_messages(cards: Sequence[LoraCard]) -> list[JSON]:
    """The messages that show these. What they paint comes by direct message."""
    return [{"text": "LoRAs", "blocks": page} for page in pack(_blocks(card) for card in cards)]


def _blocks(card: LoraCard) -> list[JSON]:
    title = section(short(f"{card.name}\n{card.phrase}" if card.phrase else card.name, 300))
    return [title, context(card.words), literal(short(card.line, 2000)), {"type": "divider"}]
