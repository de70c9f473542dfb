"""The files that a terminal's pictures go to, checked before painting and written whole."""

import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from engine.messages import InvalidRequest, Picture

SUFFIX = ".png"
PROBE = bytes(64 * 1024)  # a full disk takes an empty file, but not one of this size


class CannotWrite(Exception):
    """The pictures were painted, but could not be written: why, in one sentence."""


@dataclass(frozen=True)
class OutputFiles:
    """The file that was named, or None: then pictures are named after their seeds."""

    named: Path | None

    def check(self) -> None:
        """Raise InvalidRequest with one sentence when nothing could be written there."""
        path = self.named or Path(f"atelier{SUFFIX}")
        try:
            _check(path)
        except OSError as error:
            raise InvalidRequest(f"--out {path} cannot be written: {error.strerror}.") from error

    def write(self, pictures: Sequence[Picture]) -> list[tuple[Path, Picture]]:
        """Write each picture to its file; returns which. Raises CannotWrite with one sentence."""
        written = []
        for number, picture in enumerate(pictures, start=1):
            path = self._path(picture, number, len(pictures))
            try:
                _write(path, picture.png)
            except OSError as error:
                raise CannotWrite(f"{path} could not be written: {error.strerror}.") from error
            written.append((path, picture))
        return written

    def _path(self, picture: Picture, number: int, count: int) -> Path:
        if self.named is None:
            return free_path(Path(f"atelier-{picture.seed}{SUFFIX}"))
        return self.named if count == 1 else self.named.with_stem(f"{self.named.stem}-{number}")


def free_path(path: Path) -> Path:
    """The path, or the first with a number that is free: no older picture is overwritten."""
    taken, number = path, 1
    while taken.exists():
        number += 1
        taken = path.with_stem(f"{path.stem}-{number}")
    return taken


def _check(path: Path) -> None:
    if path.is_dir():
        raise InvalidRequest(f"--out {path} is a folder. Name a file, such as {path / 'heart.png'}.")
    if path.suffix.lower() != SUFFIX:
        raise InvalidRequest(f"--out {path} does not end in {SUFFIX}. Pictures are PNG files.")
    if not path.parent.is_dir():
        raise InvalidRequest(f"--out {path} cannot be written. There is no folder {path.parent}.")
    if path.exists() and not os.access(path, os.W_OK):
        raise InvalidRequest(f"--out {path} cannot be written. The file is protected.")
    with write_beside(path, PROBE):
        pass


def _write(path: Path, content: bytes) -> None:
    """Write the file, whole or not at all."""
    with write_beside(path, content) as whole:
        whole.replace(path)


@contextmanager
def write_beside(path: Path, content: bytes) -> Iterator[Path]:
    """Write a file beside the path and sync it; it is removed unless it was renamed. Raises OSError."""
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with beside.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        yield beside
    finally:
        with suppress(OSError):
            beside.unlink(missing_ok=True)
