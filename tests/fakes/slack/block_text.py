"""Blocks read as people see them: the texts, what can be pressed, the pictures, who is mentioned."""

import re
from collections.abc import Iterator
from typing import Any

JSON = dict[str, Any]
PING = re.compile(r"<(![a-z]+(?:\^[^>|]*)?|@[UWT][A-Z0-9]*)(?:\|[^>]*)?>")
LINK = re.compile(r"<((?:https?|mailto|tel):[^>|]*)(?:\|[^>]*)?>")


def interactive(blocks: list[JSON]) -> Iterator[JSON]:
    """The elements with an action_id, each with the block_id of its block and, of an input, its block."""
    for block in blocks:
        inside = [*block.get("elements", ()), block.get("accessory"), block.get("element")]
        for item in inside:
            if isinstance(item, dict) and "action_id" in item:
                yield {**item, "block_id": block["block_id"], "block": block}


def images(blocks: list[JSON]) -> Iterator[JSON]:
    for block in blocks:
        for item in (block, *block.get("elements", ()), block.get("accessory")):
            if isinstance(item, dict) and item.get("type") == "image":
                yield item


def texts(given: object, *, marked: bool = False) -> Iterator[str]:
    """The texts in blocks; only those in which mentions count, if `marked`."""
    if isinstance(given, list):
        for item in given:
            yield from texts(item, marked=marked)
    elif isinstance(given, dict):
        if isinstance(given.get("text"), str):
            if not marked or given.get("type") != "plain_text":
                yield given["text"]
            return
        for value in given.values():
            yield from texts(value, marked=marked)
