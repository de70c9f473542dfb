"""Copies of files between folders: whole or not at all, as hard links where a file never changes."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from engine.messages import INCOMING, PRIVATE, Sha256, stored_path

HASH_CHARACTERS = 2 * hashlib.sha256().digest_size

Report = Callable[[str, int, int], None]
"""Is told what is done now, how much of it is done, and how much there is."""


def stored_names(files: Path) -> Iterator[Sha256]:
    """The hashes of a store's files."""
    return (Sha256(path.name) for path in files.glob("??/*") if len(path.name) == HASH_CHARACTERS)


def link_all(hashes: Iterable[Sha256], source: Path, target: Path, report: Report) -> None:
    """Have these stored files in the other store, too: as hard links where the disk is the same.

    One that is deleted meanwhile is left out. Raises OSError.
    """
    every = list(hashes)
    for done, sha256 in enumerate(every, start=1):
        path = stored_path(target, sha256)
        if not path.exists():
            path.parent.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
            with suppress(FileNotFoundError):
                _link(stored_path(source, sha256), path)
        report("Copying", done, len(every))


def copy_folder(source: Path, target: Path) -> None:
    """Make the other folder like this one: copies, since an operator may write into a file in place."""
    names = {path.relative_to(source) for path in whole_files(source)}
    for name in names:
        old, new = target / name, (source / name).stat()
        if not old.exists() or (old.stat().st_size, old.stat().st_mtime) != (new.st_size, new.st_mtime):
            copy_file(source / name, old)
    for path in whole_files(target):
        if path.relative_to(target) not in names:
            path.unlink()


def copy_file(source: Path, target: Path) -> None:
    """Copy a file with its time. Raises OSError."""
    target.parent.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
    aside = target.with_name(f"{INCOMING}{target.name}")
    try:
        shutil.copyfile(source, aside)
        shutil.copystat(source, aside)
        sync(aside)
        aside.replace(target)
    finally:
        aside.unlink(missing_ok=True)
    sync(target.parent)


def write_file(path: Path, content: bytes) -> None:
    """Write a file. Raises OSError."""
    number, name = tempfile.mkstemp(prefix=INCOMING, dir=path.parent)
    with os.fdopen(number, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    Path(name).replace(path)
    sync(path.parent)


def sweep(folder: Path) -> None:
    """Remove what a program that was killed was writing."""
    for path in folder.rglob(f"{INCOMING}*"):
        path.unlink(missing_ok=True)


def whole_files(folder: Path) -> list[Path]:
    """The files in a folder and in those below it."""
    return [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(INCOMING)]


def file_hash(path: Path) -> Sha256:
    """The SHA-256 of a file. Raises OSError."""
    with path.open("rb") as file:
        return Sha256(hashlib.file_digest(file, "sha256").hexdigest())


def sync(path: Path) -> None:
    """Have the disk keep a file's content, or a folder's names."""
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def _link(source: Path, target: Path) -> None:
    """A hard link to a file that never changes; a copy on another disk."""
    try:
        os.link(source, target)
    except FileExistsError:
        return
    except FileNotFoundError:
        raise
    except OSError:  # another disk, or one without hard links
        copy_file(source, target)
