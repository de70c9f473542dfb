"""The pool of training latents: many drawings, encoded once, with all that a lesson asks about them."""

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
from engine.demo.text_training import KINDS, answers
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
"""Height and width in pixels, and the share of pictures of that form."""
WORDINGS = 4
"""Captions of each picture."""
CHUNK = 250
"""Pictures that one process draws at a time."""


@dataclass(frozen=True, kw_only=True)
class View:
    """What one training picture shows: a canvas that may be larger than the picture, and where it is cut."""

    scene: Scene
    layout: Layout
    top: int
    left: int
    height: int
    width: int
    blur: float = 0.0

    @property
    def time_ids(self) -> tuple[int, ...]:
        """SDXL's numbers: original height and width, crop top and left, target height and width; pixels."""
        return (self.layout.height, self.layout.width, self.top, self.left, self.height, self.width)

    def pixels(self) -> Pixels:
        """The picture: (height, width, 3) uint8."""
        canvas = draw(self.scene, self.layout)
        cut = canvas[self.top : self.top + self.height, self.left : self.left + self.width]
        return gaussian_filter(cut, (self.blur, self.blur, 0)) if self.blur else cut


def sample_view(rng: Rng, height: int, width: int, *, blurred: float = 0.0) -> View:
    """A random view of height x width pixels; about a sixth are cut from a canvas up to 48 pixels larger.

    blurred: share (0-1) of views that are out of focus.
    """
    scene = sample_scene(rng)
    more_h, more_w = rng.integers(8, 49, 2) if rng.random() < 0.16 else (0, 0)
    layout = sample_layout(rng, scene, width + int(more_w), height + int(more_h))
    top, left = (int(rng.integers(0, more + 1)) for more in (more_h, more_w))
    blur = float(rng.uniform(1.5, 4)) if rng.random() < blurred else 0.0
    return View(scene=scene, layout=layout, top=top, left=left, height=height, width=width, blur=blur)


def standing(view: View, rows: int, columns: int) -> NDArray[np.int8]:
    """Which thing stands at each spot of a grid over the picture: (rows, columns), -1 where there is none."""
    y = (np.arange(rows)[:, None] + 0.5) * view.height / rows + view.top
    x = (np.arange(columns)[None, :] + 0.5) * view.width / columns + view.left
    here = np.full((rows, columns), -1, np.int8)
    for which, spot in enumerate(view.layout.spots):
        here[np.hypot(x - spot.x, y - spot.y) < spot.radius] = which
    return here


@dataclass(frozen=True, kw_only=True)
class Bucket:
    """N pictures of one form, on one device.

    latents: (N, 4, h, w) float16, unscaled. words: (N, WORDINGS, 77) int16, tokens as the first tokenizer
    pads them. ids: (N, 6) float32, the views' time ids. blurred: (N,) bool. things: (N, 2, len(KINDS)) int8,
    the answers about each thing. spots: (N, h, w) int8, and coarse_spots: (N, ceil(h / 2), ceil(w / 2)) int8,
    the number of the thing that stands there, or -1.
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
        """The same on a device."""
        return Bucket(**{name: tensor.to(device) for name, tensor in vars(self).items()})


def shown(
    tokenizer: CLIPTokenizer, seed: int, blurred: float, chunk: tuple[int, int, int, int, int]
) -> dict[str, NDArray[np.generic]]:
    """A chunk of a bucket, still in pixels: (bucket, number, how many, height, width in pixels)."""
    bucket, number, count, height, width = chunk
    rng = np.random.default_rng([seed, 3, bucket, number])
    views = [sample_view(rng, height, width, blurred=blurred) for _ in range(count)]
    said = [caption(rng, view.scene) for view in views for _ in range(WORDINGS)]
    rows, columns = height // 8, width // 8
    things = np.zeros((count, 2, len(KINDS)), np.int8)
    for here, view in zip(things, views, strict=True):
        here[: len(view.scene.things)] = [answers(thing) for thing in view.scene.things]
    return {
        "pixels": np.stack([view.pixels() for view in views]),
        "words": token_ids(tokenizer, said).numpy().astype(np.int16).reshape(count, WORDINGS, -1),
        "ids": np.array([view.time_ids for view in views], np.float32),
        "blurred": np.array([view.blur > 0 for view in views]),
        "things": things,
        "spots": np.stack([standing(view, rows, columns) for view in views]),
        "coarse_spots": np.stack([standing(view, -(-rows // 2), -(-columns // 2)) for view in views]),
    }


@torch.no_grad()
def encode(vae: AutoencoderKL, pixels: Pixels) -> Tensor:
    """(B, H, W, 3) uint8 to the posterior's mean: (B, 4, H / 8, W / 8) float16, unscaled, on the CPU."""
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
    """About `count` encoded views, shared out over the buckets and drawn by so many processes."""
    forms = [
        (number, max(8, int(count * share)), *form) for number, (form, share) in enumerate(BUCKETS.items())
    ]
    chunks = [
        (number, start, min(CHUNK, of - start), height, width)
        for number, of, height, width in forms
        for start in range(0, of, CHUNK)
    ]
    parts: list[list[dict[str, Tensor]]] = [[] for _ in forms]
    drawn = _by_processes(workers, partial(shown, tokenizer, seed, blurred), chunks)
    for chunk, arrays in zip(chunks, drawn, strict=True):
        latents = encode(vae, arrays.pop("pixels").astype(np.uint8, copy=False))
        parts[chunk[0]].append({"latents": latents} | {k: torch.from_numpy(a) for k, a in arrays.items()})
    return [Bucket(**{f.name: torch.cat([p[f.name] for p in few]) for f in fields(Bucket)}) for few in parts]


def _by_processes(
    workers: int,
    work: partial[dict[str, NDArray[np.generic]]],
    chunks: list[tuple[int, int, int, int, int]],
) -> Iterator[dict[str, NDArray[np.generic]]]:
    """The work on every chunk, in order."""
    if workers == 1:
        yield from map(work, chunks)
        return
    with get_context("spawn").Pool(workers, torch.set_num_threads, (1,)) as pool:
        yield from pool.imap(work, chunks)


def pool_at(path: Path, make: partial[list[Bucket]]) -> list[Bucket]:
    """The pool from its file, or made and written there."""
    if not path.exists():
        made = make()
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_suffix(".part")
        torch.save([vars(bucket) for bucket in made], aside)
        aside.replace(path)
        return made
    return [Bucket(**tensors) for tensors in torch.load(path, weights_only=True)]
