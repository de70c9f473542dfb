"""Stored files as a form tells them: one by its hash, or a JSON list of pictures with names and captions."""

import json
import re
import unicodedata
from collections.abc import Sequence
from typing import Any

from engine.messages import Example, InvalidRequest, Sha256

HASH = re.compile(r"[0-9a-f]{64}", re.ASCII)
LONGEST_NAME = 80  # characters


def examples(text: str) -> tuple[Example, ...]:
    """The pictures of '[{"sha256": ..., "name": "a.png", "caption": "..."}]'. Raises InvalidRequest."""
    try:
        told = json.loads(text)
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, list):
        raise InvalidRequest("the pictures cannot be read: send them with the form.")
    return tuple(_example(one) for one in told)


def stored_file(text: str) -> Sha256:
    """A file that was sent before, by its hash. Raises InvalidRequest."""
    if not HASH.fullmatch(text):
        raise InvalidRequest("the file cannot be read: send it with the form.")
    return Sha256(text)


def written_examples(pictures: Sequence[Example]) -> str:
    """The text that is read as these pictures."""
    told = [{"sha256": one.sha256, "name": one.name, "caption": one.caption} for one in pictures]
    return json.dumps(told, ensure_ascii=False)


def plain_name(name: str) -> str:
    """A file's name without its folders, and without what could not be shown in a line."""
    last = unicodedata.normalize("NFC", re.split(r"[/\\]", name)[-1])
    return "".join(letter for letter in last if letter.isprintable())[:LONGEST_NAME]


def _example(told: Any) -> Example:
    values = told if isinstance(told, dict) else {}
    sha256, name, caption = (values.get(key, "") for key in ("sha256", "name", "caption"))
    if not all(isinstance(one, str) for one in (sha256, name, caption)) or not HASH.fullmatch(sha256):
        raise InvalidRequest("one of the pictures cannot be read: send it with the form.")
    return Example(sha256=Sha256(sha256), name=plain_name(name), caption=caption.strip())
