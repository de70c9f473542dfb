"""Shards of tensors on the disk: made once, in order, and read from memory-mapped files ever after.

A shard is named by a hash of what it was made from and how. So a training that is taken up again, or another
one with the same pictures and settings, finds it. Nothing of a shard stays in memory but a few open maps.
"""

import hashlib
import os
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Any

import torch
from cachetools import LRUCache
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from engine.messages import InvalidRequest, Sha256, remove_shards, shard_path, stored_path, write_shard

SHARD_BYTES = 16 * 2**20  # of a shard, about
OPEN = 6  # shards that are mapped at once: their pages count as memory in use
FORMAT = 1  # raised when a shard's content changes its meaning


class ShardStore:
    """The shards in a folder, made from pictures of a store."""

    def __init__(self, folder: Path, store: Path) -> None:
        self._folder = folder
        self._store = store
        self._open: LRUCache[str, Any] = LRUCache(OPEN)
        self._lock = Lock()  # batches are made in a thread

    def has(self, key: str) -> bool:
        """Whether there is a whole shard with this key. Notes that it is in use."""
        with suppress(OSError):
            self._map(key)
            return True
        return False

    def put(self, key: str, tensors: Mapping[str, Tensor], pictures: Collection[Sha256]) -> None:
        """Write a shard of these CPU tensors, made from these pictures.

        Raises OSError, and InvalidRequest where a picture was deleted meanwhile: then nothing is left of it.
        """
        write_shard(self._folder, key, save(dict(tensors)), pictures)
        if gone := [sha256 for sha256 in pictures if not stored_path(self._store, sha256).exists()]:
            remove_shards(self._folder, gone)
            raise InvalidRequest("Some of its pictures are gone. Send them again.")

    def get(self, key: str, name: str) -> Tensor | None:
        """A tensor of a shard on the CPU, not to be changed; None where the shard has none of this name.

        Raises OSError where there is no such shard.
        """
        shard = self._map(key)
        try:
            tensor: Tensor = shard.get_tensor(name)
        except SafetensorError:
            return None
        return tensor

    def _map(self, key: str) -> Any:
        with self._lock:
            return self._map_alone(key)

    def _map_alone(self, key: str) -> Any:
        shard = self._open.get(key)
        if shard is None:
            path = shard_path(self._folder, key)
            os.utime(path)  # so that it is not swept
            try:
                shard = safe_open(path, "pt")
            except SafetensorError as error:
                raise OSError(f"the shard {key} is broken") from error
            self._open[key] = shard
        return shard


def shard_key(*parts: object) -> str:
    """The key of a shard of which these values say all: plain values, and tuples of them."""
    return hashlib.sha256(repr((FORMAT, *parts)).encode()).hexdigest()


def weights_digest(*modules: nn.Module) -> str:
    """A hash of the modules' weights, without adapters in training."""
    digest = hashlib.sha256()
    for module in modules:
        for name, tensor in module.state_dict().items():
            if "lora_" not in name:
                digest.update(str(tensor.dtype).encode())
                digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()
