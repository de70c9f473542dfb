"""Cards and replies as the page reads them: plain JSON, written once for all pages."""

import base64
import json
from typing import Any
from urllib.parse import quote

from bot.card import Button, Card, CardPicture


def card_json(channel: str, card: Card) -> dict[str, Any]:
    """A card with the addresses of its pictures."""
    preview = base64.b64encode(card.preview).decode() if card.preview else None
    return {
        "channel": channel,
        "job": card.job,
        "number": card.number,
        "person": card.person,
        "person_key": card.person_key,
        "state": card.state,
        "title": card.title,
        "line": card.line,
        "done": card.done,
        "preview": f"data:image/jpeg;base64,{preview}" if preview else None,
        "pictures": [_picture(channel, card, picture) for picture in card.pictures],
        "recipe": [list(row) for row in card.recipe],
        "command": card.command,
        "buttons": [_button(button) for button in card.buttons],
        "at": card.at,
    }


def picture_json(channel: str, job: str, place: int) -> dict[str, Any]:
    """Where a picture is found, whole and small, and what it was made by."""
    at = f"{quote(channel, safe='')}/{job}/{place}"
    return {"url": f"/pictures/{at}.png", "thumb": f"/thumbs/{at}.webp", "recipe": f"/recipes/{at}.json"}


def text(message: dict[str, Any]) -> str:
    """A message as text, in ASCII, so that broken Unicode in somebody's words passes too."""
    return json.dumps(message, separators=(",", ":"))


def _picture(channel: str, card: Card, picture: CardPicture) -> dict[str, Any]:
    return {
        "place": picture.place,
        "seed": str(picture.seed),  # a browser's numbers end at 2^53
        "width": picture.width,
        "height": picture.height,
        "stars": picture.stars,
        **picture_json(channel, card.job, picture.place),
    }


def _button(button: Button) -> dict[str, Any]:
    return {
        "id": button.id,
        "emoji": button.emoji,
        "label": button.label,
        "picture": button.picture,
        "owners": button.owners,
    }
