"""The pool of training latents: many drawings, encoded once, with their scenes and size and crop numbers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from scipy.ndimage import gaussian_filter
from torch import Tensor

from engine.demo.drawing import draw
from engine.demo.training import bfloat16_where_fast
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


@dataclass(frozen=True, kw_only=True)
class Bucket:
    """Latents of one form: (N, 4, h, w) float16 and unscaled, with their N views."""

    latents: Tensor
    views: list[View]


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


@torch.no_grad()
def encode(vae: AutoencoderKL, pixels: Pixels) -> Tensor:
    """(B, H, W, 3) uint8 to the posterior's mean: (B, 4, H / 8, W / 8) float16, unscaled."""
    with bfloat16_where_fast():
        mean: Tensor = vae.encode(to_tensor(pixels)).latent_dist.mean
    return mean.half()


def make_pool(vae: AutoencoderKL, count: int, seed: int, *, blurred: float = 0.0) -> list[Bucket]:
    """About `count` encoded views, shared out over the buckets."""
    pool = []
    for number, ((height, width), share) in enumerate(BUCKETS.items()):
        rng = np.random.default_rng([seed, 3, number])
        views = [sample_view(rng, height, width, blurred=blurred) for _ in range(max(8, int(count * share)))]
        parts = []
        for start in range(0, len(views), 64):
            parts.append(encode(vae, np.stack([view.pixels() for view in views[start : start + 64]])))
        pool.append(Bucket(latents=torch.cat(parts), views=views))
    return pool


def pool_at(path: Path, vae: AutoencoderKL, count: int, seed: int, *, blurred: float = 0.0) -> list[Bucket]:
    """The pool from its file, or made and written there; the views are sampled again, the latents read."""
    if not path.exists():
        made = make_pool(vae, count, seed, blurred=blurred)
        aside = path.with_suffix(".part")
        torch.save([bucket.latents for bucket in made], aside)
        aside.replace(path)
        return made
    pool = []
    for number, latents in enumerate(torch.load(path, weights_only=True)):
        height, width = (8 * side for side in latents.shape[2:])
        rng = np.random.default_rng([seed, 3, number])
        views = [sample_view(rng, height, width, blurred=blurred) for _ in range(len(latents))]
        pool.append(Bucket(latents=latents, views=views))
    return pool
