"""The latents of a training's pictures: encoded once into shards, in order, and read from there.

Pictures that follow each other share a shard. Which ones depends on the pictures and the settings alone, so
a run that is taken up again, and another one with the same pictures, encodes nothing twice.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from engine.messages import Sha256, TrainingSettings
from engine.sdxl.latent_encoder import encode_picture
from engine.sdxl.model import Model
from engine.training.pictures.crops import View, crops_of, most_views, picture_views, time_ids
from engine.training.pictures.items import Item, Items
from engine.training.pictures.masks import crop_mask, mask_weights, open_mask
from engine.training.pictures.shards import SHARD_BYTES, ShardStore, shard_key, weights_digest

MOST_PICTURES = 256  # of a shard: what is encoded again after a kill
LATENTS, MASK = "latents", "mask"  # parts of a crop in its shard
REMEMBERED = 512  # pictures whose views need not be drawn again


@dataclass(frozen=True, kw_only=True)
class CachedLatents:
    """A crop of a picture: mean and standard deviation of its latents (C, h, w), and SDXL's time ids (6,).

    mask: how much each latent counts, (1, h, w), where the picture has a mask.
    """

    mean: Tensor
    std: Tensor
    time_ids: Tensor
    mask: Tensor | None = None


class LatentCache:
    """The latents of items, by their index. They are there once `encode` has ended."""

    def __init__(
        self,
        settings: TrainingSettings,
        model: Model,
        folder: Path,
        store: ShardStore,
        items: Items,
        draw: Callable[[int], np.random.Generator],
    ) -> None:
        """folder: of the store. draw: the random numbers for the crops of the picture at a place."""
        self._settings = settings
        self._model = model
        self._folder = folder
        self._store = store
        self._items = items
        self._draw = draw
        self._keys: list[str] = []
        self._views = lru_cache(REMEMBERED)(self._draw_views)

    def encode(self) -> Iterator[int]:
        """Make the shards that are missing, a crop a step. Yields how many pictures are done."""
        if not self._items:
            return
        vae = weights_digest(self._model.base.vae)
        count = self._pictures_per_shard()
        for start in range(0, len(self._items), count):
            items = self._items[start : start + count]
            views = [picture_views(item, self._settings, self._draw) for item in items]
            key = shard_key("latents", vae, tuple(map(self._describe, items, views)))
            if not self._store.has(key):
                tensors: dict[str, Tensor] = {}
                for place, (item, seen) in enumerate(zip(items, views, strict=True)):
                    for number, parts in enumerate(self._encode_views(item, seen)):
                        tensors |= {_name(place, number, part): tensor for part, tensor in parts.items()}
                        yield start + place
                self._store.put(key, tensors, [file for item in items for file in _files(item)])
            self._keys.append(key)
            yield start + len(items)

    def count_views(self, index: int) -> int:
        """How many crops there are of this item. The first is the centre crop, not mirrored."""
        return len(self._views(index))

    def view(self, index: int, number: int) -> CachedLatents:
        """A crop of an item, on the CPU, not to be changed. Raises OSError where its shard is gone."""
        shard, place = divmod(index, self._pictures_per_shard())
        latents, inside = (
            self._store.get(self._keys[shard], _name(place, number, part)) for part in (LATENTS, MASK)
        )
        if latents is None:
            raise OSError(f"the shard {self._keys[shard]} lacks a crop")
        ids = time_ids(self._items[index], self._views(index)[number].corner)
        return CachedLatents(
            mean=latents[0],
            std=latents[1],
            time_ids=torch.tensor(ids, dtype=torch.float32),
            mask=None if inside is None else mask_weights(inside, self._settings.outside),
        )

    def _draw_views(self, index: int) -> tuple[View, ...]:
        return picture_views(self._items[index], self._settings, self._draw)

    def _pictures_per_shard(self) -> int:
        """As many pictures as about fill a shard, by the size of the first."""
        width, height = (side // self._model.factor for side in self._items.size(0))
        channels = int(self._model.base.vae.config.latent_channels)
        size = 2 * 4 * channels * width * height * most_views(self._settings)
        return min(MOST_PICTURES, max(1, SHARD_BYTES // size))

    def _encode_views(self, item: Item, views: tuple[View, ...]) -> Iterator[dict[str, Tensor]]:
        """Of each crop mean and standard deviation of its latents, (2, C, h, w), and its mask, on the CPU."""
        mask = open_mask(self._folder, item.example, self._settings)
        for view, pixels in zip(views, crops_of(self._folder, item, views), strict=True):
            parts = {LATENTS: torch.stack(encode_picture(self._model.base.vae, pixels)).cpu()}
            if mask is not None:
                (left, top), (width, height) = view.corner, item.size
                box, shape = (left, top, left + width, top + height), parts[LATENTS].shape
                parts[MASK] = crop_mask(mask, item.resized, box, (shape[2], shape[3]), flip=view.flip)
            yield parts

    def _describe(self, item: Item, views: tuple[View, ...]) -> tuple[object, ...]:
        """All that a picture's latents depend on, besides the VAE."""
        crops = tuple((view.corner, view.flip) for view in views)
        masked = self._settings.outside != 1 and (item.example.mask or self._settings.alpha_mask)
        return item.example.sha256, item.resized, item.size, crops, masked


def _files(item: Item) -> list[Sha256]:
    """The stored files that its latents are made from."""
    return [file for file in (item.example.sha256, item.example.mask) if file is not None]


def _name(place: int, view: int, part: str) -> str:
    return f"{place}.{view}.{part}"
