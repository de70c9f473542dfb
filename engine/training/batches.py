"""The micro-batches of a training, from latents that are encoded once and cached, on the CPU.

Everything random in a micro-batch (crops, mirroring, noise, timesteps, caption dropout) depends on the seed
and its number alone.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.messages import Size, TrainingSettings
from engine.sdxl.model import Model
from engine.training.batch_sampler import BatchSampler
from engine.training.loss import Rows
from engine.training.noising import Latents, Noising
from engine.training.pictures.items import Item, Items
from engine.training.pictures.latents import CachedLatents, LatentCache
from engine.training.pictures.shards import ShardStore
from engine.training.rng import derive_seed, make_generator
from engine.training.tags import vary_tags
from engine.training.validation import TIMESTEPS, noise_count, split_items

NOISE_STRIDE = 50  # from one noise of a held-out picture to its next, as in states of older versions


class TrainingBatches:
    """The pictures of a training and of its class as cached latents, and the micro-batches of them."""

    def __init__(self, settings: TrainingSettings, model: Model, folder: Path, shards: Path) -> None:
        """folder: of the store. shards: the folder of latents."""
        self._settings = settings
        self._model = model
        self._folder = folder
        self._shards = ShardStore(shards, folder)
        self._noising = Noising(settings, model.base.scheduler)
        self._items: Sequence[Item] = ()
        self._class_items: Items
        self._latents: LatentCache | None = None
        self._train: NDArray[np.intp] = np.zeros(0, np.intp)
        self._held_out: list[int] = []
        self._class: list[tuple[str, CachedLatents]] = []
        self._class_latents: LatentCache | None = None
        self._batches: tuple[int, BatchSampler] | None = None
        self._class_batches: tuple[int, BatchSampler] | None = None

    @property
    def held_row_count(self) -> int:
        """The number of different `held_rows`: held-out pictures times noises."""
        return len(self._held_out) * noise_count(len(self._held_out))

    def encode(self, items: Items, class_items: Items) -> Iterator[int]:
        """Encode all crops of all pictures and of those of the class alone, one a step. Yields how many
        pictures are done.
        """
        self._items = items
        train, self._held_out = split_items(len(items), self._settings)
        repeats = [items[index].example.repeats for index in train]
        self._train = np.repeat(np.asarray(train, np.intp), repeats)
        self._latents = self._cache(items)
        yield from self._latents.encode()
        if class_items:
            self._class_items, self._class_latents = class_items, self._cache(class_items)
            for done in self._class_latents.encode():
                yield len(items) + done

    def _cache(self, items: Items) -> LatentCache:
        return LatentCache(self._settings, self._model, self._folder, self._shards, items, self._draw_crops)

    def _draw_crops(self, place: int) -> np.random.Generator:
        return np.random.default_rng(derive_seed(self._settings.seed, "crops", place))

    def add_class_picture(self, caption: str, latents: Tensor, size: Size) -> None:
        """Add a picture of the class that the model painted. latents: (1, C, h, w), scaled."""
        latents = latents[0].to("cpu", torch.float32, copy=True)
        ids = torch.tensor([size.height, size.width, 0, 0, size.height, size.width], dtype=torch.float32)
        view = CachedLatents(mean=latents, std=torch.zeros_like(latents), time_ids=ids)
        self._class.append((caption, view))

    def rows(self, number: int, batch: int) -> Rows:
        """The micro-batch with this number: pictures of one size, with caption dropout."""
        generator = make_generator(self._settings.seed, "pictures", number)
        indices = self._batch(number, batch)
        dropped = torch.rand(len(indices), generator=generator) < self._settings.caption_dropout
        tags = make_generator(self._settings.seed, "tags", number)
        captions = [vary_tags(self._items[index].caption, self._settings, tags) for index in indices]
        captions = ["" if drop else caption for caption, drop in zip(captions, dropped, strict=True)]
        views = [self._pick_view(index, generator) for index in indices]
        return self._noising.rows(stack_views(views), captions, generator)

    def class_rows(self, number: int, batch: int) -> Rows:
        """The pictures of the class that belong to the micro-batch with this number."""
        generator = make_generator(self._settings.seed, "class", number)
        if self._class_latents is not None:
            return self._given_class_rows(self._class_latents, number, batch, generator)
        picks = torch.randint(len(self._class), (batch,), generator=generator).tolist()
        captions, views = zip(*(self._class[pick] for pick in picks), strict=True)
        for _ in picks:  # of one view each: the draws are those of states that were saved before
            torch.randint(1, (1,), generator=generator)
        return self._noising.rows(stack_views(views), captions, generator)

    def _given_class_rows(
        self, latents: LatentCache, number: int, batch: int, generator: torch.Generator
    ) -> Rows:
        """Rows of the pictures of the class that were given, all of one size."""
        if self._class_batches is None or self._class_batches[0] != batch:
            sizes = [self._class_items.size(index) for index in range(len(self._class_items))]
            self._class_batches = batch, BatchSampler(sizes, batch=batch, seed=self._settings.seed)
        indices = self._class_batches[1].batch(number)
        views = [
            latents.view(index, int(torch.randint(latents.count_views(index), (1,), generator=generator)))
            for index in indices
        ]
        captions = [self._class_items[index].caption for index in indices]
        return self._noising.rows(stack_views(views), captions, generator)

    def held_rows(self, number: int) -> Rows:
        """A held-out picture with fixed noise, a row of each of TIMESTEPS. number: below `held_row_count`."""
        noise, place = divmod(number, len(self._held_out))
        index = self._held_out[place]
        item = self._items[index]
        return self._noising.fixed_rows(
            stack_views([self._view(index, 0)] * len(TIMESTEPS)),
            [item.caption] * len(TIMESTEPS),
            make_generator(self._settings.seed, "validation", item.place + noise * NOISE_STRIDE),
            torch.tensor([int(share * self._noising.timesteps) for share in TIMESTEPS]),
        )

    def _batch(self, number: int, batch: int) -> list[int]:
        """The indices of the items of a micro-batch."""
        if self._batches is None or self._batches[0] != batch:
            sizes = [self._items[int(index)].size for index in self._train]
            self._batches = batch, BatchSampler(sizes, batch=batch, seed=self._settings.seed)
        return [int(self._train[place]) for place in self._batches[1].batch(number)]

    def _pick_view(self, index: int, generator: torch.Generator) -> CachedLatents:
        assert self._latents is not None
        views = self._latents.count_views(index)
        return self._view(index, int(torch.randint(views, (1,), generator=generator)))

    def _view(self, index: int, number: int) -> CachedLatents:
        assert self._latents is not None
        return self._latents.view(index, number)


def stack_views(views: Sequence[CachedLatents]) -> Latents:
    """These views in one batch. Where some have a mask, the others count everywhere."""
    masks = [torch.ones_like(view.mean[:1]) if view.mask is None else view.mask for view in views]
    return Latents(
        mean=torch.stack([view.mean for view in views]),
        std=torch.stack([view.std for view in views]),
        time_ids=torch.stack([view.time_ids for view in views]),
        mask=torch.stack(masks) if any(view.mask is not None for view in views) else None,
    )
