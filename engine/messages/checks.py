"""Checks of request fields, which raise InvalidRequest with a sentence for the person."""

import math
import re

PROMPT_CHARACTERS = 4000
# The Unicode categories Cc and Cs, but for tabs and ends of lines.
CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
ADAPTER_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")


class InvalidRequest(ValueError):
    """A request was refused.

    Its text is for the person: what is wrong, then what is allowed or what to do.
    """


def check_integer(name: str, value: object, low: int, high: int) -> None:
    """Raise InvalidRequest unless value is an int from low to high. `name` opens the sentence."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise InvalidRequest(f"{name} must be a whole number from {low} to {high}, not {value!r}.")
    if not low <= value <= high:
        raise InvalidRequest(f"{name} must be from {low} to {high}, not {value}.")


def check_number(name: str, value: object, low: float, high: float) -> None:
    """Raise InvalidRequest unless value is a finite number from low to high. `name` opens the sentence."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise InvalidRequest(f"{name} must be a number from {low:g} to {high:g}, not {value!r}.")
    if not low <= value <= high:
        raise InvalidRequest(f"{name} must be from {low:g} to {high:g}, not {value:g}.")


def check_text(name: str, text: str, most: int = PROMPT_CHARACTERS) -> None:
    """Raise InvalidRequest unless text is short enough and free of control characters and broken Unicode.

    `name` opens the sentence.
    """
    if len(text) > most:
        raise InvalidRequest(f"{name} has {len(text):,} characters. At most {most:,} are allowed.")
    if character := CONTROL.search(text):
        raise InvalidRequest(f"{name} has the control character U+{ord(character[0]):04X}. Leave it out.")


def check_adapter_name(name: str) -> None:
    """Raise InvalidRequest unless a LoRA may have this name."""
    if not ADAPTER_NAME.fullmatch(name):
        raise InvalidRequest(f"The LoRA name {name!r} may only have a-z, 0-9, - and _, at most 32 of them.")
