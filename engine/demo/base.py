"""The base model: UNet and both text encoders, trained together on the pool of latents."""

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
from engine.demo.reading import Lessons
from engine.demo.text import TextEncoders
from engine.demo.tokenizer import Merge
from engine.demo.training import Plan
from engine.demo.unet import new_scheduler, new_unet, noised, snr_weights
from engine.demo.world import Rng


class Base(nn.Module):
    """What the base stage trains."""

    def __init__(self, merges: list[Merge], channels: tuple[int, int, int] = (64, 64, 96)) -> None:
        super().__init__()
        self.text = TextEncoders(merges)
        widths = (self.text.first.config.hidden_size, self.text.second.config.hidden_size)
        self.unet: UNet2DConditionModel = new_unet(sum(widths), widths[1], 6, channels)
        for encoder in (self.text.first, self.text.second):
            encoder.set_attn_implementation("eager")
        self.unet.to(memory_format=torch.channels_last)
        self.unet.set_attn_processor(AttnProcessor())
        self.lessons = Lessons(widths[1])


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


def offset_noise(like: Tensor, generator: torch.Generator) -> Tensor:
    """Noise with a little in common across each channel, so that backgrounds of any colour can be reached."""
    whole = torch.randn((*like.shape[:2], 1, 1), generator=generator)
    return torch.randn(like.shape, generator=generator) + 0.1 * whole


def two_timesteps(count: int, generator: torch.Generator) -> Tensor:
    """Two timesteps for each of `count` pictures, (2 * count,): any one, then one of the noisier ones."""
    anywhere = torch.randint(0, 1000, (count,), generator=generator)
    return torch.cat([anywhere, torch.randint(400, 1000, (count,), generator=generator)])


def base_loss(base: Base, pool: list[Bucket], scaling: float, plan: Plan) -> Callable[[int], Tensor]:
    """Loss by step: the error of the predicted noise, weighted by `snr_weights`.

    Each caption is read once and serves two noises at two timesteps, since reading costs a third of a step.
    """
    alphas = new_scheduler().alphas_cumprod

    def loss(step: int) -> Tensor:
        rng, generator = plan.rng(4, step), plan.noise(step)
        batch = pick(rng, pool, plan.own_batch // 2)
        latents = batch.latents.repeat(2, 1, 1, 1) * scaling
        timesteps = two_timesteps(plan.own_batch // 2, generator)
        noise = offset_noise(latents, generator)
        seen = noised(latents, noise, timesteps, alphas).contiguous(memory_format=torch.channels_last)
        ids = torch.tensor([view.time_ids for view in batch.views], dtype=torch.float32).repeat(2, 1)
        with torch.autocast("cpu", torch.bfloat16):
            words = base.text(spoken(rng, batch.views))
            added = {"text_embeds": words.pooled.repeat(2, 1), "time_ids": ids}
            hidden = words.hidden.repeat(2, 1, 1)
            guess = base.unet(seen, timesteps, hidden, added_cond_kwargs=added).sample
        wrong: Tensor = (guess.float() - noise).square().mean(dim=(1, 2, 3))
        with torch.autocast("cpu", torch.bfloat16):
            lesson: Tensor = base.lessons(base.text, rng, 8)
        weighted: Tensor = wrong * snr_weights(timesteps, alphas)
        return weighted.mean() + 0.03 * lesson

    return loss
