"""Submitted modals: their rows become the values and files of a command."""

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
class AttachedFile:
    """A file that somebody attached, which Discord keeps for a while."""

    name: str
    url: str
    size: int  # in bytes, as Discord says


@dataclass(frozen=True, kw_only=True)
class Submission:
    """A command with what was given for it, or its form that came back.

    `job` is what a form files, once; `source` the job that it was made from. `files` are by parameter.
    `held`: a picture of a message goes with it, by `source`.
    """

    command: AnyCommand
    values: Mapping[str, str]
    files: Mapping[str, Sequence[AttachedFile]]
    job: JobId | None = None
    source: JobId | None = None
    held: bool = False


def is_form(custom_id: str) -> bool:
    """Whether a form of ours has this id."""
    return FORM.fullmatch(custom_id) is not None


def parse_modal(data: Mapping[str, Any]) -> Submission:
    """What stands in a form that was sent. Raises InvalidRequest with one sentence."""
    match = FORM.fullmatch(str(data.get("custom_id", "")))
    if match is None or match[1] not in COMMANDS:
        raise InvalidRequest("This form is out of date. Open it again.")
    command, inputs = find(match[1]), dict(_inputs(data.get("components", ())))
    values = {option.name: _text(option, inputs) for option in own_rows(command) if not option.is_file}
    title = title_parameter(command)
    if title is not None and match[4]:
        values[title.name] = match[4]
    common = _parse_common_row(str(_first(inputs.get(REST))), command)
    attachments = data.get("resolved", {}).get("attachments", {})
    return Submission(
        command=command,
        job=JobId(match[2]),
        source=JobId(match[3]) if match[3] else None,
        held=title is None and match[4] == HELD,
        values=values | {name: value_text(value) for name, value in common.items()},
        files={option.name: _files(option, inputs, attachments) for option in command.files},
    )


def own_rows(command: AnyCommand) -> tuple[Parameter, ...]:
    """The parameters that have a row of their own: what a form has to have, and what is wanted most."""
    wanted = [
        parameter
        for parameter in command.parameters
        if parameter.required or parameter.option.needed or parameter.option.main
    ]
    wanted.sort(key=lambda parameter: (not parameter.required, not parameter.option.needed))
    return tuple(parameter for parameter in command.parameters if parameter in wanted[: ROWS - 1])


def common_row(command: AnyCommand) -> tuple[Parameter, ...]:
    """The parameters that share one row: the bare ones in front, the others as flags."""
    own = own_rows(command)
    return tuple(
        parameter
        for parameter in command.parameters
        if not (parameter.is_file or parameter.option.hidden or parameter in own)
    )


def title_parameter(command: AnyCommand) -> Parameter | None:
    """The parameter that stands in the form's title, and in its id, where it was given before."""
    spoken = command.spoken
    return spoken if spoken is not None and spoken.kind == "name" else None


def _text(parameter: Parameter, inputs: Mapping[str, Any]) -> str:
    text = str(_first(inputs.get(parameter.name)))
    return ("true" if text else "") if parameter.kind == "boolean" else text


def _files(
    parameter: Parameter, inputs: Mapping[str, Any], attachments: Mapping[str, Mapping[str, Any]]
) -> tuple[AttachedFile, ...]:
    """The files in the rows of this parameter."""
    ids = (*(inputs.get(parameter.name) or ()), *(inputs.get(parameter.name + SECOND) or ()))
    files = [attachments[id] for id in ids if id in attachments]
    return tuple(
        AttachedFile(name=str(file["filename"]), url=str(file["url"]), size=int(file["size"]))
        for file in files
    )


def _parse_common_row(text: str, command: AnyCommand) -> dict[str, Any]:
    """What is said in the row that parameters share. Raises InvalidRequest with one sentence."""
    common = [_optional(parameter) for parameter in common_row(command)]
    bare = [parameter for parameter in common if parameter.option.bare]
    if not bare:
        return parse(split(text), common)
    labels = join_list([parameter.label for parameter in bare])
    front = Parameter(name=FRONT, type=str, option=Option(labels), required=False, spoken=True)
    values = parse(split(text), [front, *common])
    words = str(values.pop(FRONT, "")).split(maxsplit=len(bare) - 1)
    return {option.name: value(option, word) for option, word in zip(bare, words, strict=False)} | values


def _optional(parameter: Parameter) -> Parameter:
    """The same, for a line in which something else may say it."""
    return replace(parameter, required=False, spoken=False)


def _inputs(components: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, Any]]:
    """What was put into each row, by its name: a text, or a list of values or of files."""
    for component in components:
        if "component" in component:
            yield from _inputs([component["component"]])
        elif "components" in component:
            yield from _inputs(component["components"])
        elif "custom_id" in component:
            yield str(component["custom_id"]), component.get("values", component.get("value"))


def _first(entered: Any) -> Any:
    """The text of a row, or the only one of its values."""
    if isinstance(entered, list):
        return entered[0] if entered else ""
    return entered or ""
