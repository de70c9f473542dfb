"""The micro-batches of a training, from latents that are encoded once and cached, on the CPU.

Everything random in a micro-batch (crops, mirroring, noise, timesteps, caption dropout) depends on the seed
and its number alone.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from engine.messages import Size, TrainingSettings
from engine.sdxl.latent_encoder import encode_picture
from engine.sdxl.model import Model
from engine.training.batch_sampler import BatchSampler
from engine.training.dataset import Item, crop_corner, crop_pixels, time_ids
from engine.training.loss import Rows
from engine.training.masks import crop_mask, mask_weights, open_mask
from engine.training.noising import Latents, Noising
from engine.training.rng import derive_seed, make_generator
from engine.training.tags import vary_tags
from engine.training.validation import TIMESTEPS, noise_count

NOISE_STRIDE = 50  # from one noise of a held-out picture to its next, as in states of older versions
CROPS = 4  # random crops of each picture, besides the centre crop


@dataclass(frozen=True, kw_only=True)
class CachedLatents:
    """A crop of a picture: mean and standard deviation of its latents (C, h, w), and SDXL's time ids (6,).

    mask: how much each latent counts, (1, h, w), where the picture has a mask.
    """

    mean: Tensor
    std: Tensor
    time_ids: Tensor
    mask: Tensor | None = None


@dataclass(frozen=True, kw_only=True)
class CachedPicture:
    """A picture with its caption and all its crops. The first is the centre crop, not mirrored."""

    caption: str
    views: tuple[CachedLatents, ...]


class TrainingBatches:
    """The pictures of a training and of its class as cached latents, and the micro-batches of them."""

    def __init__(self, settings: TrainingSettings, model: Model, folder: Path) -> None:
        self._settings = settings
        self._model = model
        self._folder = folder
        self._noising = Noising(settings, model.base.scheduler)
        self._pictures: dict[int, CachedPicture] = {}
        self._train: list[int] = []
        self._held_out: list[int] = []
        self._class: list[CachedPicture] = []
        self._batches: tuple[int, BatchSampler] | None = None

    @property
    def captions(self) -> list[str]:
        """The captions of the pictures to train on."""
        return [self._pictures[place].caption for place in self._train]

    @property
    def held_row_count(self) -> int:
        """The number of different `held_rows`: held-out pictures times noises."""
        return len(self._held_out) * noise_count(len(self._held_out))

    def encode(self, train: Sequence[Item], held_out: Sequence[Item]) -> Iterator[None]:
        """Encode all crops of all pictures, one a step."""
        self._train = [item.place for item in train]
        self._held_out = [item.place for item in held_out]
        for item in {item.place: item for item in (*train, *held_out)}.values():
            views: list[CachedLatents] = []
            for corner, flip in self._views(item, varied=item.place in self._train):
                views.append(self._encode_view(item, corner, flip=flip))
                yield
            self._pictures[item.place] = CachedPicture(caption=item.caption, views=tuple(views))

    def add_class_picture(self, caption: str, latents: Tensor, size: Size) -> None:
        """Add a picture of the class that the model painted. latents: (1, C, h, w), scaled."""
        latents = latents[0].to("cpu", torch.float32, copy=True)
        ids = torch.tensor([size.height, size.width, 0, 0, size.height, size.width], dtype=torch.float32)
        view = CachedLatents(mean=latents, std=torch.zeros_like(latents), time_ids=ids)
        self._class.append(CachedPicture(caption=caption, views=(view,)))

    def rows(self, number: int, batch: int) -> Rows:
        """The micro-batch with this number: pictures of one size, with caption dropout."""
        generator = make_generator(self._settings.seed, "pictures", number)
        pictures = [self._pictures[place] for place in self._batch(number, batch)]
        dropped = torch.rand(len(pictures), generator=generator) < self._settings.caption_dropout
        tags = make_generator(self._settings.seed, "tags", number)
        captions = [vary_tags(picture.caption, self._settings, tags) for picture in pictures]
        captions = ["" if drop else caption for caption, drop in zip(captions, dropped, strict=True)]
        views = [self._pick_view(picture.views, generator) for picture in pictures]
        return self._noising.rows(stack_views(views), captions, generator)

    def class_rows(self, number: int, batch: int) -> Rows:
        """The pictures of the class that belong to the micro-batch with this number."""
        generator = make_generator(self._settings.seed, "class", number)
        picks = torch.randint(len(self._class), (batch,), generator=generator).tolist()
        pictures = [self._class[pick] for pick in picks]
        views = [self._pick_view(picture.views, generator) for picture in pictures]
        captions = [picture.caption for picture in pictures]
        return self._noising.rows(stack_views(views), captions, generator)

    def held_rows(self, number: int) -> Rows:
        """A held-out picture with fixed noise, a row of each of TIMESTEPS. number: below `held_row_count`."""
        noise, place = divmod(number, len(self._held_out))
        place = self._held_out[place]
        picture = self._pictures[place]
        return self._noising.fixed_rows(
            stack_views([picture.views[0]] * len(TIMESTEPS)),
            [picture.caption] * len(TIMESTEPS),
            make_generator(self._settings.seed, "validation", place + noise * NOISE_STRIDE),
            torch.tensor([int(share * self._noising.timesteps) for share in TIMESTEPS]),
        )

    def _batch(self, number: int, batch: int) -> list[int]:
        if self._batches is None or self._batches[0] != batch:
            sizes = [self._pictures[place].views[0].mean.shape for place in self._train]
            self._batches = batch, BatchSampler(sizes, batch=batch, seed=self._settings.seed)
        return [self._train[index] for index in self._batches[1].batch(number)]

    def _views(self, item: Item, *, varied: bool) -> Iterator[tuple[tuple[int, int], bool]]:
        """The corners of crops and whether to mirror, without duplicates."""
        corners = [crop_corner(item, None)]
        if varied and self._settings.random_crop:
            rng = np.random.default_rng(derive_seed(self._settings.seed, "crops", item.place))
            corners += [crop_corner(item, rng) for _ in range(CROPS)]
        for corner in dict.fromkeys(corners):
            yield corner, False
            if varied and self._settings.flip:
                yield corner, True

    def _encode_view(self, item: Item, corner: tuple[int, int], *, flip: bool) -> CachedLatents:
        mean, std = encode_picture(self._model.base.vae, crop_pixels(self._folder, item, corner, flip=flip))
        ids = torch.tensor(time_ids(item, corner), dtype=torch.float32)
        mask = open_mask(self._folder, item.example, self._settings)
        if mask is not None:
            (left, top), (width, height) = corner, item.size
            box = left, top, left + width, top + height
            inside = crop_mask(mask, item.resized, box, (mean.shape[1], mean.shape[2]), flip=flip)
            weights = mask_weights(inside, self._settings.outside)
        return CachedLatents(
            mean=mean.cpu(), std=std.cpu(), time_ids=ids, mask=None if mask is None else weights
        )

    def _pick_view(self, views: Sequence[CachedLatents], generator: torch.Generator) -> CachedLatents:
        return views[int(torch.randint(len(views), (1,), generator=generator))]


def stack_views(views: Sequence[CachedLatents]) -> Latents:
    """These views in one batch. Where some have a mask, the others count everywhere."""
    masks = [torch.ones_like(view.mean[:1]) if view.mask is None else view.mask for view in views]
    return Latents(
        mean=torch.stack([view.mean for view in views]),
        std=torch.stack([view.std for view in views]),
        time_ids=torch.stack([view.time_ids for view in views]),
        mask=torch.stack(masks) if any(view.mask is not None for view in views) else None,
    )


def class_caption(caption: str, trigger: str) -> str:
    """The caption without the trigger, such as "a photo of woman" for "a photo of ohwx woman"."""
    without = re.sub(rf"(?<![\w-]){re.escape(trigger)}(?![\w-])", " ", caption, flags=re.IGNORECASE)
    return " ".join(without.split())
