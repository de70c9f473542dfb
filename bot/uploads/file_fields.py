"""What is uploaded for a command: taken in, and written as the texts that its form has of it."""

import asyncio
from collections.abc import AsyncIterable, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

import structlog

from bot.chats.interface import Caller
from bot.uploads.archive import ZIP
from bot.uploads.intake import Intake, Sent, check_size, left_out
from bot.uploads.lora_check import check_lora
from commands.forms import OptionRefused
from commands.syntax.form_files import pictures_text, read_pictures
from commands.syntax.spec import Command, Parameter
from engine.messages import Example, InvalidRequest
from storage.database import CannotStore

AT_ONCE = 3  # files of a form that are read side by side
NOT_STORED = "It could not be read or stored. Send it again."
ONE_PICTURE = "Only one picture is wanted here: send one, and no zip of several."

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class IncomingFile:
    """A file on its way: its name, its content as it comes, and its size in bytes as far as the chat says.

    Reading it raises InvalidRequest with one sentence when it is gone.
    """

    name: str
    chunks: AsyncIterable[bytes]
    size: int = 0


Open = Callable[[], Awaitable[IncomingFile]]
"""Finds a file that somebody uploaded. Raises InvalidRequest when it is gone, or not theirs."""


@dataclass(frozen=True, kw_only=True)
class FormFiles:
    """The texts of the parameters that are uploaded, and what was refused of it: names with reasons."""

    texts: Mapping[str, str] = field(default_factory=dict)
    refused: tuple[tuple[str, str], ...] = ()

    @property
    def note(self) -> str:
        """What to tell its person of what was refused; nothing if nothing was."""
        return "\n".join(["These were left out:", *left_out(self.refused)]) if self.refused else ""


async def take_files(
    intake: Intake,
    caller: Caller,
    command: Command[..., object],
    uploaded: Mapping[str, Sequence[Open]],
    earlier: Mapping[str, str],
) -> FormFiles:
    """Take in what was uploaded for a command, by parameter; `earlier` are the texts that its form had
    before.

    Pictures are added to those of before; anything else takes its place. Raises OptionRefused.
    """
    texts: dict[str, str] = {}
    refused: list[tuple[str, str]] = []
    for parameter in command.files:
        files, before = uploaded.get(parameter.name, ()), earlier.get(parameter.name, "")
        if not files:
            texts[parameter.name] = before
        elif parameter.kind == "lora_file":
            texts[parameter.name] = await _take_lora(intake, caller, parameter, files[0])
        else:
            sent = await _take_pictures(intake, caller, files)
            texts[parameter.name] = _written(parameter, sent, before)
            refused += sent.refused
    return FormFiles(texts={name: text for name, text in texts.items() if text}, refused=tuple(refused))


async def _take_lora(intake: Intake, caller: Caller, parameter: Parameter, open_file: Open) -> str:
    """The hash of the stored file. Raises OptionRefused."""
    try:
        file = await open_file()
        check_lora(file.size, b"")
        return await intake.take_lora(caller, file.chunks)
    except (InvalidRequest, CannotStore) as error:
        raise OptionRefused(parameter, str(error)) from error
    except OSError as error:
        log.error("File could not be stored", reason=repr(error))
        raise OptionRefused(parameter, NOT_STORED) from error


def _written(parameter: Parameter, sent: Sent, before: str) -> str:
    """The text of a parameter for which these pictures were sent. Raises OptionRefused when none can be
    taken."""
    if parameter.kind == "pictures":
        pictures = [Example(sha256=new.sha256, name=new.name, caption=new.caption) for new in sent.pictures]
        every = (*read_pictures(before or "[]"), *pictures)
        if every:
            return pictures_text(every)
    elif len(sent.pictures) == 1:
        return sent.pictures[0].sha256
    elif sent.pictures:
        raise OptionRefused(parameter, ONE_PICTURE)
    raise OptionRefused(parameter, "\n".join(left_out(sent.refused)))


async def _take_pictures(intake: Intake, caller: Caller, files: Sequence[Open]) -> Sent:
    """The pictures in these files, in their order, and what was refused of them."""
    room = asyncio.Semaphore(AT_ONCE)

    async def take(open_file: Open) -> Sent:
        async with room:
            return await _take_picture(intake, caller, open_file)

    every = await asyncio.gather(*map(take, files))
    return Sent(
        pictures=tuple(picture for sent in every for picture in sent.pictures),
        refused=tuple(refused for sent in every for refused in sent.refused),
    )


async def _take_picture(intake: Intake, caller: Caller, open_file: Open) -> Sent:
    """The pictures in one file, or why there are none."""
    name = ""
    try:
        file = await open_file()
        name = file.name
        check_size(file.size, ZIP[0] if name.lower().endswith(".zip") else b"")
        return await intake.take(caller, name, file.chunks)
    except (InvalidRequest, CannotStore) as error:
        return Sent(refused=((name, str(error)),))
    except OSError as error:
        log.error("Picture could not be stored", reason=repr(error))
        return Sent(refused=((name, NOT_STORED),))
