"""Cards and replies as the page reads them: plain JSON, written once for all pages."""

import base64
import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from bot.cards.card import Button, Card, CardPicture, Curve
from commands.lora import comparison_text
from commands.lora_cards import LoraCard
from storage.adapters import LoraView
from storage.comparisons import ComparisonView

DIGITS = 5  # of a loss, that count


def card_json(channel: str, card: Card) -> dict[str, Any]:
    """A card with the addresses of its pictures."""
    preview = base64.b64encode(card.preview).decode() if card.preview else None
    return {
        "channel": channel,
        "job": card.job,
        "kind": card.kind,
        "number": card.number,
        "person": card.person,
        "person_key": card.person_key,
        "state": card.state,
        "title": card.title,
        "line": card.line,
        "hint": card.hint,
        "origins": [{"text": origin.text, "job": origin.job} for origin in card.origins],
        "done": card.done,
        "preview": f"data:image/jpeg;base64,{preview}" if preview else None,
        "pictures": [_picture_json(channel, card, picture) for picture in card.pictures],
        "recipe": [list(row) for row in card.recipe],
        "command": card.command,
        "buttons": [_button_json(button) for button in card.buttons],
        "at": card.at,
        **(_training_json(channel, card) if card.kind == "train" else {}),
    }


def lora_json(channel: str, lora: LoraView, card: LoraCard, *, mine: bool) -> dict[str, Any]:
    """A LoRA that was trained here and its card, with the address of the picture that shows it."""
    at = f"{quote(channel, safe='')}/{lora.name}"
    return {
        **folder_lora_json(lora.name),
        "trigger": lora.trigger,
        "phrase": lora.phrase,
        "preset": lora.preset,
        "hint": lora.hint,
        "access": lora.access,
        "mine": mine,
        "person": lora.person,
        "uses": lora.uses,
        "likes": lora.likes,
        "likeness": card.likeness,
        "facts": [list(fact) for fact in card.facts],
        "thumb": f"/loras/{at}.webp" if lora.thumbnail else None,
        "details": f"/loras/{at}.json",
        "job": lora.job,
        "at": lora.created_at,
    }


def sheets_json(channel: str, lora: LoraView, comparisons: Sequence[ComparisonView]) -> list[dict[str, str]]:
    """The pictures that compare it with others, each with a title and an address."""
    at = quote(channel, safe="")
    sheets = [
        {"title": comparison_text(row), "url": f"/pictures/{at}/{row.job}/1.png"} for row in comparisons
    ]
    if lora.sheet is not None:
        address = f"/loras/{at}/{lora.name}/sheet.png"
        sheets.append({"title": "Beside the mix that it replaces", "url": address})
    return sheets


def folder_lora_json(name: str) -> dict[str, Any]:
    """A LoRA of which only the name is known: it lies in the operator's folder."""
    return {
        "name": name,
        "trigger": "",
        "phrase": "",
        "preset": "",
        "hint": 1.0,
        "access": "folder",
        "mine": False,
        "person": "",
        "uses": 0,
        "likes": 0,
        "likeness": None,
        "facts": [["for", "everybody, from the operator's folder"]],
        "thumb": None,
        "details": None,
        "job": None,
        "at": None,
    }


def points(line: Sequence[tuple[int, float]]) -> list[list[float]]:
    """A line of a curve; no more digits than one can see."""
    return [[step, float(f"{value:.{DIGITS}g}")] for step, value in line]


def picture_json(channel: str, job: str, place: int) -> dict[str, Any]:
    """Where a picture is found, whole and small, and what it was made by."""
    at = f"{quote(channel, safe='')}/{job}/{place}"
    return {"url": f"/pictures/{at}.png", "thumb": f"/thumbs/{at}.webp", "recipe": f"/recipes/{at}.json"}


def encode(message: dict[str, Any]) -> str:
    """A message as text, in ASCII, so that broken Unicode in somebody's words passes too."""
    return json.dumps(message, separators=(",", ":"))


def _training_json(channel: str, card: Card) -> dict[str, Any]:
    """What only the card of a training has."""
    at = f"/sheets/{quote(channel, safe='')}/{card.job}"

    def samples(step: int, count: int) -> list[dict[str, str]]:
        addresses = [f"{at}/{step}-{number}" for number in range(1, count + 1)]
        return [{"url": f"{address}.png", "thumb": f"{address}.webp"} for address in addresses]

    return {
        "notes": [{"name": note.name, "text": note.text, "used": note.used} for note in card.notes],
        "problems": list(card.problems),
        "sheet": f"{at}/report.jpg" if card.sheet else None,
        "curve": _curve_json(card.curve) if card.curve else None,
        "prompts": list(card.prompts),
        "checkpoints": [
            {
                "place": checkpoint.place,
                "step": checkpoint.step,
                "validation": checkpoint.validation,
                "chosen": checkpoint.chosen,
                "samples": samples(checkpoint.step, checkpoint.samples),
            }
            for checkpoint in card.checkpoints
        ],
        "untrained": samples(0, len(card.prompts)) if card.untrained else [],
        "line_to_copy": card.line_to_copy,
    }


def _curve_json(curve: Curve) -> dict[str, Any]:
    return {
        "losses": points(curve.losses),
        "smoothed": points(curve.smoothed),
        "validation": points(curve.validation),
        "best": curve.best,
        "steps": curve.steps,
    }


def _picture_json(channel: str, card: Card, picture: CardPicture) -> dict[str, Any]:
    return {
        "place": picture.place,
        "seed": str(picture.seed),  # a browser's numbers end at 2^53
        "width": picture.width,
        "height": picture.height,
        "stars": picture.stars,
        "hidden": picture.hidden,
        **picture_json(channel, card.job, picture.place),
    }


def _button_json(button: Button) -> dict[str, Any]:
    return {
        "id": button.id,
        "emoji": button.emoji,
        "label": button.label,
        "picture": button.picture,
        "more": button.more,
        "owners": button.owners,
    }
