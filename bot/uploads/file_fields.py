"""Takes in the files of a form, and writes them as the texts of its fields."""

import asyncio
import mimetypes
from collections.abc import AsyncIterable, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

import structlog

from bot.chats.interface import Caller
from bot.uploads.archive import ZIP
from bot.uploads.caption_files import apply_captions, is_caption_file, read_captions
from bot.uploads.intake import Intake, IntakeResult, check_size, refusal_lines
from bot.uploads.lora_check import check_lora
from commands.forms import InvalidOption
from commands.syntax.form_files import pictures_text, read_pictures
from commands.syntax.parser import shorten
from commands.syntax.spec import Command, Parameter
from engine.messages import Example, InvalidRequest
from storage.database import CannotStore

AT_ONCE = 3  # files of a form that are read at the same time
NOT_STORED = "It could not be read or stored. Send it again."
ONE_PICTURE = "Only one picture is wanted here. Send one, not a zip of several."

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class IncomingFile:
    """A file that is being uploaded: its name, its content, and its size in bytes if the chat tells it.

    Reading it raises InvalidRequest with one sentence when it is gone.
    """

    name: str
    chunks: AsyncIterable[bytes]
    size: int = 0


Open = Callable[[], Awaitable[IncomingFile]]
"""Finds a file that somebody uploaded. Raises InvalidRequest when it is gone, or not theirs."""


@dataclass(frozen=True, kw_only=True)
class FormFiles:
    """The texts of the parameters that are uploaded, what was refused, and notes: names with sentences."""

    texts: Mapping[str, str] = field(default_factory=dict)
    refused: tuple[tuple[str, str], ...] = ()
    notes: tuple[tuple[str, str], ...] = ()

    @property
    def note(self) -> str:
        """The sentences about what was changed or refused; empty if nothing was."""
        left_out = ["These were left out:", *refusal_lines(self.refused)] if self.refused else []
        return "\n".join([*refusal_lines(self.notes), *left_out])


def is_picture(name: str, mimetype: str) -> bool:
    """Whether a file is a picture that may be taken, by its type as a chat tells it, or else by its name."""
    kind = mimetype or mimetypes.guess_type(name)[0] or ""
    return kind.startswith("image/") and "svg" not in kind


def start_note(name: str, count: int) -> str:
    """Which of the pictures of a message is started from, where the form does not show it."""
    which = f"The first of {count} pictures" if count > 1 else shorten(name) or "The picture"
    return f"{which} will be started from. Send the form to paint."


async def take_files(
    intake: Intake,
    caller: Caller,
    command: Command[..., object],
    uploaded: Mapping[str, Sequence[Open]],
    earlier: Mapping[str, str],
) -> FormFiles:
    """Take in what was uploaded for a command, by parameter; `earlier`: the texts that its form had before.

    Pictures are added to earlier ones; anything else replaces them. Raises InvalidOption.
    """
    texts: dict[str, str] = {}
    refused: list[tuple[str, str]] = []
    notes: list[tuple[str, str]] = []
    for parameter in command.files:
        files, before = uploaded.get(parameter.name, ()), earlier.get(parameter.name, "")
        if not files and parameter.kind == "image":
            continue  # what was written in its place stays
        if not files:
            texts[parameter.name] = before
        elif parameter.kind == "lora_file":
            texts[parameter.name] = await _take_lora(intake, caller, parameter, files[0])
        else:
            sent = await _take_pictures(intake, caller, files)
            texts[parameter.name], absent = _field_text(parameter, sent, before)
            refused += [*sent.refused, *absent]
            notes += [(picture.name, picture.note) for picture in sent.pictures if picture.note]
    taken = {name: text for name, text in texts.items() if text}
    return FormFiles(texts=taken, refused=tuple(refused), notes=tuple(notes))


async def _take_lora(intake: Intake, caller: Caller, parameter: Parameter, open_file: Open) -> str:
    """The hash of the stored file. Raises InvalidOption."""
    try:
        file = await open_file()
        check_lora(file.size, b"")
        return await intake.take_lora(caller, file.chunks)
    except (InvalidRequest, CannotStore) as error:
        raise InvalidOption(parameter, str(error)) from error
    except OSError as error:
        log.error("File could not be stored", reason=repr(error))
        raise InvalidOption(parameter, NOT_STORED) from error


def _field_text(
    parameter: Parameter, sent: IntakeResult, before: str
) -> tuple[str, Sequence[tuple[str, str]]]:
    """The text of a parameter with these pictures and captions, and captions that are for none of them.

    Raises InvalidOption when nothing of it can be used.
    """
    if parameter.kind == "pictures":
        pictures = [
            Example(
                sha256=new.sha256,
                name=new.name,
                caption=new.caption,
                repeats=new.repeats,
                concept=new.concept,
                regularization=new.regularization,
            )
            for new in sent.pictures
        ]
        every, absent = apply_captions((*read_pictures(before or "[]"), *pictures), sent.captions)
        if every:
            return pictures_text(every), absent
    elif len(sent.pictures) == 1:
        return sent.pictures[0].sha256, ()
    elif sent.pictures:
        raise InvalidOption(parameter, ONE_PICTURE)
    raise InvalidOption(parameter, "\n".join(refusal_lines(sent.refused)))


async def _take_pictures(intake: Intake, caller: Caller, files: Sequence[Open]) -> IntakeResult:
    """Take in these files: their pictures in order, and what was refused."""
    room = asyncio.Semaphore(AT_ONCE)

    async def take(open_file: Open) -> IntakeResult:
        async with room:
            return await _take_picture(intake, caller, open_file)

    every = await asyncio.gather(*map(take, files))
    return IntakeResult(
        pictures=tuple(picture for sent in every for picture in sent.pictures),
        captions={name: caption for sent in every for name, caption in sent.captions.items()},
        refused=tuple(refused for sent in every for refused in sent.refused),
    )


async def _take_picture(intake: Intake, caller: Caller, open_file: Open) -> IntakeResult:
    """Take in one file: its pictures, or why there are none."""
    name = ""
    try:
        file = await open_file()
        name = file.name
        if is_caption_file(name):
            captions, problems = await read_captions(name, file.chunks)
            return IntakeResult(captions=captions, refused=tuple(problems))
        check_size(file.size, ZIP[0] if name.lower().endswith(".zip") else b"")
        return await intake.take(caller, name, file.chunks)
    except (InvalidRequest, CannotStore) as error:
        return IntakeResult(refused=((name, str(error)),))
    except OSError as error:
        log.error("Picture could not be stored", reason=repr(error))
        return IntakeResult(refused=((name, NOT_STORED),))
