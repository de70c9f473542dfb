"""Pictures that come many at once, in a zip or a folder, each with a caption beside it: a.png and a.txt."""

import asyncio
import io
import re
import zipfile
import zlib
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

from bot.uploads import LARGEST_FILE, Upload, Uploads
from commands.parse import short
from engine.messages import CAPTION_CHARACTERS, EXAMPLES, InvalidRequest, readable

LARGEST_ZIP = 100 * 2**20  # bytes
LARGEST_CONTENT = 256 * 2**20  # bytes of all its files, unpacked
MOST_FILES = 200
MOST_TIMES = 100  # what a file may unpack to, in its packed size: pictures and captions never come near
SMALL = 2**20  # bytes that any file may unpack to
ZIP = (b"PK\x03\x04", b"PK\x05\x06")  # what zips begin with: a file, or nothing at all
ENTRY = b"PK\x01\x02"  # what each line of a zip's list of files begins with
CHANCE = 16  # times that these four bytes may stand in the pictures themselves
PLAIN = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # other ways need up to gigabytes to unpack
BROKEN = (zipfile.BadZipFile, zlib.error, OSError, EOFError, ValueError, NotImplementedError)
PICTURES = (".png", ".jpg", ".jpeg", ".webp")
CAPTION = ".txt"
LONGEST_NAME = 80  # characters
LOCKED = 0x1  # the flag of a file with a password
LARGEST_CAPTION = 4 * CAPTION_CHARACTERS + 3  # bytes: of UTF-8, with its mark
ARCHIVES = (".zip", ".7z", ".rar", ".tar", ".gz", ".tgz")
NO_PICTURE = "it is no PNG, JPEG or WEBP."
NESTED = "it is packed once more: unpack it first."
TOO_MANY = f"the zip has more than {MOST_FILES} files in it: send fewer pictures at once."
TOO_MUCH = f"the zip unpacks to far too much: at most {LARGEST_CONTENT // 2**20} MB are taken."


@dataclass(frozen=True, kw_only=True)
class Packed:
    """A file as it came; `picture` is None where it is refused, and `reason` then says why."""

    name: str
    picture: bytes | None = None
    caption: str = ""
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Taken:
    """A picture made anew, with its caption; `upload` is None where it is refused, and `reason` says why."""

    name: str
    upload: Upload | None = None
    caption: str = ""
    reason: str = ""


async def taken(uploads: Uploads, name: str, content: bytes) -> AsyncIterator[Taken]:
    """What is in this file, a picture or a zip of them, one picture at a time.

    Raises InvalidRequest with one sentence when nothing of it can be taken.
    """
    if not content.startswith(ZIP):
        yield Taken(name=plain_name(name), upload=await uploads.check(content))
        return
    files = unpacked(content)
    while (packed := await asyncio.to_thread(next, files, None)) is not None:
        yield await _made(uploads, packed)


async def _made(uploads: Uploads, packed: Packed) -> Taken:
    if packed.picture is None:
        return Taken(name=packed.name, reason=packed.reason)
    try:
        upload = await uploads.check(packed.picture)
    except InvalidRequest as refusal:
        return Taken(name=packed.name, reason=str(refusal))
    return Taken(name=packed.name, upload=upload, caption=packed.caption)


def unpacked(content: bytes) -> Iterator[Packed]:
    """The pictures of a zip with their captions, read one by one; nothing is written anywhere.

    Raises InvalidRequest with one sentence, before the first of them, when the whole zip is refused.
    """
    if len(content) > LARGEST_ZIP:
        raise InvalidRequest(
            f"the zip is larger than {LARGEST_ZIP // 2**20} MB: send fewer pictures at once."
        )
    if content.count(ENTRY) > MOST_FILES + CHANCE:  # before the list is read, which would fill the memory
        raise InvalidRequest(TOO_MANY)
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            yield from _packed(_zipped(archive))
    except InvalidRequest:
        raise
    except BROKEN as error:
        raise InvalidRequest("this is no zip that can be read: pack the pictures again.") from error


def in_folder(folder: Path) -> Iterator[Packed]:
    """The pictures that lie in a folder, by name, with their captions. Raises InvalidRequest and OSError."""
    if not folder.is_dir():
        raise InvalidRequest(f"there is no folder {folder}.")
    paths = sorted(path for path in folder.iterdir() if path.is_file())
    files = [_File(PurePosixPath(path.name), path.stat().st_size, path.read_bytes) for path in paths]
    yield from _packed(files)


