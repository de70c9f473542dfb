"""The file store: each file lies under its SHA-256, in a folder or in an object store."""

import asyncio
import hashlib
import os
import re
import secrets
import time
from collections.abc import AsyncGenerator, Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePath, PurePosixPath
from typing import IO, Any, TypeVar

from fsspec.core import url_to_fs

from engine.messages import (
    INCOMING,
    PRIVATE,
    FileStore,
    Sha256,
    remove_shards,
    shards_folder,
    stored_path,
    sweep_shards,
)

HASH = re.compile(r"[0-9a-f]{64}", re.ASCII)
P = TypeVar("P", bound=PurePath)

PIECE = 128 * 2**10  # bytes of a file that are read at a time
ABANDONED = 3600.0  # seconds after which nobody is still writing one


@dataclass(frozen=True)
class Files:
    """A folder of files named by their hash, which the engine reads too; or an object store, by its URL."""

    place: Path | str

    @property
    def folder(self) -> Path:
        """The folder of the files. Raises ValueError when they are in an object store."""
        folder = _folder(self.place)
        if folder is None:
            raise ValueError(f"{self.place} is not a folder")
        return folder

    @property
    def home(self) -> Path | None:
        """The folder of the files; None when they are in an object store."""
        return _folder(self.place)

    async def put(self, content: bytes | Path) -> Sha256:
        """Store these bytes, or a copy of that file, and return their hash. What is there is not copied.

        Raises OSError when it cannot be read or kept.
        """
        store = self._store
        if isinstance(content, Path):
            return await asyncio.to_thread(store.put_file, content)
        return await asyncio.to_thread(store.put_bytes, content)

    async def get(self, sha256: Sha256) -> bytes:
        """The content of this file. Raises OSError when it is not there or cannot be read."""
        return await asyncio.to_thread(self._store.get, sha256)

    async def open(self, sha256: Sha256) -> "Content":
        """The file, to be read in pieces; whoever opens it closes it. Raises OSError."""
        return await asyncio.to_thread(self._open, sha256)

    def _open(self, sha256: Sha256) -> "Content":
        file = self._store.open(sha256)
        return Content(file=file, size=file.seek(0, os.SEEK_END))

    async def remove(self, sha256: Sha256) -> None:
        """Remove this file if it is there. Raises OSError."""
        await asyncio.to_thread(self._store.remove, sha256)

    async def list_older_than(self, before: float) -> list[Sha256]:
        """The files that were last put before this time (seconds since 1970). Raises OSError."""
        return await asyncio.to_thread(_old, self.place, before)

    async def total_size(self, hashes: Iterable[Sha256]) -> int:
        """The bytes of these files together; a missing one counts as none. Raises OSError."""
        return await asyncio.to_thread(_total_size, self.place, list(hashes))

    async def tidy(self, started: float | None = None) -> None:
        """Remove what was being put when a program was killed. Raises OSError.

        `started`: when this program was (seconds since 1970), where whatever is older is nobody's; without it
        what is an hour old is.
        """
        await asyncio.to_thread(self._store.tidy, time.time() - ABANDONED if started is None else started)

    async def remove_shards(self, pictures: Collection[Sha256]) -> None:
        """Remove what trainings made from these pictures. Raises OSError."""
        folder = _folder(self.place)
        if folder is not None:
            await asyncio.to_thread(remove_shards, shards_folder(folder), pictures)

    async def sweep_shards(self) -> None:
        """Remove what trainings made from pictures and did not use for long. Raises OSError."""
        folder = _folder(self.place)
        if folder is not None:
            await asyncio.to_thread(sweep_shards, shards_folder(folder))

    async def make_private(self) -> None:
        """Make the folder private, since earlier versions did not. Raises OSError."""
        folder = _folder(self.place)
        if folder is not None and await asyncio.to_thread(folder.is_dir):
            await asyncio.to_thread(folder.chmod, PRIVATE)

    def path(self, sha256: Sha256) -> Path | None:
        """The path of this file, whether or not it is there; None in an object store."""
        folder = _folder(self.place)
        return None if folder is None else stored_path(folder, sha256)

    @property
    def _store(self) -> "FileStore | _Objects":
        folder = _folder(self.place)
        return _Objects(str(self.place)) if folder is None else FileStore(folder)


@dataclass(frozen=True, kw_only=True)
class Content:
    """An open file and its size in bytes."""

    file: IO[bytes]
    size: int

    def __enter__(self) -> "Content":
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    async def pieces(self) -> AsyncGenerator[bytes]:
        """The whole content in pieces, from the start. Raises OSError."""
        await asyncio.to_thread(self.file.seek, 0)
        while piece := await asyncio.to_thread(self.file.read, PIECE):
            yield piece


def _folder(place: Path | str) -> Path | None:
    if isinstance(place, Path):
        return place
    return None if "://" in place else Path(place)


@dataclass(frozen=True)
class _Objects:
    """An object store that fsspec reaches."""

    url: str

    def put_bytes(self, content: bytes) -> Sha256:
        sha256 = Sha256(hashlib.sha256(content).hexdigest())
        system, place = self._at(sha256)
        if not system.exists(place):
            folder = PurePosixPath(place).parent
            aside = str(folder.parent / f"{INCOMING}{secrets.token_hex(4)}")
            system.makedirs(str(folder), exist_ok=True)
            system.pipe_file(aside, content)
            system.mv(aside, place)
        return sha256

    def put_file(self, source: Path) -> Sha256:
        return self.put_bytes(source.read_bytes())

    def get(self, sha256: Sha256) -> bytes:
        system, place = self._at(sha256)
        content: bytes = system.cat_file(place)
        return content

    def open(self, sha256: Sha256) -> IO[bytes]:
        system, place = self._at(sha256)
        file: IO[bytes] = system.open(place, "rb")
        return file

    def size(self, sha256: Sha256) -> int:
        system, place = self._at(sha256)
        size: int = system.size(place)
        return size

    def remove(self, sha256: Sha256) -> None:
        system, place = self._at(sha256)
        with suppress(FileNotFoundError):
            system.rm_file(place)

    def tidy(self, before: float) -> None:
        system, root = url_to_fs(self.url)
        for aside in system.glob(f"{root}/{INCOMING}*"):
            if system.modified(aside).timestamp() < before:
                system.rm_file(aside)

    def _at(self, sha256: Sha256) -> tuple[Any, str]:
        """The file system and the file's place in it, the same as in a folder."""
        system, root = url_to_fs(self.url)
        return system, str(stored_path(Path(root), sha256))


def _old(place: Path | str, before: float) -> list[Sha256]:
    folder = _folder(place)
    if folder is not None:
        return [
            Sha256(path.name) for path in _filter_hashes(folder.glob("??/*")) if path.stat().st_mtime < before
        ]
    system, root = url_to_fs(str(place))
    paths = {PurePosixPath(path): system.modified(path) for path in system.glob(f"{root}/??/*")}
    return [Sha256(path.name) for path in _filter_hashes(paths) if paths[path].timestamp() < before]


def _total_size(place: Path | str, hashes: Sequence[Sha256]) -> int:
    folder = _folder(place)
    store, weight = _Objects(str(place)), 0
    for sha256 in hashes:
        with suppress(FileNotFoundError):
            weight += store.size(sha256) if folder is None else stored_path(folder, sha256).stat().st_size
    return weight


def _filter_hashes(paths: Iterable[P]) -> Iterator[P]:
    """Those paths that are named by a hash."""
    return (path for path in paths if HASH.fullmatch(path.name))
