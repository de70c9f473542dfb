"""A form that came back: what stands in its rows, as the command that it belongs to has it."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from commands.registry import COMMANDS, AnyCommand, find
from commands.syntax.parser import join_list, parse, value
from commands.syntax.quotes import split
from commands.syntax.spec import Option, Parameter
from commands.syntax.values import value_text
from engine.messages import InvalidRequest, JobId

FORM = re.compile(
    r"form:([a-z]{1,20}(?: [a-z]{1,20})?):([0-9a-z]{6}):([0-9a-z]{6})?:([a-z0-9_-]{0,32})", re.ASCII
)
REST = "rest"  # the row with everything that has none of its own
HELD = "held"  # which files of a message a form goes with, as Attachments knows them
ROWS = 5  # that a form has at most; one is for everything else
FRONT = "front"  # what stands before the flags in that row
SECOND = "-2"  # ends the id of a second row of files for the same parameter


@dataclass(frozen=True, kw_only=True)
class Attached:
    """A file that somebody attached, which Discord keeps for a while."""

    name: str
    url: str
    size: int  # in bytes, as Discord says


@dataclass(frozen=True, kw_only=True)
class Filled:
    """A command with what was given for it, or its form that came back.

    `job` is what a form files, once; `source` the job that it was made from. `files` are by parameter.
    """

    command: AnyCommand
    values: Mapping[str, str]
    files: Mapping[str, Sequence[Attached]]
    job: JobId | None = None
    source: JobId | None = None


def is_form(custom_id: str) -> bool:
    """Whether a form of ours has this id."""
    return FORM.fullmatch(custom_id) is not None


def filled(data: Mapping[str, Any]) -> Filled:
    """What stands in a form that was sent. Raises InvalidRequest with one sentence."""
    told = FORM.fullmatch(str(data.get("custom_id", "")))
    if told is None or told[1] not in COMMANDS:
        raise InvalidRequest("this form is not known any more: please say it again.")
    command, fields = find(told[1]), dict(_fields(data.get("components", ())))
    values = {one.name: _text(one, fields) for one in own_rows(command) if not one.is_file}
    titled = in_title(command)
    if titled is not None and told[4]:
        values[titled.name] = told[4]
    said = _shared(str(_first(fields.get(REST))), command)
    known = data.get("resolved", {}).get("attachments", {})
    return Filled(
        command=command,
        job=JobId(told[2]),
        source=JobId(told[3]) if told[3] else None,
        values=values | {name: value_text(value) for name, value in said.items()},
        files={one.name: _attached(one, fields, known) for one in command.files},
    )


def own_rows(command: AnyCommand) -> tuple[Parameter, ...]:
    """The parameters that have a row of their own: what a form has to have, and what is wanted most."""
    wanted = [one for one in command.parameters if one.required or one.option.needed or one.option.main]
    first = sorted(wanted, key=lambda one: (not one.required, not one.option.needed))[: ROWS - 1]
    return tuple(one for one in command.parameters if one in first)


def shared_row(command: AnyCommand) -> tuple[Parameter, ...]:
    """The parameters that share one row: the bare ones in front, the others as flags."""
    own = own_rows(command)
    return tuple(
        one for one in command.parameters if one not in own and not (one.is_file or one.option.hidden)
    )


def in_title(command: AnyCommand) -> Parameter | None:
    """The parameter that stands in the form's title, and in its id, where it was given before."""
    spoken = command.spoken
    return spoken if spoken is not None and spoken.kind == "name" else None


def _text(parameter: Parameter, fields: Mapping[str, Any]) -> str:
    text = str(_first(fields.get(parameter.name)))
    return ("true" if text else "") if parameter.kind == "boolean" else text


def _attached(
    parameter: Parameter, fields: Mapping[str, Any], known: Mapping[str, Mapping[str, Any]]
) -> tuple[Attached, ...]:
    """The files in the rows of this parameter."""
    sent = (*(fields.get(parameter.name) or ()), *(fields.get(parameter.name + SECOND) or ()))
    return tuple(
        Attached(name=str(known[one]["filename"]), url=str(known[one]["url"]), size=int(known[one]["size"]))
        for one in sent
        if one in known
    )


def _shared(words: str, command: AnyCommand) -> dict[str, Any]:
    """What is said in the row that parameters share. Raises InvalidRequest with one sentence."""
    shared = [_optional(one) for one in shared_row(command)]
    bare = [one for one in shared if one.option.bare]
    if not bare:
        return parse(split(words), shared)
    front = Parameter(
        name=FRONT,
        type=str,
        option=Option(join_list([one.label for one in bare])),
        required=False,
        spoken=True,
    )
    said = parse(split(words), [front, *shared])
    texts = str(said.pop(FRONT, "")).split(maxsplit=len(bare) - 1)
    return {one.name: value(one, text) for one, text in zip(bare, texts, strict=False)} | said


def _optional(parameter: Parameter) -> Parameter:
    """The same, for a line in which something else may say it."""
    return replace(parameter, required=False, spoken=False)


def _fields(components: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, Any]]:
    """What was put into each row, by its name: a text, or a list of values or of files."""
    for one in components:
        if "component" in one:
            yield from _fields([one["component"]])
        elif "components" in one:
            yield from _fields(one["components"])
        elif "custom_id" in one:
            yield str(one["custom_id"]), one.get("values", one.get("value"))


def _first(told: Any) -> Any:
    """The text of a row, or the only one of its values."""
    if isinstance(told, list):
        return told[0] if told else ""
    return told or ""
