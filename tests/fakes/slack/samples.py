"""Blocks and views for the tests."""

from typing import Any

import pytest
from slack_sdk.errors import SlackApiError

PNG = b"\x89PNG\r\n\x1a\n and a picture"
JOB = {"event_type": "job", "event_payload": {"job": "k3f9qa"}}


def button(action: str, value: str) -> dict[str, Any]:
    text = {"type": "plain_text", "text": action}
    return {"type": "button", "action_id": action, "value": value, "text": text}


def actions(*buttons: dict[str, Any]) -> dict[str, Any]:
    return {"type": "actions", "elements": list(buttons)}


def field(name: str, element: dict[str, Any], *, optional: bool = False) -> dict[str, Any]:
    label = {"type": "plain_text", "text": name.title()}
    return {
        "type": "input",
        "block_id": name,
        "label": label,
        "optional": optional,
        "element": {"action_id": name, **element},
    }


def modal(*blocks: dict[str, Any]) -> dict[str, Any]:
    words = {"type": "plain_text", "text": "Paint"}
    return {"type": "modal", "callback_id": "form", "title": words, "submit": words, "blocks": list(blocks)}


async def refusal_of(call: Any) -> str:
    with pytest.raises(SlackApiError) as caught:
        await call
    return str(caught.value.response["error"])
