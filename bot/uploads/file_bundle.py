"""Sorts the files of a zip or a folder into pictures, captions and others."""

import struct
import zipfile
import zlib
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePath, PurePosixPath
from typing import IO, Protocol

from bot.uploads.caption_files import ABSENT
from bot.uploads.caption_table import CaptionTable, is_table, largest_table, read_table
from bot.uploads.captions import (
    ENDINGS,
    LARGEST,
    caption_names,
    folder_caption,
    is_regularization,
    normalize,
    read_caption,
)
from bot.uploads.image_check import LARGEST_FILE
from bot.uploads.picture_header import START, kind_of
from commands.syntax.numbers import pluralize
from engine.messages import EXAMPLES, InvalidRequest

PICTURES = (  # endings of pictures that can be read
    *(".png", ".jpg", ".jpeg", ".jfif", ".jpe", ".webp"),
    *(".heic", ".heif", ".avif"),
)
UNSUPPORTED_PICTURES = (".gif", ".bmp", ".tif", ".tiff", ".jxl", ".svg", ".psd")
ARCHIVES = (".zip", ".7z", ".rar", ".tar", ".gz", ".tgz")
NO_PICTURE = "It is not a PNG, JPEG or WebP."
NESTED = "It is a zip inside the zip. Unpack it first."
ALONE = "It is a text without a picture of the same name."
SECOND = "Its picture has another caption, which is used."
BROKEN = (  # all that reading a file from a folder or from a broken zip may raise
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
NAMED = 20  # captions without a picture that are listed by name


class OpenFile(Protocol):
    """Opens a file for reading. May raise any of BROKEN."""

    def __call__(self) -> IO[bytes]:
        """The file."""


@dataclass(frozen=True)
class File:
    """A file that is not yet read; `size` in bytes."""

    path: PurePosixPath
    size: int
    open: OpenFile

    @property
    def is_hidden(self) -> bool:
        """Whether it is hidden, such as what a Mac puts into every zip."""
        return any(part.startswith((".", "__MACOSX")) for part in self.path.parts)

    @property
    def ending(self) -> str:
        return self.path.suffix.lower()

    @property
    def is_picture(self) -> bool:
        """Whether its content is a picture that can be read, whatever its name is."""
        with self.open() as file:
            return bool(kind_of(file.read(START)))


@dataclass(frozen=True, kw_only=True)
class BundleEntry:
    """A picture, its caption, and what it counts for as an Example; `picture` is None where it is refused,
    and `reason` says why.

    Without a name, `reason` is about all of them.
    """

    name: str
    picture: File | None = None
    caption: str = ""
    repeats: int = 1
    concept: str = ""
    regularization: bool = False
    reason: str = ""


def is_picture_name(name: str) -> bool:
    """Whether this is the name of a picture of any kind."""
    return PurePath(name).suffix.lower() in (*PICTURES, *UNSUPPORTED_PICTURES)


def sort_files(files: Sequence[File], most: int) -> Generator[BundleEntry]:
    """Yield the pictures among these files, and what is refused or skipped.

    Raises InvalidRequest, before the first, when there is no picture, or more than `most`.
    """
    shown = [file for file in files if not file.is_hidden]
    captions = Captions([file for file in shown if _is_caption_file(file)], most)
    others = [file for file in shown if not _is_caption_file(file)]
    entries = []
    for file in others:
        if (entry := _classify(file)) is not None:
            entries.append(entry)
            if entry.picture is None:
                captions.drop_row(file.path)
    pictures = sum(entry.picture is not None for entry in entries)
    if not entries:
        raise InvalidRequest("It has no picture in it.")
    if pictures > most:
        raise InvalidRequest(too_many_text(pictures, most))
    captions.count_concepts(entry.picture.path for entry in entries if entry.picture is not None)
    for entry in entries:
        yield entry if entry.picture is None else _with_caption(entry.picture, captions)
    yield from _unused_entries(captions, len(others) - len(entries))


def too_many_text(pictures: int, most: int) -> str:
    """The sentence that refuses so many pictures, of which `most` are allowed."""
    elsewhere = " in a chat, and more in a terminal (python -m bot train)" if most < EXAMPLES[1] else ""
    return f"It has {pictures:,} pictures. At most {most:,} are allowed{elsewhere}."


class Captions:
    """The captions in a zip or a folder: text files beside pictures, tables, and names of folders."""

    def __init__(self, files: Sequence[File], pictures: int) -> None:
        """pictures: so many may come with them."""
        self._room = largest_table(pictures)  # bytes of all tables
        self.concepts = 0
        self._problems: list[tuple[str, str]] = []
        self._rows: dict[str, tuple[str, str]] = {}  # names and captions of all tables, by normalized path
        for file in files:
            if is_table(file.path):
                self._add_table(file)
        texts = [file for file in files if not is_table(file.path)]
        self._unused = dict.fromkeys(texts, ALONE)
        self._named: dict[str, list[File]] = {}
        for file in texts:
            self._named.setdefault(normalize(file.path), []).append(file)

    def count_concepts(self, pictures: Iterable[PurePosixPath]) -> None:
        """Note how many concepts these pictures have, each in a folder of its own, such as "5_sks dog"."""
        trained = (picture for picture in pictures if not is_regularization(picture))
        self.concepts = len({folder_caption(picture)[0] for picture in trained} - {""})

    def read(self, picture: PurePosixPath) -> tuple[str, int]:
        """The picture's caption and how often it counts: its own text's, its row's, or its folder's.

        Raises InvalidRequest with one sentence where its text cannot be read.
        """
        beside, (_, row) = self._take(picture), self._rows.pop(normalize(picture), ("", ""))
        of_folder, repeats = folder_caption(picture)
        return ("" if beside is None else _caption(beside)) or row or of_folder, repeats

    def drop_row(self, picture: PurePosixPath) -> None:
        """Forget the row of a picture that is refused, for its own reason."""
        self._rows.pop(normalize(picture), None)

    @property
    def unused(self) -> list[tuple[str, str]]:
        """Names of captions that no picture uses, and of tables that cannot be read, each with the reason."""
        texts = [(file.path.name, reason) for file, reason in self._unused.items()]
        return [*self._problems, *texts, *((name, ABSENT) for name, _ in self._rows.values())]

    def _add_table(self, file: File) -> None:
        try:
            with file.open() as opened:
                content = opened.read(self._room + 1)
            table = read_table(file.path.name, content, self._room)
            self._room -= len(content)
        except InvalidRequest as refusal:
            table = CaptionTable(captions={}, problems=(str(refusal),))
        except BROKEN:
            table = CaptionTable(captions={}, problems=("It cannot be unpacked.",))
        self._problems += [(file.path.name, problem) for problem in table.problems]
        for name, caption in table.captions.items():
            path = file.path.parent / name.replace("\\", "/")
            self._rows.setdefault(normalize(path), (name, caption))

    def _take(self, picture: PurePosixPath) -> File | None:
        """Take the text beside it. Where names differ by case alone, the one in the picture's own case."""
        beside = [file for name in caption_names(picture) for file in self._near(name)]
        for file in beside[1:]:
            if file in self._unused:
                self._unused[file] = SECOND
        if not beside:
            return None
        self._unused.pop(beside[0], None)
        return beside[0]

    def _near(self, name: PurePosixPath) -> list[File]:
        return sorted(self._named.get(normalize(name), ()), key=lambda file: file.path.stem != name.stem)


def _is_caption_file(file: File) -> bool:
    return file.ending in ENDINGS or is_table(file.path)


def _classify(file: File) -> BundleEntry | None:
    """The entry of a file that is a picture or looks like one; None for any other."""
    name = file.path.name
    meant = is_picture_name(name)
    try:
        if file.is_picture:
            return BundleEntry(name=name, picture=file)
    except BROKEN:
        return BundleEntry(name=name, reason="It cannot be unpacked.") if meant else None
    if file.ending in ARCHIVES:
        return BundleEntry(name=name, reason=NESTED)
    return BundleEntry(name=name, reason=NO_PICTURE) if meant else None


def _with_caption(file: File, captions: Captions) -> BundleEntry:
    name = file.path.name
    try:
        caption, repeats = captions.read(file.path)
        if file.size > LARGEST_FILE:
            raise InvalidRequest(f"It is larger than {LARGEST_FILE // 2**20} MB.")
        regularization = is_regularization(file.path)
        several = captions.concepts > 1 and not regularization
        return BundleEntry(
            name=name,
            picture=file,
            caption=caption,
            repeats=repeats,
            concept=folder_caption(file.path)[0] if several else "",
            regularization=regularization,
        )
    except InvalidRequest as refusal:
        return BundleEntry(name=name, reason=str(refusal))


def _caption(file: File) -> str:
    try:
        with file.open() as opened:
            return read_caption(opened.read(LARGEST + 1))
    except InvalidRequest:
        raise
    except BROKEN as error:
        raise InvalidRequest("Its caption cannot be unpacked.") from error


def _unused_entries(captions: Captions, others: int) -> Generator[BundleEntry]:
    """The unused captions by name, and how many other files were skipped."""
    unused = captions.unused
    for name, reason in unused[:NAMED]:
        yield BundleEntry(name=name, reason=reason)
    if len(unused) > NAMED:
        yield BundleEntry(
            name="", reason=f"{pluralize(len(unused) - NAMED, 'other caption')} had no picture."
        )
    if others:
        were = "was" if others == 1 else "were"
        yield BundleEntry(name="", reason=f"{pluralize(others, 'other file')} {were} skipped.")
