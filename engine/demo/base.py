"""The base model: its UNet learns on the pool of latents, beside text encoders that can already read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from torch import Tensor, nn

from engine.demo.captions import caption
from engine.demo.latents import BUCKETS, Bucket, View
from engine.demo.telling import SHARE, Teller
from engine.demo.text import TextEncoders
from engine.demo.training import Plan, bfloat16_where_fast
from engine.demo.unet import new_scheduler, new_unet, noised, velocity, velocity_loss
from engine.demo.world import Rng


class Base(nn.Module):
    """The UNet under training with its teller, and the encoders it listens to, which stay as they are."""

    def __init__(self, text: TextEncoders, channels: tuple[int, int, int] = (64, 64, 96)) -> None:
        super().__init__()
        self.text = text.requires_grad_(False).eval()
        widths = (text.first.config.hidden_size, text.second.config.hidden_size)
        self.unet: UNet2DConditionModel = new_unet(sum(widths), widths[1], 6, channels)
        self.unet.to(memory_format=torch.channels_last)
        self.unet.set_attn_processor(AttnProcessor())
        self.teller = Teller(self.unet)


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Latents (B, 4, h, w) float32 and unscaled, and their B views."""

    latents: Tensor
    views: list[View]


def pick(rng: Rng, pool: list[Bucket], count: int) -> Batch:
    """Random pictures of one random form."""
    shares = list(BUCKETS.values())
    bucket = pool[int(rng.choice(len(pool), p=np.array(shares) / sum(shares)))]
    chosen = rng.integers(len(bucket.views), size=count)
    latents = bucket.latents[torch.from_numpy(chosen)].float()
    return Batch(latents=latents, views=[bucket.views[i] for i in chosen])


def spoken(rng: Rng, views: list[View]) -> list[str | None]:
    """A caption of each view, worded anew; none for a tenth, which teaches guidance what no prompt is."""
    return [None if rng.random() < 0.1 else caption(rng, view.scene) for view in views]


def spread_timesteps(count: int, generator: torch.Generator) -> Tensor:
    """Random timesteps, (count,) int64: a quarter from anywhere, the rest near the middle, where shapes form.

    The rest are logit-normal as in Esser et al. 2024, arXiv 2403.03206, section 3.1. One comes from each of
    `count` equal parts of its distribution, so that batches are alike.
    """
    parts = ((torch.arange(count) + torch.rand(count, generator=generator)) / count).clamp(1e-6, 1 - 1e-6)
    anywhere = torch.arange(count) % 4 == 0
    return (torch.where(anywhere, parts, torch.special.ndtri(parts).sigmoid()) * 1000).long()


def base_loss(base: Base, pool: list[Bucket], scaling: float, plan: Plan) -> Callable[[int], Tensor]:
    """Loss by step: `velocity_loss` of what the UNet predicts, and what its teller cannot tell."""
    alphas = new_scheduler().alphas_cumprod

    def loss(step: int) -> Tensor:
        rng, generator = plan.rng(4, step), plan.noise(step)
        batch = pick(rng, pool, plan.own_batch)
        latents = batch.latents * scaling
        timesteps = spread_timesteps(len(latents), generator)
        noise = torch.randn(latents.shape, generator=generator)
        seen = noised(latents, noise, timesteps, alphas).contiguous(memory_format=torch.channels_last)
        ids = torch.tensor([view.time_ids for view in batch.views], dtype=torch.float32)
        with bfloat16_where_fast():
            with torch.no_grad():
                words = base.text(spoken(rng, batch.views))
            added = {"text_embeds": words.pooled, "time_ids": ids}
            guess = base.unet(seen, timesteps, words.hidden, added_cond_kwargs=added).sample
        right = velocity(latents, noise, timesteps, alphas)
        return velocity_loss(guess.float(), right, timesteps, alphas) + SHARE * base.teller.loss(batch.views)

    return loss
