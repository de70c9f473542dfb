"""A form that came back: what stands in its rows, as the command that it belongs to has it."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from commands.imagine import imagine
from commands.registry import COMMANDS, Known, find
from commands.syntax.parser import parse
from commands.syntax.quotes import split
from commands.syntax.spec import Option, Parameter
from commands.syntax.values import written_value
from commands.train import train
from engine.messages import InvalidRequest, JobId

FORM = re.compile(
    r"form:([a-z]{1,20}(?: [a-z]{1,20})?):([0-9a-z]{6}):([0-9a-z]{6})?:([a-z0-9_-]{0,32})", re.ASCII
)
REST = "rest"  # the row with everything that has none of its own
CONSENT = "consent"
NAME = "name"  # /train's, where the form was opened without one
HELD = "held"  # which files of a message a form goes with, as Attachments knows them
FILES = ("pictures", "pictures-2")
ROWS = {imagine.name: ("prompt", "no", "lora", "seed")}  # the others are flags in one row
PHRASE = Parameter(
    name="phrase", type=str, option=Option("the trigger, and what it is"), required=False, spoken=True
)


@dataclass(frozen=True, kw_only=True)
class Attached:
    """A file that somebody attached, which Discord keeps for a while."""

    name: str
    url: str
    size: int  # in bytes, as Discord says


@dataclass(frozen=True, kw_only=True)
class Filled:
    """A form that came back. `job` is what it files, once; `source` the job that it was made from."""

    command: Known
    job: JobId
    source: JobId | None
    values: Mapping[str, str]
    files: tuple[Attached, ...]


def is_form(custom_id: str) -> bool:
    """Whether a form of ours has this id."""
    return FORM.fullmatch(custom_id) is not None


def filled(data: Mapping[str, Any]) -> Filled:
    """What stands in a form that was sent. Raises InvalidRequest with one sentence."""
    told = FORM.fullmatch(str(data.get("custom_id", "")))
    if told is None or told[1] not in COMMANDS:
        raise InvalidRequest("this form is not known any more: please say it again.")
    command, fields = find(told[1]), dict(_fields(data.get("components", ())))
    shown = ("preset",) if command is train else own_rows(command)
    values = {name: str(_first(fields.get(name))) for name in shown}
    if command is train:
        values[NAME] = told[4] or str(_first(fields.get(NAME)))
        values[CONSENT] = "true" if fields.get(CONSENT) else ""
    rest = [one for one in command.parameters if one.name not in values and not one.option.hidden]
    said = _said(str(_first(fields.get(REST))), [_optional(one) for one in rest], command)
    known = data.get("resolved", {}).get("attachments", {})
    return Filled(
        command=command,
        job=JobId(told[2]),
        source=JobId(told[3]) if told[3] else None,
        values=values | {name: written_value(value) for name, value in said.items()},
        files=tuple(
            Attached(
                name=str(known[one]["filename"]), url=str(known[one]["url"]), size=int(known[one]["size"])
            )
            for row in FILES
            for one in fields.get(row) or ()
            if one in known
        ),
    )


def own_rows(command: Known) -> tuple[str, ...]:
    """The parameters that have a row of their own."""
    return ROWS.get(command.name, tuple(one.name for one in command.parameters if one.required)[:4])


def _said(words: str, parameters: Sequence[Parameter], command: Known) -> dict[str, Any]:
    """The flags of a row; what stands before them in /train's is the trigger, and what it is."""
    said = parse(split(words), [PHRASE, *parameters] if command is train else parameters)
    trigger, _, subject = str(said.pop(PHRASE.name, "")).partition(" ")
    return {name: text for name, text in (("trigger", trigger), ("subject", subject)) if text} | said


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
