"""Reads pictures and their captions from a zip or a folder."""

import asyncio
import mmap
import os
import re
import shutil
import tempfile
import zipfile
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path, PurePosixPath

from bot.uploads.file_bundle import BROKEN, BundleEntry, File, is_picture_name, sort_files
from bot.uploads.image_check import ReencodedImage, ReencoderPool
from bot.uploads.parquet import parquet_files, read_parquet
from commands.syntax.form_files import printable_name
from commands.syntax.parser import shorten
from engine.messages import CHAT_EXAMPLES, EXAMPLES, INCOMING, InvalidRequest

LARGEST_ZIP = 2 * 2**30  # bytes, through a chat
MOST_TIMES = 100  # a picture may unpack to so many times its packed size: none comes near
SMALL = 2**20  # bytes that any picture may unpack to
ZIP = (b"PK\x03\x04", b"PK\x05\x06")  # how zips start: with a file, or with nothing
ENTRY = re.compile(re.escape(b"PK\x01\x02"))  # how each entry of a zip's list of files starts
CHANCE = 16  # times that these four bytes may occur in the pictures themselves
PLAIN = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # other methods may need gigabytes to unpack
LOCKED = 0x1  # the flag of a file with a password
FILES_PER_PICTURE = 4  # at most: captions and masks


@dataclass(frozen=True, kw_only=True)
class BundleLimits:
    """How much a zip or a folder may have: pictures, and bytes of all pictures, unpacked."""

    pictures: int
    content: int

    @property
    def files(self) -> int:
        """Files of any kind: more mean that it is the wrong one."""
        return FILES_PER_PICTURE * self.pictures

    @property
    def too_many_text(self) -> str:
        return f"The zip has more than {self.files:,} files in it. Send fewer pictures at once."

    @property
    def too_much_text(self) -> str:
        return f"The zip unpacks to far too much. At most {self.content // 2**30} GB are allowed."


CHAT = BundleLimits(pictures=CHAT_EXAMPLES, content=4 * 2**30)
TERMINAL = BundleLimits(pictures=EXAMPLES[1], content=2**40)


@dataclass(frozen=True, kw_only=True)
class CheckedPicture:
    """A re-encoded picture with its caption, and what it counts for as an Example.

    `image` is None where it is refused, and `reason` says why.

    The image's file is there until the next one is asked for. Without a name, `reason` is about all of them.
    """

    name: str
    image: ReencodedImage | None = None
    caption: str = ""
    repeats: int = 1
    concept: str = ""
    regularization: bool = False
    reason: str = ""


async def check_file(pool: ReencoderPool, name: str, path: Path) -> AsyncIterator[CheckedPicture]:
    """Check a picture or a zip of pictures; yields one picture at a time, each in a file beside it.

    Raises InvalidRequest with one sentence when nothing of it can be taken; OSError.
    """
    if not await asyncio.to_thread(_is_zip, path):
        with _temporary_file(path.parent) as made:
            image = await pool.reencode(path, made)
            yield CheckedPicture(name=printable_name(name), image=image, caption=image.caption)
        return
    async for picture in _check_all(pool, read_zip(path, CHAT), path.parent):
        yield picture


async def check_folder(pool: ReencoderPool, folder: Path, beside: Path) -> AsyncIterator[CheckedPicture]:
    """Check the pictures in a folder and its subfolders, in a zip or in Parquet files; they are re-encoded
    into `beside`.
    """
    if files := await asyncio.to_thread(parquet_files, folder):
        entries = read_parquet(files, TERMINAL.pictures)
    elif await asyncio.to_thread(lambda: folder.is_file() and _is_zip(folder)):
        entries = read_zip(folder, TERMINAL)
    else:
        entries = read_folder(folder)
    async for picture in _check_all(pool, entries, beside):
        yield picture


async def _check_all(
    pool: ReencoderPool, entries: Iterator[BundleEntry], folder: Path
) -> AsyncIterator[CheckedPicture]:
    with _temporary_file(folder) as came, _temporary_file(folder) as made:
        while (entry := await asyncio.to_thread(next, entries, None)) is not None:
            try:
                if entry.picture is None:
                    raise InvalidRequest(entry.reason)
                await asyncio.to_thread(_copy, entry.picture, came)
                image = await pool.reencode(came, made)
            except InvalidRequest as refusal:
                yield CheckedPicture(name=printable_name(entry.name), reason=str(refusal))
            else:
                yield CheckedPicture(
                    name=printable_name(entry.name),
                    image=image,
                    caption=entry.caption or image.caption,
                    repeats=entry.repeats,
                    concept=entry.concept,
                    regularization=entry.regularization,
                )


