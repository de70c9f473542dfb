"""Files by content: each lies in one folder under its SHA-256, whole or not at all."""

import asyncio
import hashlib
import os
import shutil
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from io import BufferedRandom, BufferedReader
from pathlib import Path

from engine.messages import Sha256, stored_at


@dataclass(frozen=True)
class Files:
    """A folder of files named by their hash, which the engine reads too."""

    folder: Path

    async def put(self, content: bytes | Path) -> Sha256:
        """Keep these bytes, or a copy of that file, and tell their hash. What is there already is not copied.

        Raises OSError when it cannot be read or kept.
        """
        if isinstance(content, Path):
            return await asyncio.to_thread(self._put_file, content)
        return await asyncio.to_thread(self._put_bytes, content)

    def _put_bytes(self, content: bytes) -> Sha256:
        sha256 = Sha256(hashlib.sha256(content).hexdigest())
        place = stored_at(self.folder, sha256)
        if not place.exists():
            with _Aside(self.folder) as aside:
                aside.file.write(content)
                aside.keep(place)
        return sha256

    def _put_file(self, source: Path) -> Sha256:
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


class _Aside:
    """A temporary file on the store's own disk, which is renamed into place or removed."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        number, name = tempfile.mkstemp(prefix="incoming-", dir=folder)
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
