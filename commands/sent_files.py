"""A check that the files of a command were sent by its person and are still stored."""

from collections.abc import Mapping
from typing import Any

from commands.context import ChatContext
from commands.syntax.picture_reference import PictureReference
from commands.syntax.spec import Command, Parameter
from engine.messages import Example, InvalidRequest, Sha256
from storage import uploads


async def check_sent(context: ChatContext, command: Command[..., Any], values: Mapping[str, Any]) -> None:
    """Raise InvalidRequest when a file among these values is not the person's, or was sent too long ago."""
    names = {
        sha256: name
        for parameter in command.files
        for sha256, name in _files(parameter, values.get(parameter.name))
    }
    if not names:
        return
    own = await uploads.own(context.session, context.person.id, names)
    for sha256, name in names.items():
        if sha256 not in own:
            raise InvalidRequest(f"{name} is no longer here. Send it again.")


def _files(parameter: Parameter, value: Any) -> list[tuple[Sha256, str]]:
    """The files of a value, each with a name for people."""
    if not value:
        return []
    if isinstance(value, PictureReference):
        return [] if value.sha256 is None else [(value.sha256, "The picture")]
    if parameter.kind != "pictures":
        return [(value, f"The {parameter.label}")]
    examples: tuple[Example, ...] = value
    pictures = [
        (example.sha256, f"The picture {example.name}" if example.name else "One of the pictures")
        for example in examples
    ]
    masks = [(example.mask, f"The mask of {example.name}") for example in examples if example.mask]
    return [*pictures, *masks]
