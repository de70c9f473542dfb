"""What is refused, and the sentences that say so."""

import math
import re
import unicodedata

PROMPT_CHARACTERS = 4000
ADAPTER_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")


class InvalidRequest(ValueError):
    """One sentence for the person: what was wrong and what is allowed."""


def whole(name: str, value: object, low: int, high: int) -> None:
    """Raise InvalidRequest unless value is an int from low to high."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise InvalidRequest(f"{name} is {value!r}, but it must be a whole number from {low} to {high}.")
    if not low <= value <= high:
        raise InvalidRequest(f"{name} is {value}, but it must be from {low} to {high}.")


def within(name: str, value: object, low: float, high: float) -> None:
    """Raise InvalidRequest unless value is a finite number from low to high."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise InvalidRequest(f"{name} is {value}, but it must be a number from {low:g} to {high:g}.")
    if not low <= value <= high:
        raise InvalidRequest(f"{name} is {value:g}, but it must be from {low:g} to {high:g}.")


def readable(name: str, text: str) -> None:
    """Raise InvalidRequest unless text is short enough and free of control characters and broken Unicode."""
    if len(text) > PROMPT_CHARACTERS:
        raise InvalidRequest(
            f"{name} has {len(text):,} characters, but at most {PROMPT_CHARACTERS:,} are allowed."
        )
    for character in text:
        if unicodedata.category(character) in ("Cc", "Cs") and character not in "\t\n\r":
            raise InvalidRequest(f"{name} has the control character U+{ord(character):04X}: leave it out.")


def adapter_name(name: str) -> None:
    """Raise InvalidRequest unless a LoRA can be called so."""
    if not ADAPTER_NAME.fullmatch(name):
        raise InvalidRequest(
            f"the LoRA name {name!r} may only have a-z, 0-9, '-' and '_', at most 32 of them."
        )
