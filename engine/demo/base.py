"""The base model: its UNet learns on the pool of latents, beside text encoders that can already read."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from torch import Tensor, nn

from engine.demo.latents import BUCKETS, WORDINGS, Bucket
from engine.demo.spot_classifier import SHARE, Teller, answers_at
from engine.demo.text import TextEncoders
from engine.demo.training_loop import Lesson, Plan, bfloat16_where_fast
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
    """Random pictures of one form: latents (B, 4, h, w) float32 and unscaled, words (B, 77) int64, said (B,)
    bool, whether there is a prompt at all; the rest as in their bucket."""

    latents: Tensor
    words: Tensor
    said: Tensor
    ids: Tensor
    blurred: Tensor
    right: tuple[Tensor, Tensor]


def pick(rng: Rng, generator: torch.Generator, pool: list[Bucket], count: int) -> Batch:
    """Random pictures of one random form, a tenth without words, which teaches guidance what no prompt is."""
    shares = list(BUCKETS.values())
    bucket = pool[int(rng.choice(len(pool), p=np.array(shares) / sum(shares)))]
    device = bucket.latents.device
    rows = torch.randint(len(bucket), (count,), generator=generator, device=device)
    wording = torch.randint(WORDINGS, (count,), generator=generator, device=device)
    things = bucket.things[rows]
    return Batch(
        latents=bucket.latents[rows].float(),
        words=bucket.words[rows, wording].long(),
        said=torch.rand(count, generator=generator, device=device) >= 0.1,
        ids=bucket.ids[rows],
        blurred=bucket.blurred[rows],
        right=(answers_at(bucket.coarse_spots[rows], things), answers_at(bucket.spots[rows], things)),
    )


def spread_timesteps(count: int, generator: torch.Generator) -> Tensor:
    """Random timesteps, (count,) int64: a quarter from anywhere, the rest near the middle, where shapes form.

    The rest are logit-normal as in Esser et al. 2024, arXiv 2403.03206, section 3.1. One comes from each of
    `count` equal parts of its distribution, so that batches are alike.
    """
    each = torch.arange(count, device=generator.device)
    within = torch.rand(count, generator=generator, device=generator.device)
    parts, anywhere = ((each + within) / count).clamp(1e-6, 1 - 1e-6), each % 4 == 0
    return (torch.where(anywhere, parts, torch.special.ndtri(parts).sigmoid()) * 1000).long()


@dataclass(frozen=True, kw_only=True)
class Noisy:
    """Latents under noise, channels last, and what is to be told of them; shapes as in `noised`."""

    seen: Tensor
    timesteps: Tensor
    right: Tensor


def noisy(latents: Tensor, timesteps: Tensor, alphas: Tensor, generator: torch.Generator) -> Noisy:
    """The scaled latents (B, 4, h, w) at their timesteps (B,), and the velocities of the noise on them."""
    noise = torch.randn(latents.shape, generator=generator, device=latents.device)
    seen = noised(latents, noise, timesteps, alphas).contiguous(memory_format=torch.channels_last)
    return Noisy(seen=seen, timesteps=timesteps, right=velocity(latents, noise, timesteps, alphas))


def base_loss(base: Base, pool: list[Bucket], scaling: float, plan: Plan) -> Lesson:
    """Loss by step: `velocity_loss` of what the UNet predicts, and what its teller cannot tell."""
    device = pool[0].latents.device
    alphas = new_scheduler().alphas_cumprod.to(device)

    @torch.no_grad()
    def shown(step: int) -> tuple[Tensor, ...]:
        generator = plan.noise(step, device)
        batch = pick(plan.rng(4, step), generator, pool, plan.own_batch)
        under = noisy(batch.latents * scaling, spread_timesteps(plan.own_batch, generator), alphas, generator)
        with bfloat16_where_fast(device):
            words = base.text.read(batch.words, batch.said)
        told = (words.hidden, words.pooled, batch.ids)
        return under.seen, under.timesteps, under.right, *told, *batch.right

    def error(
        seen: Tensor,
        timesteps: Tensor,
        right: Tensor,
        hidden: Tensor,
        pooled: Tensor,
        ids: Tensor,
        *at: Tensor,
    ) -> Tensor:
        added = {"text_embeds": pooled, "time_ids": ids}
        with bfloat16_where_fast(device):
            guess = base.unet(seen, timesteps, hidden, added_cond_kwargs=added).sample
        return velocity_loss(guess.float(), right, timesteps, alphas) + SHARE * base.teller.loss(*at)

    return Lesson(shown, error)
