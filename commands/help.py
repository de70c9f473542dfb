"""Help texts of commands and options, made from their definitions."""

from collections.abc import Iterable, Sequence
from math import isfinite
from typing import Any

from commands.syntax.parser import join_list
from commands.syntax.spec import Command, Parameter
from commands.syntax.values import value_text
from engine.messages import SEED

HELP = frozenset({"--help", "-h"})  # the words that ask for it in a terminal
LARGEST_SEED = "2^63 - 1"


def usage(command: Command[..., Any], extra: Sequence[Parameter] = (), prefix: str = "") -> str:
    """The command's sentence and a line for each option, advanced ones last."""
    shown = [parameter for parameter in (*command.parameters, *extra) if not parameter.option.hidden]
    lines = align(
        [(flags_text(parameter), describe(parameter)) for parameter in shown if not parameter.option.more]
    )
    for parameter in shown:
        if parameter.option.among is not None:
            lines += [f"{flags_text(parameter)}:", *align(list(parameter.option.among().items()))]
    if more := [(flags_text(parameter), describe(parameter)) for parameter in shown if parameter.option.more]:
        lines += ["More options:", *align(more)]
    return "\n".join([f"{prefix}{command.name}: {command.help}", *lines])


def overview(commands: Iterable[Command[..., Any]]) -> str:
    """A line for each command."""
    return "\n".join(align([(f"/{command.name}", command.help) for command in commands]))


def align(rows: Sequence[tuple[str, str]]) -> list[str]:
    """Rows in two columns of a monospaced text."""
    wide = max((len(name) for name, _ in rows), default=0)
    return [f"  {name:{wide}}  {text}" for name, text in rows]


def describe(parameter: Parameter) -> str:
    """An option's help with its bounds and its default."""
    default = default_text(parameter)
    word = "otherwise" if parameter.option.otherwise else "default"
    notes = [bounds_text(parameter), f"{word} {default}" if default else ""]
    inside = ", ".join(note for note in notes if note)
    return f"{parameter.option.help} ({inside})" if inside else parameter.option.help


def flags_text(parameter: Parameter) -> str:
    """The flags of an option, or its name where it has none."""
    return ", ".join(parameter.flags) or parameter.label


def bounds_text(parameter: Parameter) -> str:
    """The bounds or choices, or ""."""
    option = parameter.option
    if parameter.choices:
        return "see below" if option.among else join_list(parameter.choices, "or")
    if parameter.kind == "boolean":
        return "true or false"
    if isfinite(option.high):
        high = LARGEST_SEED if option.high == SEED[1] else f"{option.high:g}"
        parts = (
            f", also as {join_list([part.flags[0] for part in parameter.parts])}" if parameter.parts else ""
        )
        return f"{option.low:g} to {high}{parts}"
    return ""


def default_text(parameter: Parameter) -> str:
    """The default, or ""."""
    return parameter.option.otherwise or value_text(parameter.default)
