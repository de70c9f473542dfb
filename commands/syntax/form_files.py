"""Uploaded files in the text of a form: a hash, or a JSON list of pictures."""

import json
import re
import unicodedata
from collections.abc import Sequence
from typing import Any

from engine.messages import Example, InvalidRequest, Sha256

HASH = re.compile(r"[0-9a-f]{64}", re.ASCII)
LONGEST_NAME = 80  # characters


def read_pictures(text: str) -> tuple[Example, ...]:
    """The pictures of '[{"sha256": ..., "name": "a.png", "caption": "..."}]'. Raises InvalidRequest."""
    try:
        entries = json.loads(text)
    except (ValueError, RecursionError):
        entries = None
    if not isinstance(entries, list):
        raise InvalidRequest("The pictures cannot be read. Send them with the form.")
    return tuple(_read_picture(entry) for entry in entries)


def read_stored_file(text: str) -> Sha256:
    """The hash of an uploaded file. Raises InvalidRequest."""
    if not HASH.fullmatch(text):
        raise InvalidRequest("The file cannot be read. Send it with the form.")
    return Sha256(text)


def pictures_text(pictures: Sequence[Example]) -> str:
    """Text that is read as these pictures."""
    entries = [
        {"sha256": picture.sha256, "name": picture.name, "caption": picture.caption} for picture in pictures
    ]
    return json.dumps(entries, ensure_ascii=False)


def printable_name(name: str) -> str:
    """A file's name without folders and unprintable characters."""
    last = unicodedata.normalize("NFC", re.split(r"[/\\]", name)[-1])
    return "".join(letter for letter in last if letter.isprintable())[:LONGEST_NAME]


def _read_picture(entry: Any) -> Example:
    values = entry if isinstance(entry, dict) else {}
    sha256, name, caption = (values.get(key, "") for key in ("sha256", "name", "caption"))
    if not all(isinstance(field, str) for field in (sha256, name, caption)) or not HASH.fullmatch(sha256):
        raise InvalidRequest("One of the pictures cannot be read. Send it with the form.")
    return Example(sha256=Sha256(sha256), name=printable_name(name), caption=caption.strip())
