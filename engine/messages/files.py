"""A folder of files by content hash, which both processes write to: a file is there whole or not at all."""

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
PRIVATE = 0o700  # mode of folders: only this user reads what people send and what is painted for them
INCOMING = "incoming-"  # prefix of the names of files that are not whole yet


def stored_path(folder: Path, sha256: Sha256) -> Path:
    """The path of a file in the store: two characters of its hash, then the hash."""
    return folder / sha256[:2] / sha256


def weights_hash(file: Path) -> str:
    """The SHA-256 of a safetensors file without its header, as A1111 and Civitai have it. Raises OSError."""
    with file.open("rb") as content:
        start = 8 + int.from_bytes(content.read(8), "little")
        content.seek(min(start, file.stat().st_size))
        return hashlib.file_digest(content, "sha256").hexdigest()


@dataclass(frozen=True)
class FileStore:
    """A store in a folder. What was put is on the disk, also after a power cut. All methods raise OSError."""

    folder: Path

    def put_bytes(self, content: bytes) -> Sha256:
        """Store these bytes and return their hash. What is there already is not written again."""
        sha256 = Sha256(hashlib.sha256(content).hexdigest())
        path = stored_path(self.folder, sha256)
        if not path.exists():
            with _TemporaryFile(self.folder) as temporary:
                temporary.file.write(content)
                temporary.move_to(path)
        return sha256

    def put_file(self, source: Path) -> Sha256:
        """Store a copy of this file and return its hash."""
        with source.open("rb") as content:
            sha256 = _hash(content)
            if stored_path(self.folder, sha256).exists():
                return sha256
            with _TemporaryFile(self.folder) as temporary:
                content.seek(0)
                shutil.copyfileobj(content, temporary.file)
                temporary.file.seek(0)
                # Hashed again: the source may have been written to in between.
                sha256 = _hash(temporary.file)
                temporary.move_to(stored_path(self.folder, sha256))
        return sha256

    def get(self, sha256: Sha256) -> bytes:
        """The content of this file."""
        return stored_path(self.folder, sha256).read_bytes()

    def open(self, sha256: Sha256) -> BufferedReader:
        """The content of this file, as an open file."""
        return stored_path(self.folder, sha256).open("rb")

    def remove(self, sha256: Sha256) -> None:
        """Remove this file. One that is gone already is no error."""
        stored_path(self.folder, sha256).unlink(missing_ok=True)

    def tidy(self, before: float) -> None:
        """Remove temporary files last written before this moment (seconds since 1970)."""
        for path in self.folder.glob(f"{INCOMING}*"):
            with suppress(FileNotFoundError):  # it was finished just now
                if path.stat().st_mtime >= before:
                    continue
                if path.is_dir():
                    shutil.rmtree(path)
                else:
                    path.unlink()


class _TemporaryFile:
    """A temporary file on the store's own disk, which is renamed into place or removed."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
        number, name = tempfile.mkstemp(prefix=INCOMING, dir=folder)
        self.file: BufferedRandom = os.fdopen(number, "w+b")
        self._path = Path(name)

    def __enter__(self) -> "_TemporaryFile":
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):  # a full disk was reported by write or flush already
            self.file.close()
        self._path.unlink(missing_ok=True)

    def move_to(self, path: Path) -> None:
        """Rename the file once the disk has its content: after a power cut it is whole or absent."""
        self.file.flush()
        os.fsync(self.file.fileno())
        path.parent.mkdir(mode=PRIVATE, exist_ok=True)
        self._path.replace(path)
        _sync_folder(path.parent)
        _sync_folder(path.parent.parent)


def _hash(file: BufferedReader | BufferedRandom) -> Sha256:
    return Sha256(hashlib.file_digest(file, "sha256").hexdigest())


def _sync_folder(folder: Path) -> None:
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
