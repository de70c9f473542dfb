"""What a person reads about a command, made from its definition."""

from collections.abc import Sequence
from enum import StrEnum
from math import isfinite
from typing import Any

from commands.parse import listed
from commands.spec import Command, Parameter
from engine.messages import Ratio, Size


def usage(command: Command[..., Any], extra: Sequence[Parameter] = ()) -> str:
    """The command's sentence and a line for each of its options."""
    first, *flags = command.parameters
    rows = [(first.name, first.option.help)] + [(f"--{p.name}", described(p)) for p in (*flags, *extra)]
    wide = max(len(name) for name, _ in rows)
    lines = (f"  {name:{wide}}  {text}" for name, text in rows)
    return "\n".join([f"{command.name}: {command.help}", *lines])


def described(parameter: Parameter) -> str:
    """An option's help with what is allowed and what is taken when it is not given."""
    option = parameter.option
    allowed = f"{option.low:,g} to {option.high:,g}" if isfinite(option.high) and option.high < 2**32 else ""
    if parameter.choices:
        allowed = listed(parameter.choices, "or")
    default = _written(parameter.default)
    notes = [allowed, f"default {default}" if default else ""]
    inside = "; ".join(note for note in notes if note)
    return f"{option.help} ({inside})" if inside else option.help


def _written(default: object) -> str:
    if isinstance(default, Ratio):
        return f"{default.across}:{default.down}"
    if isinstance(default, Size):
        return f"{default.width}x{default.height}"
    if isinstance(default, StrEnum | int | float):
        return str(default)
    return ""
