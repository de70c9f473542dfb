"""The store on this machine: files by content hash, whole or not at all, filled by both processes."""

import hashlib
import os
import shutil
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from io import BufferedRandom, BufferedReader
from pathlib import Path
from typing import NewType

Sha256 = NewType("Sha256", str)

HEADER_BYTES = 16 * 2**20  # of a safetensors file: what trainers write of tags has filled two of them
PRIVATE = 0o700  # of folders: what people sent and what is painted for them is read by this user alone
INCOMING = "incoming-"  # what the names of files that are not yet whole begin with


def stored_at(folder: Path, sha256: Sha256) -> Path:
    """Where a file lies in the store: two characters of its hash, then the hash."""
    return folder / sha256[:2] / sha256


def numbers_hash(file: Path) -> str:
    """The SHA-256 of a safetensors file without its header, as A1111 and Civitai have it. Raises OSError."""
    with file.open("rb") as content:
        start = 8 + int.from_bytes(content.read(8), "little")
        content.seek(min(start, file.stat().st_size))
        return hashlib.file_digest(content, "sha256").hexdigest()


@dataclass(frozen=True)
class Folder:
    """What was put is on the disk, also after a power cut. Everything raises OSError."""

    folder: Path

    def put_bytes(self, content: bytes) -> Sha256:
        """Keep these bytes and tell their hash; what is there already is not written again."""
        sha256 = Sha256(hashlib.sha256(content).hexdigest())
        place = stored_at(self.folder, sha256)
        if not place.exists():
            with _Aside(self.folder) as aside:
                aside.file.write(content)
                aside.keep(place)
        return sha256

    def put_file(self, source: Path) -> Sha256:
        """Keep a copy of this file and tell its hash."""
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
        """The content of this file."""
        return stored_at(self.folder, sha256).read_bytes()

    def open(self, sha256: Sha256) -> BufferedReader:
        """The same, to be read bit by bit."""
        return stored_at(self.folder, sha256).open("rb")

    def remove(self, sha256: Sha256) -> None:
        """Keep this file no longer; one that is gone already is no error."""
        stored_at(self.folder, sha256).unlink(missing_ok=True)

    def tidy(self, before: float) -> None:
        """Remove what was being put before this moment (seconds since 1970) and never finished."""
        for aside in self.folder.glob(f"{INCOMING}*"):
            with suppress(FileNotFoundError):  # it was finished just now
                if aside.stat().st_mtime >= before:
                    continue
                if aside.is_dir():
                    shutil.rmtree(aside)
                else:
                    aside.unlink()


class _Aside:
    """A temporary file on the store's own disk, which is renamed into place or removed."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
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
        place.parent.mkdir(mode=PRIVATE, exist_ok=True)
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
