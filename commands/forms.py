"""Commands as forms: their definition as JSON, and the values that a form sends back."""

from collections.abc import Collection, Mapping
from math import isfinite
from types import MappingProxyType
from typing import Any

from commands.pasted_recipe import NOTHING
from commands.syntax.parser import check_required, closest, join_list, shorten, unpack, value
from commands.syntax.sizes import NAMED_SIZES
from commands.syntax.spec import Command, Parameter
from commands.syntax.values import value_text
from engine.messages import InvalidRequest

LARGEST_EXACT = 2**53  # pages count in doubles: a larger bound would not be what they say
NO_DEFAULTS: Mapping[str, Any] = MappingProxyType({})


def definition(command: Command[..., Any], usual: Mapping[str, Any] = NO_DEFAULTS) -> dict[str, Any]:
    """The command in plain JSON values; `usual` are somebody's own defaults for it.

    A parameter's `type` is its kind; what has choices is a choice, a boolean is true or not given, and nobody
    sees what is hidden. `low` and `high` are None where nothing bounds them. `names` are values with a name,
    beside any others, and `about` has a line on each choice that needs one. What is `more` need not be seen
    at once.
    """
    return {
        "name": command.name,
        "help": command.help,
        "submit": command.submit or "Send",
        "parameters": [
            _define(parameter, usual.get(parameter.name, parameter.default))
            for parameter in command.parameters
        ],
    }


def read_form(command: Command[..., Any], texts: Mapping[str, str]) -> dict[str, Any]:
    """The values of a form that was sent, without empty fields. Raises InvalidRequest.

    A recipe that is pasted whole goes before the fields, which have something in them anyway.
    """
    parameters = {parameter.name: parameter for parameter in command.parameters}
    read: dict[str, Any] = {}
    for name, text in texts.items():
        if name not in parameters:
            meant = closest(name, parameters)
            hint = f"Did you mean {meant}?" if meant else f"The options are {join_list(list(parameters))}."
            raise InvalidRequest(f"There is no option {shorten(name)}. {hint}")
        if text.strip():
            read[name] = value(parameters[name], "" if text == NOTHING else text)
    check_required(read, command.parameters)
    return read | unpack(read, command.parameters)


def check_needed(
    command: Command[..., Any], texts: Mapping[str, str], uploaded: Collection[str] = ()
) -> None:
    """Raise MissingInForm for the first thing that a form has to have, and that neither these texts nor what
    was uploaded for it has."""
    for parameter in command.parameters:
        if parameter.option.needed and not texts.get(parameter.name) and parameter.name not in uploaded:
            raise MissingInForm(parameter)


def pictures_of(command: Command[..., Any]) -> tuple[Parameter, ...]:
    """The first parameter that takes pictures, if any; files sent for no parameter go there."""
    several = [parameter for parameter in command.files if parameter.kind == "pictures"]
    single = [parameter for parameter in command.files if parameter.kind in ("picture", "image")]
    return tuple([*several, *single][:1])


class InvalidOption(InvalidRequest):
    """A refused value of this parameter."""

    def __init__(self, parameter: Parameter, reason: str) -> None:
        super().__init__(reason)
        self.parameter = parameter


class MissingInForm(InvalidOption):
    """A form without something it needs: a file, a tick or a text."""

    def __init__(self, parameter: Parameter) -> None:
        help = parameter.option.inline_help
        if parameter.is_file:
            super().__init__(parameter, f"Add {help}.")
        elif parameter.kind == "boolean":
            super().__init__(parameter, f"Tick the box that {help}.")
        else:
            super().__init__(parameter, f"The {parameter.label} is missing ({help}).")


def _define(parameter: Parameter, default: object) -> dict[str, Any]:
    option, choices = parameter.option, parameter.choices
    return {
        "name": parameter.name,
        "label": parameter.label,
        "flags": list(parameter.flags),
        "help": option.help,
        "type": _type(parameter),
        "low": _finite(option.low),
        "high": _finite(option.high),
        "choices": list(choices or (("true", "false") if parameter.kind == "boolean" else ())),
        "names": list(NAMED_SIZES) if parameter.kind == "size" else [],
        "default": value_text(default),
        "otherwise": option.otherwise,
        "required": parameter.required,
        "needed": option.needed,
        "spoken": parameter.spoken,
        "long": option.long,
        "repeated": parameter.repeated,
        "aliases": list(option.aliases),
        "more": option.more,
        "about": dict(option.among()) if option.among else {},
    }


def _type(parameter: Parameter) -> str:
    if parameter.option.hidden:
        return "hidden"
    two_states = parameter.type is bool and parameter.default is False
    if parameter.choices or (parameter.kind == "boolean" and not two_states):
        return "choice"
    return parameter.kind


def _finite(number: float) -> float | None:
    return number if isfinite(number) and abs(number) <= LARGEST_EXACT else None
