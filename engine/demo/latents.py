"""The pool of training latents: many drawings, encoded once, with their captions and labels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from torch import Tensor
from torch.multiprocessing import get_context
from transformers import CLIPTokenizer

from engine.demo.captions import caption
from engine.demo.renderer import draw
from engine.demo.text_training import KINDS, thing_labels
from engine.demo.tokenizer import token_ids
from engine.demo.training_loop import bfloat16_where_fast
from engine.demo.vae import to_tensor
from engine.demo.world import Layout, Pixels, Rng, Scene, sample_layout, sample_scene

BUCKETS: dict[tuple[int, int], float] = {
    (128, 128): 0.80,
    (104, 160): 0.05,
    (160, 104): 0.05,
    (96, 168): 0.05,
    (168, 96): 0.05,
}
"""Height and width in pixels, and the share of pictures of this size."""
WORDINGS = 4
"""Captions of each picture."""
CHUNK = 250
"""Pictures that one process draws at a time."""


@dataclass(frozen=True, kw_only=True)
class View:
    """One training picture: a scene on a canvas that may be larger, and the crop of it."""

    scene: Scene
    layout: Layout
    top: int
    left: int
    height: int
    width: int
    blur: float = 0.0

    @property
    def time_ids(self) -> tuple[int, ...]:
        """SDXL's time ids: original height and width, crop top and left, target height and width; pixels."""
        return (self.layout.height, self.layout.width, self.top, self.left, self.height, self.width)

    def pixels(self) -> Pixels:
        """The picture: (height, width, 3) uint8."""
        canvas = draw(self.scene, self.layout)
        crop = canvas[self.top : self.top + self.height, self.left : self.left + self.width]
        return gaussian_filter(crop, (self.blur, self.blur, 0)) if self.blur else crop


def sample_view(rng: Rng, height: int, width: int, *, blurred: float = 0.0) -> View:
    """A random view of height x width pixels. About a sixth are crops of a canvas up to 48 pixels larger.

    blurred: the share of views, 0 to 1, that are out of focus.
    """
    scene = sample_scene(rng)
    more_h, more_w = rng.integers(8, 49, 2) if rng.random() < 0.16 else (0, 0)
    layout = sample_layout(rng, scene, width + int(more_w), height + int(more_h))
    top, left = (int(rng.integers(0, more + 1)) for more in (more_h, more_w))
    blur = float(rng.uniform(1.5, 4)) if rng.random() < blurred else 0.0
    return View(scene=scene, layout=layout, top=top, left=left, height=height, width=width, blur=blur)


def spot_map(view: View, rows: int, columns: int) -> NDArray[np.int8]:
    """The number of the thing at each spot of a grid over the picture: (rows, columns), -1 where there is
    none.
    """
    y = (np.arange(rows)[:, None] + 0.5) * view.height / rows + view.top
    x = (np.arange(columns)[None, :] + 0.5) * view.width / columns + view.left
    numbers = np.full((rows, columns), -1, np.int8)
    for number, spot in enumerate(view.layout.spots):
        numbers[np.hypot(x - spot.x, y - spot.y) < spot.radius] = number
    return numbers


@dataclass(frozen=True, kw_only=True)
class Bucket:
    """N pictures of one size, on one device.

    latents: (N, 4, h, w) float16, unscaled. words: (N, WORDINGS, 77) int16, tokens as the first tokenizer
    pads them. ids: (N, 6) float32, the views' time ids. blurred: (N,) bool. things: (N, 2, len(KINDS)) int8,
    the labels of each thing. spots: (N, h, w) int8, and coarse_spots: (N, ceil(h / 2), ceil(w / 2)) int8, the
    number of the thing there or -1. The fields are saved by name.
    """

    latents: Tensor
    words: Tensor
    ids: Tensor
    blurred: Tensor
    things: Tensor
    spots: Tensor
    coarse_spots: Tensor

    def __len__(self) -> int:
        return len(self.latents)

    def to(self, device: torch.device) -> Bucket:
        """The bucket on this device."""
        return Bucket(**{name: tensor.to(device) for name, tensor in vars(self).items()})


