"""Lessons: what a training shows the UNet, micro-batch after micro-batch.

Latents are computed once and kept by the picture's own place, crop and side. What varies from look to look
(the crop, the side, the noise, the timestep, whether the words are left out) is drawn for each micro-batch
from its number alone.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from engine.messages import EXAMPLES, Size, TrainingSettings
from engine.sdxl.latent_encoder import encoded
from engine.sdxl.model import Model
from engine.training.batch_sampler import Batches
from engine.training.dataset import Item, crop_corner, pixels, time_ids
from engine.training.loss import Rows, noised, prediction_type, snr_weights, target
from engine.training.rng import draw, seed_of
from engine.training.validation import TIMESTEPS, noises

CROPS = 4  # random crops of each picture, beside the one in the centre


@dataclass(frozen=True, kw_only=True)
class CachedLatents:
    """One way to see a picture: mean and spread of its latents, (C, h, w), and SDXL's (6,) of its crop."""

    mean: Tensor
    spread: Tensor
    time_ids: Tensor


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A picture with its caption and every way to see it; the first is the centre as it is."""

    caption: str
    looks: tuple[CachedLatents, ...]


class Lessons:
    """The pictures of a training as latents, on the model's device: its own, and those of its class."""

    def __init__(self, settings: TrainingSettings, model: Model, folder: Path) -> None:
        self._settings = settings
        self._model = model
        self._folder = folder
        scheduler = model.base.scheduler
        self._alphas: Tensor = scheduler.alphas_cumprod.to(model.device, torch.float32)
        self._predicts = prediction_type(scheduler)
        self._seen: dict[int, Subject] = {}
        self._train: list[int] = []
        self._held: list[int] = []
        self._class: list[Subject] = []
        self._batches: tuple[int, Batches] | None = None

    @property
    def captions(self) -> list[str]:
        """The captions of the pictures that train."""
        return [self._seen[place].caption for place in self._train]

    @property
    def held(self) -> int:
        """How many times `held_rows` has something to validate with: pictures times noises."""
        return len(self._held) * noises(len(self._held))

    def encode(self, train: Sequence[Item], held: Sequence[Item]) -> Iterator[None]:
        """Look at every picture in every way it will be shown, one look a step."""
        self._train = [item.place for item in train]
        self._held = [item.place for item in held]
        for item in {item.place: item for item in (*train, *held)}.values():
            looks: list[CachedLatents] = []
            for corner, flip in self._views(item, varied=item.place in self._train):
                looks.append(self._look(item, corner, flip=flip))
                yield
            self._seen[item.place] = Subject(caption=item.caption, looks=tuple(looks))

    def remember(self, caption: str, latents: Tensor, size: Size) -> None:
        """Keep a picture of the class that was painted here; latents: (1, C, h, w), scaled."""
        latents = latents[0].float().clone()
        told = torch.tensor([size.height, size.width, 0, 0, size.height, size.width], dtype=torch.float32)
        look = CachedLatents(mean=latents, spread=torch.zeros_like(latents), time_ids=told.to(latents.device))
        self._class.append(Subject(caption=caption, looks=(look,)))

    def rows(self, number: int, batch: int) -> Rows:
        """The micro-batch with this number: pictures of one size, captions left out now and then."""
        generator = draw(self._settings.seed, "pictures", number)
        subjects = [self._seen[place] for place in self._batch(number, batch)]
        dropped = torch.rand(len(subjects), generator=generator) < self._settings.caption_dropout
        captions = ["" if drop else one.caption for one, drop in zip(subjects, dropped, strict=True)]
        chosen = [self._chosen(one.looks, generator) for one in subjects]
        return self._noised(chosen, captions, generator)

    def class_rows(self, number: int, batch: int) -> Rows:
        """The pictures of the class beside the micro-batch with this number."""
        generator = draw(self._settings.seed, "class", number)
        picks = torch.randint(len(self._class), (batch,), generator=generator).tolist()
        subjects = [self._class[pick] for pick in picks]
        chosen = [self._chosen(one.looks, generator) for one in subjects]
        return self._noised(chosen, [one.caption for one in subjects], generator)

    def held_rows(self, number: int) -> Rows:
        """A picture to validate with under fixed noise, a row of each fixed timestep; number: 0 to `held` -
        1."""
        noise, place = divmod(number, len(self._held))
        place = self._held[place]
        subject = self._seen[place]
        trained = len(self._alphas)
        timesteps = torch.tensor([int(share * trained) for share in TIMESTEPS])
        return self._noised(
            [subject.looks[0]] * len(TIMESTEPS),
            [subject.caption] * len(TIMESTEPS),
            draw(self._settings.seed, "validation", place + noise * EXAMPLES[1]),
            timesteps,
            offset=0.0,
        )

    def _batch(self, number: int, batch: int) -> list[int]:
        if self._batches is None or self._batches[0] != batch:
            sizes = [self._seen[place].looks[0].mean.shape for place in self._train]
            self._batches = batch, Batches(sizes, batch=batch, seed=self._settings.seed)
        return [self._train[index] for index in self._batches[1].batch(number)]

    def _views(self, item: Item, *, varied: bool) -> Iterator[tuple[tuple[int, int], bool]]:
        """The corners to crop at and whether to mirror, without doubles."""
        corners = [crop_corner(item, None)]
        if varied and self._settings.random_crop:
            rng = np.random.default_rng(seed_of(self._settings.seed, "crops", item.place))
            corners += [crop_corner(item, rng) for _ in range(CROPS)]
        for corner in dict.fromkeys(corners):
            yield corner, False
            if varied and self._settings.flip:
                yield corner, True

    def _look(self, item: Item, corner: tuple[int, int], *, flip: bool) -> CachedLatents:
        mean, spread = encoded(self._model.base.vae, pixels(self._folder, item, corner, flip=flip))
        told = torch.tensor(time_ids(item, corner), dtype=torch.float32, device=mean.device)
        return CachedLatents(mean=mean, spread=spread, time_ids=told)

    def _chosen(self, looks: Sequence[CachedLatents], generator: torch.Generator) -> CachedLatents:
        return looks[int(torch.randint(len(looks), (1,), generator=generator))]

    def _noised(
        self,
        looks: Sequence[CachedLatents],
        captions: Sequence[str],
        generator: torch.Generator,
        timesteps: Tensor | None = None,
        offset: float | None = None,
    ) -> Rows:
        """Rows of these looks: latents drawn about their means, and noise on them.

        A noise offset (Guttenberg 2023, "Diffusion with offset noise") shifts whole channels, so that the
        model learns to make pictures dark or bright.
        """
        device, offset = self._alphas.device, self._settings.noise_offset if offset is None else offset
        mean = torch.stack([look.mean for look in looks])
        latents = mean + torch.stack([look.spread for look in looks]) * normal(mean.shape, generator, device)
        noise = normal(mean.shape, generator, device)
        if offset:
            noise = noise + offset * normal((*mean.shape[:2], 1, 1), generator, device)
        if timesteps is None:
            timesteps = torch.randint(len(self._alphas), (len(looks),), generator=generator)
        timesteps = timesteps.to(device)
        return Rows(
            noisy=noised(latents, noise, timesteps, self._alphas),
            target=target(latents, noise, timesteps, self._alphas, self._predicts),
            timesteps=timesteps,
            weights=snr_weights(timesteps, self._alphas, self._settings.min_snr_gamma, self._predicts),
            time_ids=torch.stack([look.time_ids for look in looks]),
            captions=tuple(captions),
        )


def normal(shape: Sequence[int], generator: torch.Generator, device: torch.device) -> Tensor:
    """Normal numbers, drawn on the CPU."""
    return torch.randn(tuple(shape), generator=generator).to(device)


def class_caption(caption: str, trigger: str) -> str:
    """The caption without the trigger: "a photo of ohwx woman" becomes "a photo of woman"."""
    without = re.sub(rf"(?<![\w-]){re.escape(trigger)}(?![\w-])", " ", caption, flags=re.IGNORECASE)
    return " ".join(without.split())
