"""Where the terminal's pictures go: checked before the painting, written aside and renamed after it."""

import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from engine.messages import InvalidRequest, Picture

SUFFIX = ".png"
PROBE = bytes(64 * 1024)  # a full disk takes an empty file, but not this one


class CannotWrite(Exception):
    """One sentence: the pictures were painted, but could not be kept."""


@dataclass(frozen=True)
class Output:
    """The file that somebody named, or None: then pictures are named by their seeds."""

    named: Path | None

    def check(self) -> None:
        """Raise InvalidRequest with one sentence when nothing could be written there."""
        path = self.named or Path(f"atelier{SUFFIX}")
        try:
            _check(path)
        except OSError as error:
            raise InvalidRequest(f"--out {path} cannot be written: {error.strerror}.") from error

    def keep(self, pictures: Sequence[Picture]) -> list[tuple[Path, Picture]]:
        """Write each picture to its file, and tell which. Raises CannotWrite with one sentence."""
        kept = []
        for number, picture in enumerate(pictures, start=1):
            path = self._path(picture, number, len(pictures))
            try:
                _write(path, picture.png)
            except OSError as error:
                raise CannotWrite(f"{path} could not be written: {error.strerror}.") from error
            kept.append((path, picture))
        return kept

    def _path(self, picture: Picture, number: int, count: int) -> Path:
        if self.named is None:
            return free(Path(f"atelier-{picture.seed}{SUFFIX}"))
        return self.named if count == 1 else self.named.with_stem(f"{self.named.stem}-{number}")


def free(path: Path) -> Path:
    """The path, or the first with a number that is not taken: nobody asked to lose an older picture."""
    taken, number = path, 1
    while taken.exists():
        number += 1
        taken = path.with_stem(f"{path.stem}-{number}")
    return taken


def _check(path: Path) -> None:
    if path.is_dir():
        raise InvalidRequest(f"--out {path} is a folder: name a file, such as {path / 'heart.png'}.")
    if path.suffix.lower() != SUFFIX:
        raise InvalidRequest(f"--out {path} does not end in {SUFFIX}: pictures are PNG files.")
    if not path.parent.is_dir():
        raise InvalidRequest(f"--out {path} cannot be written: there is no folder {path.parent}.")
    if path.exists() and not os.access(path, os.W_OK):
        raise InvalidRequest(f"--out {path} cannot be written: the file there is protected.")
    with aside(path, PROBE):
        pass


def _write(path: Path, content: bytes) -> None:
    """Write the file whole or not at all."""
    with aside(path, content) as whole:
        whole.replace(path)


@contextmanager
def aside(path: Path, content: bytes) -> Iterator[Path]:
    """A file beside the path that has reached the disk; removed unless it was renamed. Raises OSError."""
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
