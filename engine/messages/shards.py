"""Where shards lie, the files of latents and embeddings that trainings make once, and when they go.

A shard is a safetensors file. Beside it lies the list of the pictures that it was made from, so that it goes
with any of them: what people delete must not stay in another form.
"""

import hashlib
import os
import tempfile
import time
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path

from engine.messages.files import INCOMING, PRIVATE, Sha256

FOLDER = "shards"  # in the store
SHARD, PICTURES = ".safetensors", ".pictures"
HASH_BYTES = hashlib.sha256().digest_size
UNUSED = 7 * 86_400.0  # seconds after which an unused shard goes
MOST_BYTES = 200 * 2**30  # of all shards: the longest unused ones beyond that go
IN_USE = 86_400.0  # seconds in which a shard that was used may be a running training's


def shards_folder(files: Path) -> Path:
    """The folder of the shards of this store."""
    return files / FOLDER


def shard_path(folder: Path, key: str) -> Path:
    """The path of the shard with this key, in the folder of the shards."""
    return folder / f"{key}{SHARD}"


def write_shard(folder: Path, key: str, content: bytes, pictures: Collection[Sha256]) -> None:
    """Write a shard, whole or not at all, after the list of its pictures. Raises OSError."""
    folder.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
    listed = b"".join(sorted({bytes.fromhex(sha256) for sha256 in pictures}))
    _write(folder / f"{key}{PICTURES}", listed)
    _write(shard_path(folder, key), content)


def remove_shards(folder: Path, pictures: Collection[Sha256]) -> None:
    """Remove the shards that were made from any of these pictures. Raises OSError."""
    if not pictures or not folder.is_dir():
        return
    gone = {bytes.fromhex(sha256) for sha256 in pictures}
    for listed in folder.glob(f"*{PICTURES}"):
        if not gone.isdisjoint(_hashes(listed)):
            _remove(listed)


def sweep_shards(folder: Path, most: int = MOST_BYTES) -> None:
    """Remove the shards that nobody used for long, the longest unused ones beyond `most` bytes, and what was
    being written when a program was killed. Raises OSError.
    """
    if not folder.is_dir():
        return
    now, total = time.time(), 0
    for path in folder.glob(f"{INCOMING}*"):
        if path.stat().st_mtime < now - IN_USE:
            path.unlink(missing_ok=True)
    shards = [(path.stat().st_mtime, path) for path in folder.glob(f"*{SHARD}")]
    for used, path in sorted(shards, reverse=True):
        total += path.stat().st_size
        if used < now - UNUSED or (total > most and used < now - IN_USE):
            _remove(path.with_suffix(PICTURES))
    for listed in folder.glob(f"*{PICTURES}"):
        if listed.stat().st_mtime < now - IN_USE and not listed.with_suffix(SHARD).exists():
            listed.unlink(missing_ok=True)


def _hashes(listed: Path) -> Iterator[bytes]:
    with suppress(FileNotFoundError):  # it was swept just now
        content = listed.read_bytes()
        for start in range(0, len(content), HASH_BYTES):
            yield content[start : start + HASH_BYTES]


def _remove(listed: Path) -> None:
    """Remove a shard and then its list, so that a shard without one is never left."""
    listed.with_suffix(SHARD).unlink(missing_ok=True)
    listed.unlink(missing_ok=True)


def _write(path: Path, content: bytes) -> None:
    number, name = tempfile.mkstemp(prefix=INCOMING, dir=path.parent)
    try:
        with os.fdopen(number, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