def draw_chunk(
    tokenizer: CLIPTokenizer, seed: int, blurred: float, chunk: tuple[int, int, int, int, int]
) -> dict[str, NDArray[np.generic]]:
    """Draw a chunk of a bucket, in pixels. chunk: bucket, start, count, height and width in pixels."""
    bucket, number, count, height, width = chunk
    rng = np.random.default_rng([seed, 3, bucket, number])
    views = [sample_view(rng, height, width, blurred=blurred) for _ in range(count)]
    captions = [caption(rng, view.scene) for view in views for _ in range(WORDINGS)]
    rows, columns = height // 8, width // 8
    things = np.zeros((count, 2, len(KINDS)), np.int8)
    for labels, view in zip(things, views, strict=True):
        labels[: len(view.scene.things)] = [thing_labels(thing) for thing in view.scene.things]
    return {
        "pixels": np.stack([view.pixels() for view in views]),
        "words": token_ids(tokenizer, captions).numpy().astype(np.int16).reshape(count, WORDINGS, -1),
        "ids": np.array([view.time_ids for view in views], np.float32),
        "blurred": np.array([view.blur > 0 for view in views]),
        "things": things,
        "spots": np.stack([spot_map(view, rows, columns) for view in views]),
        "coarse_spots": np.stack([spot_map(view, -(-rows // 2), -(-columns // 2)) for view in views]),
    }


@torch.no_grad()
def encode(vae: AutoencoderKL, pixels: Pixels) -> Tensor:
    """Encode (B, H, W, 3) uint8 to posterior means (B, 4, H / 8, W / 8) float16, unscaled, on the CPU."""
    with bfloat16_where_fast(vae.device):
        mean: Tensor = vae.encode(to_tensor(pixels).to(vae.device)).latent_dist.mean
    return mean.half().cpu()


def make_pool(
    vae: AutoencoderKL,
    tokenizer: CLIPTokenizer,
    count: int,
    seed: int,
    *,
    blurred: float = 0.0,
    workers: int = 1,
) -> list[Bucket]:
    """About `count` encoded views in all buckets, drawn by this number of processes."""
    sizes = [
        (number, max(8, int(count * share)), *size) for number, (size, share) in enumerate(BUCKETS.items())
    ]
    chunks = [
        (number, start, min(CHUNK, total - start), height, width)
        for number, total, height, width in sizes
        for start in range(0, total, CHUNK)
    ]
    parts: list[list[dict[str, Tensor]]] = [[] for _ in sizes]
    drawn = _map_chunks(workers, partial(draw_chunk, tokenizer, seed, blurred), chunks)
    for chunk, arrays in zip(chunks, drawn, strict=True):
        latents = encode(vae, arrays.pop("pixels").astype(np.uint8, copy=False))
        parts[chunk[0]].append({"latents": latents} | {k: torch.from_numpy(a) for k, a in arrays.items()})
    return [Bucket(**{f.name: torch.cat([p[f.name] for p in few]) for f in fields(Bucket)}) for few in parts]


def _map_chunks(
    workers: int,
    work: partial[dict[str, NDArray[np.generic]]],
    chunks: list[tuple[int, int, int, int, int]],
) -> Iterator[dict[str, NDArray[np.generic]]]:
    """The results of the work on every chunk, in order."""
    if workers == 1:
        yield from map(work, chunks)
        return
    with get_context("spawn").Pool(workers, torch.set_num_threads, (1,)) as pool:
        yield from pool.imap(work, chunks)


def load_or_make_pool(path: Path, make: partial[list[Bucket]]) -> list[Bucket]:
    """The pool in this file, which is made and written where it is missing."""
    if not path.exists():
        pool = make()
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".part")
        torch.save([vars(bucket) for bucket in pool], temporary)
        temporary.replace(path)
        return pool
    return [Bucket(**tensors) for tensors in torch.load(path, weights_only=True)]