def plain_name(name: str) -> str:
    """A file's name without its folders, and without what could not be shown."""
    last = re.split(r"[/\\]", name)[-1]
    return "".join(letter for letter in last if letter.isprintable())[:LONGEST_NAME]


@dataclass(frozen=True)
class _File:
    """A file that is not yet read; `size` in bytes."""

    path: PurePosixPath
    size: int
    read: Callable[[], bytes]

    @property
    def is_hidden(self) -> bool:
        """Such as what a Mac puts into every zip."""
        return any(part.startswith((".", "__MACOSX")) for part in self.path.parts)

    @property
    def kind(self) -> str:
        return self.path.suffix.lower()


def _zipped(archive: zipfile.ZipFile) -> list[_File]:
    """The files of a zip. Python unpacks no more of each than the zip's list says, so its sizes can be used.

    Raises InvalidRequest when any of them makes the zip one that nobody packs by accident.
    """
    entries = archive.infolist()
    if len(entries) > MOST_FILES:
        raise InvalidRequest(TOO_MANY)
    for entry in entries:
        _allow(entry)
    if sum(entry.file_size for entry in entries) > LARGEST_CONTENT:
        raise InvalidRequest(TOO_MUCH)
    return [
        _File(_path(entry), entry.file_size, partial(archive.read, entry))
        for entry in entries
        if not entry.is_dir()
    ]


def _allow(entry: zipfile.ZipInfo) -> None:
    path = _path(entry)
    if path.is_absolute() or ".." in path.parts or re.match("[A-Za-z]:", entry.filename):
        raise InvalidRequest(f"the zip has a file named {short(entry.filename)!r}, which leads out of it.")
    if entry.flag_bits & LOCKED:
        raise InvalidRequest("the zip has a password: pack the pictures without one.")
    if entry.compress_type not in PLAIN:
        raise InvalidRequest("the zip is packed in an unusual way: pack the pictures as a plain zip.")
    if entry.file_size > max(SMALL, MOST_TIMES * entry.compress_size):
        raise InvalidRequest(TOO_MUCH)


def _path(entry: zipfile.ZipInfo) -> PurePosixPath:
    return PurePosixPath(entry.filename.replace("\\", "/"))


def _packed(files: Sequence[_File]) -> Iterator[Packed]:
    shown = [file for file in files if not file.is_hidden]
    captions = {file.path.with_suffix(""): file for file in shown if file.kind == CAPTION}
    others = [file for file in shown if file.kind != CAPTION]
    if not others:
        raise InvalidRequest("it has no picture in it.")
    if len(others) > EXAMPLES[1]:
        raise InvalidRequest(f"it has {len(others)} files, but at most {EXAMPLES[1]} pictures are taken.")
    for file in others:
        yield _read(file, captions.get(file.path.with_suffix("")))


def _read(file: _File, beside: _File | None) -> Packed:
    name = plain_name(file.path.name)
    try:
        if file.kind not in PICTURES:
            raise InvalidRequest(NESTED if file.kind in ARCHIVES else NO_PICTURE)
        if file.size > LARGEST_FILE:
            raise InvalidRequest(f"it is larger than {LARGEST_FILE // 2**20} MB.")
        return Packed(name=name, picture=file.read(), caption=_caption(beside) if beside is not None else "")
    except InvalidRequest as refusal:
        return Packed(name=name, reason=str(refusal))
    except BROKEN:
        return Packed(name=name, reason="it cannot be unpacked.")


def _caption(file: _File) -> str:
    """What stands in a caption's file. Raises InvalidRequest."""
    if file.size > LARGEST_CAPTION:
        raise InvalidRequest(f"its caption has more than {CAPTION_CHARACTERS:,} characters.")
    try:
        text = file.read().decode("utf-8-sig").strip()
    except UnicodeDecodeError as error:
        raise InvalidRequest("its caption is no text in UTF-8.") from error
    if len(text) > CAPTION_CHARACTERS:
        raise InvalidRequest(
            f"its caption has {len(text):,} characters, but at most {CAPTION_CHARACTERS:,} are allowed."
        )
    readable("its caption", text)
    return text
