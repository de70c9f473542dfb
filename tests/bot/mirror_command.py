"""A command that no chat knows: a picture goes in, and comes back. It is its signature, and no more."""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Annotated

from commands import registry
from commands.answers import Form, SendFiles
from commands.context import ChatContext
from commands.syntax.spec import Option, form_command
from engine.messages import Sha256


class Side(StrEnum):
    """Choices, of which one has two words."""

    TOP = "top"
    LEFT_HAND = "left hand"


@form_command("Turn it")
async def mirror(
    context: ChatContext,
    words: Annotated[str, Option("what to write under it")],
    picture: Annotated[Sha256 | None, Option("the picture to turn", kind="picture", main=True)] = None,
    side: Annotated[Side, Option("which side comes up")] = Side.TOP,
) -> SendFiles | Form:
    """Give a picture back."""
    if picture is None:
        return Form(command=mirror.name, values={"words": words})
    return SendFiles(files=(("mirrored.png", picture),), text=f"{words}, {side} up")


@contextmanager
def added_command() -> Iterator[None]:
    """It is one of the bot's commands, for bots that start from now on."""
    registry._commands[mirror.name] = mirror
    try:
        yield
    finally:
        del registry._commands[mirror.name]
