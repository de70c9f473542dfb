"""Pictures that come many at once, in a zip or a folder, each with a caption beside it: a.png and a.txt."""

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

from bot.uploads.file_bundle import BROKEN, File, Found, is_picture_name, sorted_out
from bot.uploads.image_check import Upload, Uploads
from commands.syntax.form_files import printable_name
from commands.syntax.parser import shorten
from engine.messages import INCOMING, InvalidRequest

LARGEST_ZIP = 100 * 2**20  # bytes
LARGEST_CONTENT = 256 * 2**20  # bytes of all its pictures, unpacked
MOST_FILES = 200
MOST_IN_FOLDER = 10_000  # files, in all its folders: somebody named the wrong one
MOST_TIMES = 100  # what a picture may unpack to, in its packed size: none comes near
SMALL = 2**20  # bytes that any picture may unpack to
ZIP = (b"PK\x03\x04", b"PK\x05\x06")  # what zips begin with: a file, or nothing at all
ENTRY = re.compile(re.escape(b"PK\x01\x02"))  # what each line of a zip's list of files begins with
CHANCE = 16  # times that these four bytes may stand in the pictures themselves
PLAIN = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # other ways need up to gigabytes to unpack
LOCKED = 0x1  # the flag of a file with a password
TOO_MANY = f"The zip has more than {MOST_FILES} files in it. Send fewer pictures at once."
TOO_MUCH = f"The zip unpacks to far too much. At most {LARGEST_CONTENT // 2**20} MB are allowed."


@dataclass(frozen=True, kw_only=True)
class Taken:
    """A picture made anew, with its caption; `upload` is None where it is refused, and `reason` says why.

    The picture's file is there until the next is asked for. Without a name it is a word on all of them.
    """

    name: str
    upload: Upload | None = None
    caption: str = ""
    reason: str = ""


async def taken(uploads: Uploads, name: str, path: Path) -> AsyncIterator[Taken]:
    """What is in this file, a picture or a zip of them, one picture at a time, each in a file beside it.

    Raises InvalidRequest with one sentence when nothing of it can be taken; OSError.
    """
    if not await asyncio.to_thread(_is_zip, path):
        with _aside(path.parent) as made:
            yield Taken(name=printable_name(name), upload=await uploads.check(path, made))
        return
    async for one in _each(uploads, unpacked(path), path.parent):
        yield one


async def taken_from(uploads: Uploads, folder: Path, beside: Path) -> AsyncIterator[Taken]:
    """The same for the pictures in a folder and its folders; `beside` is where they may lie meanwhile."""
    async for one in _each(uploads, in_folder(folder), beside):
        yield one


async def _each(uploads: Uploads, found: Iterator[Found], folder: Path) -> AsyncIterator[Taken]:
    with _aside(folder) as came, _aside(folder) as made:
        while (one := await asyncio.to_thread(next, found, None)) is not None:
            try:
                if one.picture is None:
                    raise InvalidRequest(one.reason)
                await asyncio.to_thread(_copy, one.picture, came)
                upload = await uploads.check(came, made)
            except InvalidRequest as refusal:
                yield Taken(name=printable_name(one.name), reason=str(refusal))
            else:
                yield Taken(name=printable_name(one.name), upload=upload, caption=one.caption)


def unpacked(path: Path) -> Iterator[Found]:
    """The pictures of a zip with their captions; nothing is unpacked but what is asked for.

    Raises InvalidRequest with one sentence, before the first of them, when the whole zip is refused.
    """
    try:
        if _entries(path) > MOST_FILES + CHANCE:  # before the list is read, which would fill the memory
            raise InvalidRequest(TOO_MANY)
        with zipfile.ZipFile(path) as archive:
            yield from sorted_out(_zipped(archive))
    except InvalidRequest:
        raise
    except BROKEN as error:
        raise InvalidRequest("This is not a zip that can be read. Pack the pictures again.") from error


def in_folder(folder: Path) -> Iterator[Found]:
    """The pictures that lie in a folder and its folders, by name, with their captions.

    Raises InvalidRequest and OSError.
    """
    if not folder.is_dir():
        raise InvalidRequest(f"There is no folder {folder}.")
    paths = sorted(islice(_lying(folder), MOST_IN_FOLDER + 1))
    if len(paths) > MOST_IN_FOLDER:
        raise InvalidRequest(f"{folder} has more than {MOST_IN_FOLDER:,} files in it. Name a smaller one.")
    yield from sorted_out(
        [
            File(PurePosixPath(path.relative_to(folder)), path.stat().st_size, partial(path.open, "rb"))
            for path in paths
        ]
    )


def _is_zip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(ZIP[0])).startswith(ZIP)


def _entries(path: Path) -> int:
    """How many files a zip seems to list; far too many are not counted to their end."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return sum(1 for _ in islice(ENTRY.finditer(content), MOST_FILES + CHANCE + 1))


def _lying(folder: Path) -> Iterator[Path]:
    """All files in there, but not in folders that are hidden, or linked to."""
    for here, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (path for name in files if (path := Path(here, name)).is_file())


def _zipped(archive: zipfile.ZipFile) -> list[File]:
    """The files of a zip. Python unpacks no more of each than the zip's list says, so its sizes can be used.

    Raises InvalidRequest when any of them makes the zip one that nobody packs by accident.
    """
    entries = [entry for entry in archive.infolist() if not entry.is_dir()]
    if len(entries) > MOST_FILES:
        raise InvalidRequest(TOO_MANY)
    pictures = [entry for entry in entries if is_picture_name(entry.filename)]
    for entry in entries:
        _allow(entry)
    for entry in pictures:
        _allow_picture(entry)
    if sum(entry.file_size for entry in pictures) > LARGEST_CONTENT:
        raise InvalidRequest(TOO_MUCH)
    return [
        File(_path(entry), entry.file_size, partial(archive.open, entry))
        for entry in entries
        if entry.compress_type in PLAIN
    ]


def _allow(entry: zipfile.ZipInfo) -> None:
    path = _path(entry)
    if path.is_absolute() or ".." in path.parts or re.match("[A-Za-z]:", entry.filename):
        raise InvalidRequest(f"The zip has a file named {shorten(entry.filename)!r}, which leads out of it.")
    if entry.flag_bits & LOCKED:
        raise InvalidRequest("The zip has a password. Pack the pictures without one.")


def _allow_picture(entry: zipfile.ZipInfo) -> None:
    if entry.compress_type not in PLAIN:
        raise InvalidRequest("The zip is packed in an unusual way. Pack the pictures as a plain zip.")
    if entry.file_size > max(SMALL, MOST_TIMES * entry.compress_size):
        raise InvalidRequest(TOO_MUCH)


def _path(entry: zipfile.ZipInfo) -> PurePosixPath:
    return PurePosixPath(entry.filename.replace("\\", "/"))


def _copy(file: File, target: Path) -> None:
    """Raise InvalidRequest when it cannot be read."""
    try:
        with file.open() as source, target.open("wb") as copy:
            shutil.copyfileobj(source, copy)
    except BROKEN as error:
        raise InvalidRequest("It cannot be unpacked.") from error


@contextmanager
def _aside(folder: Path) -> Iterator[Path]:
    """A place for a file that is needed for a moment."""
    with tempfile.NamedTemporaryFile(prefix=INCOMING, dir=folder) as file:
        yield Path(file.name)
