"""What a person reads about commands, made from their definitions."""

from collections.abc import Iterable, Sequence
from math import isfinite
from typing import Any

from commands.syntax.parser import listed
from commands.syntax.spec import Command, Parameter
from commands.syntax.values import written_value
from engine.messages import SEED

HELP = frozenset({"--help", "-h"})  # the words that ask for it in a terminal
LARGEST_SEED = "2^63 - 1"


def usage(command: Command[..., Any], extra: Sequence[Parameter] = (), prefix: str = "") -> str:
    """The command's sentence and a line for each of its options; those for people who know come last."""
    shown = [one for one in (*command.parameters, *extra) if not one.option.hidden]
    lines = aligned([(said(one), described(one)) for one in shown if not one.option.more])
    for one in shown:
        if one.option.among is not None:
            lines += [f"{one.label}:", *aligned(list(one.option.among().items()))]
    if more := [(said(one), described(one)) for one in shown if one.option.more]:
        lines += ["and more, for those who want it otherwise:", *aligned(more)]
    return "\n".join([f"{prefix}{command.name}: {command.help}", *lines])


def overview(commands: Iterable[Command[..., Any]]) -> str:
    """A line for each command."""
    return "\n".join(aligned([(f"/{one.name}", one.help) for one in commands]))


def aligned(rows: Sequence[tuple[str, str]]) -> list[str]:
    """Two columns of a text in which all letters are equally wide."""
    wide = max((len(name) for name, _ in rows), default=0)
    return [f"  {name:{wide}}  {text}" for name, text in rows]


def described(parameter: Parameter) -> str:
    """An option's help with what is allowed and what is taken when it is not given."""
    default = usual(parameter)
    notes = [allowed(parameter), f"default {default}" if default else ""]
    inside = "; ".join(note for note in notes if note)
    return f"{parameter.option.help} ({inside})" if inside else parameter.option.help


def said(parameter: Parameter) -> str:
    """What stands for the value in a line: its flags, or its name where there is none."""
    return ", ".join(parameter.flags) or parameter.label


def allowed(parameter: Parameter) -> str:
    """The bounds or choices; nothing if there are none."""
    option = parameter.option
    if parameter.choices:
        return "see below" if option.among else listed(parameter.choices, "or")
    if parameter.kind == "boolean":
        return "true or false"
    if isfinite(option.high):
        high = LARGEST_SEED if option.high == SEED[1] else f"{option.high:g}"
        parts = f", also as {listed([one.flags[0] for one in parameter.parts])}" if parameter.parts else ""
        return f"{option.low:g} to {high}{parts}"
    return ""


def usual(parameter: Parameter) -> str:
    """What is taken when it is not given; nothing if that is nothing."""
    return parameter.option.otherwise or written_value(parameter.default)
