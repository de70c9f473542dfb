"""The embeddings of a training's captions: the last few in memory, those of many captions in shards."""

import hashlib
from array import array
from collections.abc import Callable, Iterable, Iterator

import numpy as np
import torch
from cachetools import LRUCache
from numpy.typing import NDArray
from torch import Tensor

from engine.messages import Sha256
from engine.sdxl.prompts import Embedding
from engine.training.pictures.shards import SHARD_BYTES, ShardStore, shard_key

RECENT = 64  # embeddings in memory: so few captions need no shards
MOST_TEXTS = 256  # of a shard

Encode = Callable[[str], Embedding]


class EmbeddingCache:
    """Embeddings of texts that training does not change."""

    def __init__(self, store: ShardStore, device: torch.device) -> None:
        self._store = store
        self._device = device
        self._recent: LRUCache[str, Embedding] = LRUCache(RECENT)
        self._keys: list[str] = []
        self._size = 1  # texts in a shard
        self._hashes: NDArray[np.uint64] = np.zeros(0, np.uint64)  # sorted, of the texts in the shards
        self._order: NDArray[np.intp] = np.zeros(0, np.intp)  # which text each of them is

    def get_or_encode(self, text: str, encode: Encode) -> Embedding:
        """The embedding of this text, (1, ...), encoded now where it is not there."""
        embedding = self._recent.get(text)
        if embedding is None:
            embedding = self._read(text) or encode(text)
            self._recent[text] = embedding
        return embedding

    def clear(self) -> None:
        """Forget the embeddings in memory."""
        self._recent.clear()

    def prepare(self, texts: Iterable[tuple[str, Sha256]], encode: Encode, made_with: str) -> Iterator[int]:
        """Make the shards of these texts, each with the picture that it is of, unless they are few; a text a
        step. made_with: a hash of all else that embeddings depend on. Yields how many are done.
        """
        hashes = array("Q")
        waiting: list[tuple[str, Sha256]] = []
        for text, picture in _unique(texts):
            if not hashes:
                self._size = _texts_per_shard(encode(text))
            hashes.append(_short_hash(text))
            waiting.append((text, picture))
            if len(waiting) == self._size:
                yield from self._write(waiting, encode, made_with, len(hashes) - len(waiting))
                waiting = []
        if waiting and len(hashes) > RECENT:
            yield from self._write(waiting, encode, made_with, len(hashes) - len(waiting))
        written = np.frombuffer(hashes, np.uint64)[: len(self._keys) * self._size]
        self._order = np.argsort(written, kind="stable")
        self._hashes = written[self._order]

    def _write(
        self, texts: list[tuple[str, Sha256]], encode: Encode, made_with: str, done: int
    ) -> Iterator[int]:
        key = shard_key("embeddings", made_with, tuple(text for text, _ in texts))
        if not self._store.has(key):
            tensors: dict[str, Tensor] = {}
            for number, (text, _) in enumerate(texts):
                embedding = encode(text)
                tensors[f"{_name(text)}.hidden"] = embedding.hidden.cpu().contiguous()
                tensors[f"{_name(text)}.pooled"] = embedding.pooled.cpu().contiguous()
                yield done + number
            self._store.put(key, tensors, [picture for _, picture in texts])
        self._keys.append(key)
        yield done + len(texts)

    def _read(self, text: str) -> Embedding | None:
        """The text's embedding from its shard, if there is one."""
        place = int(np.searchsorted(self._hashes, np.uint64(_short_hash(text))))
        if place == len(self._hashes) or int(self._hashes[place]) != _short_hash(text):
            return None
        key = self._keys[int(self._order[place]) // self._size]
        hidden, pooled = (self._store.get(key, f"{_name(text)}.{part}") for part in ("hidden", "pooled"))
        if hidden is None or pooled is None:  # another text whose hash begins alike
            return None
        return Embedding(hidden=hidden.to(self._device, copy=True), pooled=pooled.to(self._device, copy=True))


def _unique(texts: Iterable[tuple[str, Sha256]]) -> Iterator[tuple[str, Sha256]]:
    seen: set[int] = set()
    for text, picture in texts:
        short = _short_hash(text)
        if short not in seen:
            seen.add(short)
            yield text, picture


def _texts_per_shard(first: Embedding) -> int:
    """As many texts of this length as about fill a shard."""
    size = first.hidden.nbytes + first.pooled.nbytes
    return min(MOST_TEXTS, max(RECENT, SHARD_BYTES // size))


def _name(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _short_hash(text: str) -> int:
    return int(_name(text)[:16], 16)
