"""Files by content: each lies in one place under its SHA-256, whole or not at all."""

import asyncio
import hashlib
import os
import secrets
import shutil
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from io import BufferedRandom, BufferedReader
from pathlib import Path, PurePosixPath
from typing import Any

from fsspec.core import url_to_fs

from engine.messages import Sha256, stored_at

INCOMING = "incoming-"  # what the names of files that are not yet whole begin with
ABANDONED = 3600.0  # seconds after which nobody is still writing one


@dataclass(frozen=True)
class Files:
    """A folder of files named by their hash, which the engine reads too; or an object store, by its URL."""

    place: Path | str

    @property
    def folder(self) -> Path:
        """Where the files lie, if that is on this machine. Raises ValueError when it is not."""
        folder = _folder(self.place)
        if folder is None:
            raise ValueError(f"{self.place} is not a folder")
        return folder

    async def put(self, content: bytes | Path) -> Sha256:
        """Keep these bytes, or a copy of that file, and tell their hash. What is there already is not copied.

        Raises OSError when it cannot be read or kept.
        """
        store = self._store
        if isinstance(content, Path):
            return await asyncio.to_thread(store.put_file, content)
        return await asyncio.to_thread(store.put_bytes, content)

    async def get(self, sha256: Sha256) -> bytes:
        """The content of this file. Raises OSError when it is not there or cannot be read."""
        return await asyncio.to_thread(self._store.get, sha256)

    async def remove(self, sha256: Sha256) -> None:
        """Keep this file no longer; one that is gone already is no error. Raises OSError."""
        await asyncio.to_thread(self._store.remove, sha256)

    async def tidy(self) -> None:
        """Remove what was being put when a program was killed. Raises OSError."""
        await asyncio.to_thread(self._store.tidy, time.time() - ABANDONED)

    def path(self, sha256: Sha256) -> Path | None:
        """Where this file lies on this machine, if it does, whether or not it is there."""
        folder = _folder(self.place)
        return None if folder is None else stored_at(folder, sha256)

    @property
    def _store(self) -> "_Folder | _Objects":
        folder = _folder(self.place)
        return _Objects(str(self.place)) if folder is None else _Folder(folder)


def _folder(place: Path | str) -> Path | None:
    if isinstance(place, Path):
        return place
    return None if "://" in place else Path(place)


@dataclass(frozen=True)
class _Folder:
    """On this machine: what was put is on the disk, also after a power cut."""

    folder: Path

    def put_bytes(self, content: bytes) -> Sha256:
        sha256 = Sha256(hashlib.sha256(content).hexdigest())
        place = stored_at(self.folder, sha256)
        if not place.exists():
            with _Aside(self.folder) as aside:
                aside.file.write(content)
                aside.keep(place)
        return sha256

    def put_file(self, source: Path) -> Sha256:
        with source.open("rb") as reading:
            sha256 = _hash(reading)
            if stored_at(self.folder, sha256).exists():
                return sha256
            with _Aside(self.folder) as aside:
                reading.seek(0)
                shutil.copyfileobj(reading, aside.file)
                aside.file.seek(0)
                # Hashed again: the source may have been written to in between.
                sha256 = _hash(aside.file)
                aside.keep(stored_at(self.folder, sha256))
        return sha256

    def get(self, sha256: Sha256) -> bytes:
        return stored_at(self.folder, sha256).read_bytes()

    def remove(self, sha256: Sha256) -> None:
        stored_at(self.folder, sha256).unlink(missing_ok=True)

    def tidy(self, before: float) -> None:
        for aside in self.folder.glob(f"{INCOMING}*"):
            if aside.stat().st_mtime < before:
                aside.unlink(missing_ok=True)


@dataclass(frozen=True)
class _Objects:
    """Anywhere that fsspec reaches."""

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
        return system, str(stored_at(Path(root), sha256))


class _Aside:
    """A temporary file on the store's own disk, which is renamed into place or removed."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        number, name = tempfile.mkstemp(prefix=INCOMING, dir=folder)
        self.file: BufferedRandom = os.fdopen(number, "w+b")
        self._path = Path(name)

    def __enter__(self) -> "_Aside":
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):  # a full disk has already been told by write or flush
            self.file.close()
        self._path.unlink(missing_ok=True)

    def keep(self, place: Path) -> None:
        """Rename the file into its place once the disk has it: after a power cut it is whole or absent."""
        self.file.flush()
        os.fsync(self.file.fileno())
        place.parent.mkdir(exist_ok=True)
        self._path.replace(place)
        _sync_folder(place.parent)
        _sync_folder(place.parent.parent)


def _hash(file: BufferedReader | BufferedRandom) -> Sha256:
    return Sha256(hashlib.file_digest(file, "sha256").hexdigest())


def _sync_folder(folder: Path) -> None:
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
