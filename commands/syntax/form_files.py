"""Uploaded files in the text of a form: a hash, or a JSON list of pictures."""

import json
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from engine.messages import (
    CHAT_EXAMPLES,
    Example,
    InvalidRequest,
    Manifest,
    Sha256,
    example_from_json,
    example_to_json,
    pair_masks,
)

HASH = re.compile(r"[0-9a-f]{64}", re.ASCII)
MANIFEST_TEXT = re.compile(r"manifest:([0-9a-f]{64})", re.ASCII)  # until its pictures are read for the form
LONGEST_NAME = 80  # characters


def read_pictures(text: str) -> tuple[Example, ...]:
    """The pictures of '[{"sha256": ..., "name": "a.png", "caption": "..."}]', with their masks.

    Raises InvalidRequest.
    """
    try:
        entries = json.loads(text)
    except (ValueError, RecursionError):
        entries = None
    if not isinstance(entries, list):
        raise InvalidRequest("The pictures cannot be read. Send them with the form.")
    if len(entries) > CHAT_EXAMPLES:
        raise InvalidRequest(
            f"There are {len(entries):,} pictures. At most {CHAT_EXAMPLES:,} are allowed in a chat, and more "
            "in a terminal (python -m bot train)."
        )
    return pair_masks([_read_picture(entry) for entry in entries])


def read_stored_file(text: str) -> Sha256:
    """The hash of an uploaded file. Raises InvalidRequest."""
    if not HASH.fullmatch(text):
        raise InvalidRequest("The file cannot be read. Send it with the form.")
    return Sha256(text)


def pictures_text(pictures: Sequence[Example]) -> str:
    """Text that is read as these pictures."""
    return json.dumps([example_to_json(picture) for picture in pictures], ensure_ascii=False)


def manifest_text(manifest: Manifest) -> str:
    """Text in place of the pictures of a manifest, which only the dispatcher can read."""
    return f"manifest:{manifest.sha256}"


def printable_name(name: str) -> str:
    """A file's name without folders and unprintable characters."""
    last = unicodedata.normalize("NFC", re.split(r"[/\\]", name)[-1])
    return "".join(letter for letter in last if letter.isprintable())[:LONGEST_NAME]


def _read_picture(entry: Any) -> Example:
    values = entry if isinstance(entry, dict) else {}
    sha256, name, caption = (values.get(key, "") for key in ("sha256", "name", "caption"))
    hashes = (sha256, values.get("mask") or sha256)
    texts = all(isinstance(field, str) for field in (*hashes, name, caption))
    if not texts or not all(map(HASH.fullmatch, hashes)):
        raise InvalidRequest("One of the pictures cannot be read. Send it with the form.")
    picture = example_from_json(values)
    return replace(picture, sha256=Sha256(sha256), name=printable_name(name), caption=caption.strip())