def read_zip(path: Path, limits: BundleLimits) -> Iterator[BundleEntry]:
    """The pictures of a zip with their captions, unpacked only when they are asked for.

    Raises InvalidRequest with one sentence, before the first of them, when the whole zip is refused.
    """
    try:
        # Before the list is read, which could fill the memory.
        if _count_entries(path, limits.files + CHANCE + 1) > limits.files + CHANCE:
            raise InvalidRequest(limits.too_many_text)
        with zipfile.ZipFile(path) as archive:
            yield from sort_files(_zip_files(archive, limits), limits.pictures)
    except InvalidRequest:
        raise
    except BROKEN as error:
        raise InvalidRequest("This is not a zip that can be read. Pack the pictures again.") from error


def read_folder(folder: Path) -> Iterator[BundleEntry]:
    """The pictures in a folder and its subfolders, by name, with their captions.

    Raises InvalidRequest and OSError.
    """
    if not folder.is_dir():
        raise InvalidRequest(f"There is no folder {folder}.")
    paths = sorted(islice(_list_files(folder), TERMINAL.files + 1))
    if len(paths) > TERMINAL.files:
        raise InvalidRequest(f"{folder} has more than {TERMINAL.files:,} files in it. Name a smaller one.")
    yield from sort_files(
        [
            File(PurePosixPath(path.relative_to(folder)), path.stat().st_size, partial(path.open, "rb"))
            for path in paths
        ],
        TERMINAL.pictures,
    )


def _is_zip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(ZIP[0])).startswith(ZIP)


def _count_entries(path: Path, enough: int) -> int:
    """About how many files a zip lists; counting stops at `enough`."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return sum(1 for _ in islice(ENTRY.finditer(content), enough))


def _list_files(folder: Path) -> Iterator[Path]:
    """All files in a folder and its subfolders, but those that are hidden or linked to."""
    for here, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (path for name in files if (path := Path(here, name)).is_file())


def _zip_files(archive: zipfile.ZipFile, limits: BundleLimits) -> list[File]:
    """The files of a zip. Python unpacks no more of each than the zip's list says, so its sizes hold.

    Raises InvalidRequest when the zip is one that nobody packs by accident.
    """
    entries = [entry for entry in archive.infolist() if not entry.is_dir()]
    if len(entries) > limits.files:
        raise InvalidRequest(limits.too_many_text)
    pictures = [entry for entry in entries if is_picture_name(entry.filename)]
    for entry in entries:
        _check_entry(entry)
    for entry in pictures:
        _check_picture(entry, limits)
    if sum(entry.file_size for entry in pictures) > limits.content:
        raise InvalidRequest(limits.too_much_text)
    return [
        File(_path(entry), entry.file_size, partial(archive.open, entry))
        for entry in entries
        if entry.compress_type in PLAIN
    ]


def _check_entry(entry: zipfile.ZipInfo) -> None:
    path = _path(entry)
    if path.is_absolute() or ".." in path.parts or re.match("[A-Za-z]:", entry.filename):
        raise InvalidRequest(f"The zip has a file named {shorten(entry.filename)!r}, which leads out of it.")
    if entry.flag_bits & LOCKED:
        raise InvalidRequest("The zip has a password. Pack the pictures without one.")


def _check_picture(entry: zipfile.ZipInfo, limits: BundleLimits) -> None:
    if entry.compress_type not in PLAIN:
        raise InvalidRequest("The zip is packed in an unusual way. Pack the pictures as a plain zip.")
    if entry.file_size > max(SMALL, MOST_TIMES * entry.compress_size):
        raise InvalidRequest(limits.too_much_text)


def _path(entry: zipfile.ZipInfo) -> PurePosixPath:
    return PurePosixPath(entry.filename.replace("\\", "/"))


def _copy(file: File, target: Path) -> None:
    """Copy the file's content. Raises InvalidRequest when it cannot be read."""
    try:
        with file.open() as source, target.open("wb") as copy:
            shutil.copyfileobj(source, copy)
    except BROKEN as error:
        raise InvalidRequest("It cannot be unpacked.") from error


@contextmanager
def _temporary_file(folder: Path) -> Iterator[Path]:
    """A temporary file in this folder."""
    with tempfile.NamedTemporaryFile(prefix=INCOMING, dir=folder) as file:
        yield Path(file.name)
