"""Many files at once, sorted out: pictures, by their content, the captions beside them, and others."""

import struct
import zipfile
import zlib
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import PurePath, PurePosixPath
from typing import IO, Protocol

from bot.uploads.captions import ENDINGS, LARGEST, folded, names, read_caption
from bot.uploads.image_check import LARGEST_FILE
from bot.uploads.picture_header import START, kind_of
from commands.syntax.numbers import pluralize
from engine.messages import EXAMPLES, InvalidRequest

TAKEN = (".png", ".jpg", ".jpeg", ".jfif", ".jpe", ".webp")  # what the pictures that are taken are called
OTHER_PICTURES = (".gif", ".bmp", ".tif", ".tiff", ".heic", ".heif", ".avif", ".jxl", ".svg", ".psd")
ARCHIVES = (".zip", ".7z", ".rar", ".tar", ".gz", ".tgz")
NO_PICTURE = "It is not a PNG, JPEG or WebP."
NESTED = "It is a zip inside the zip. Unpack it first."
ALONE = "It is a text without a picture of the same name."
SECOND = "Its picture has another caption, which is used."
BROKEN = (  # all that reading a file of a folder, or of a zip that is broken, raises
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    OSError,
    EOFError,
    ValueError,
    LookupError,
    ArithmeticError,
    RuntimeError,
)
NAMED = 20  # texts without a picture that are told by name


class Opening(Protocol):
    """Opens a file for reading; what it raises is told where it is called."""

    def __call__(self) -> IO[bytes]:
        """The file."""


@dataclass(frozen=True)
class File:
    """A file that is not yet read; `size` in bytes."""

    path: PurePosixPath
    size: int
    open: Opening

    @property
    def is_hidden(self) -> bool:
        """Such as what a Mac puts into every zip."""
        return any(part.startswith((".", "__MACOSX")) for part in self.path.parts)

    @property
    def ending(self) -> str:
        return self.path.suffix.lower()

    @property
    def is_picture(self) -> bool:
        """Whether its content is a picture that is taken, whatever it is called."""
        with self.open() as file:
            return bool(kind_of(file.read(START)))


@dataclass(frozen=True, kw_only=True)
class Found:
    """A picture and its caption; `picture` is None where it is refused, and `reason` then says why.

    Without a name it is a word on all of them.
    """

    name: str
    picture: File | None = None
    caption: str = ""
    reason: str = ""


def is_picture_name(name: str) -> bool:
    """Whether people mean a picture by this name, of any kind."""
    return PurePath(name).suffix.lower() in (*TAKEN, *OTHER_PICTURES)


def sorted_out(files: Sequence[File]) -> Generator[Found]:
    """What is taken of these files, and what is not.

    Raises InvalidRequest, before the first, when there is no picture, or too many.
    """
    shown = [file for file in files if not file.is_hidden]
    captions = Captions([file for file in shown if file.ending in ENDINGS])
    others = [file for file in shown if file.ending not in ENDINGS]
    found = [one for file in others if (one := _found(file)) is not None]
    pictures = sum(one.picture is not None for one in found)
    if not found:
        raise InvalidRequest("It has no picture in it.")
    if pictures > EXAMPLES[1]:
        raise InvalidRequest(f"It has {pictures} pictures. At most {EXAMPLES[1]} are allowed.")
    for one in found:
        yield one if one.picture is None else _captioned(one.picture, captions)
    yield from _told(captions, len(others) - len(found))


class Captions:
    """The text files of a zip or a folder, found by the names of the pictures beside them."""

    def __init__(self, files: Sequence[File]) -> None:
        self._left = dict.fromkeys(files, ALONE)
        self._named: dict[str, list[File]] = {}
        for file in files:
            self._named.setdefault(folded(file.path), []).append(file)

    def of(self, picture: PurePosixPath) -> File | None:
        """The picture's caption. Where names differ by case alone, the one in the picture's own case."""
        beside = [file for name in names(picture) for file in self._near(name)]
        for file in beside[1:]:
            if file in self._left:
                self._left[file] = SECOND
        if not beside:
            return None
        self._left.pop(beside[0], None)
        return beside[0]

    @property
    def left(self) -> list[tuple[File, str]]:
        """Those that no picture has, each with the reason."""
        return list(self._left.items())

    def _near(self, name: PurePosixPath) -> list[File]:
        return sorted(self._named.get(folded(name), ()), key=lambda file: file.path.stem != name.stem)


def _found(file: File) -> Found | None:
    """What this file is, if it is or should be a picture."""
    name = file.path.name
    meant = is_picture_name(name)
    try:
        if file.is_picture:
            return Found(name=name, picture=file)
    except BROKEN:
        return Found(name=name, reason="It cannot be unpacked.") if meant else None
    if file.ending in ARCHIVES:
        return Found(name=name, reason=NESTED)
    return Found(name=name, reason=NO_PICTURE) if meant else None


def _captioned(file: File, captions: Captions) -> Found:
    name = file.path.name
    beside = captions.of(file.path)
    try:
        if file.size > LARGEST_FILE:
            raise InvalidRequest(f"It is larger than {LARGEST_FILE // 2**20} MB.")
        return Found(name=name, picture=file, caption="" if beside is None else _caption(beside))
    except InvalidRequest as refusal:
        return Found(name=name, reason=str(refusal))


def _caption(file: File) -> str:
    try:
        with file.open() as opened:
            return read_caption(opened.read(LARGEST + 1))
    except InvalidRequest:
        raise
    except BROKEN as error:
        raise InvalidRequest("Its caption cannot be unpacked.") from error


def _told(captions: Captions, others: int) -> Generator[Found]:
    """What nobody misses: texts that are no captions by name, the rest by number."""
    for file, reason in captions.left[:NAMED]:
        yield Found(name=file.path.name, reason=reason)
    others += max(0, len(captions.left) - NAMED)
    if others:
        were = "was" if others == 1 else "were"
        yield Found(name="", reason=f"{pluralize(others, 'other file')} {were} skipped.")
