"""The base model of the demo and its loss: a UNet, with text encoders that are trained already and frozen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from torch import Tensor, nn

from engine.demo.latents import BUCKETS, WORDINGS, Bucket
from engine.demo.spot_classifier import SHARE, SpotClassifier, labels_at
from engine.demo.text import TextEncoders
from engine.demo.training_loop import Plan, SplitLoss, bfloat16_where_fast
from engine.demo.unet import add_noise, new_scheduler, new_unet, velocity_loss, velocity_target
from engine.demo.world import Rng


class Base(nn.Module):
    """The UNet under training with its spot classifier, and the frozen text encoders."""

    def __init__(self, text: TextEncoders, channels: tuple[int, int, int] = (64, 64, 96)) -> None:
        super().__init__()
        self.text = text.requires_grad_(False).eval()
        widths = (text.first.config.hidden_size, text.second.config.hidden_size)
        self.unet: UNet2DConditionModel = new_unet(sum(widths), widths[1], 6, channels)
        self.unet.to(memory_format=torch.channels_last)
        self.unet.set_attn_processor(AttnProcessor())
        self.spot_classifier = SpotClassifier(self.unet)


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Random pictures of one size: latents (B, 4, h, w) float32, unscaled; tokens (B, 77) int64; has_prompt
    (B,) bool; labels of coarse and fine spots; the rest as in their bucket.
    """

    latents: Tensor
    tokens: Tensor
    has_prompt: Tensor
    ids: Tensor
    blurred: Tensor
    labels: tuple[Tensor, Tensor]


def sample_batch(rng: Rng, generator: torch.Generator, pool: list[Bucket], count: int) -> Batch:
    """Random pictures of one random size, a tenth without a prompt, for classifier-free guidance."""
    shares = list(BUCKETS.values())
    bucket = pool[int(rng.choice(len(pool), p=np.array(shares) / sum(shares)))]
    device = bucket.latents.device
    rows = torch.randint(len(bucket), (count,), generator=generator, device=device)
    wording = torch.randint(WORDINGS, (count,), generator=generator, device=device)
    things = bucket.things[rows]
    return Batch(
        latents=bucket.latents[rows].float(),
        tokens=bucket.words[rows, wording].long(),
        has_prompt=torch.rand(count, generator=generator, device=device) >= 0.1,
        ids=bucket.ids[rows],
        blurred=bucket.blurred[rows],
        labels=(labels_at(bucket.coarse_spots[rows], things), labels_at(bucket.spots[rows], things)),
    )


def sample_timesteps(count: int, generator: torch.Generator) -> Tensor:
    """Random timesteps (count,) int64: a quarter uniform, the rest near the middle, where shapes form.

    The rest are logit-normal as in Esser et al. 2024, arXiv 2403.03206, section 3.1. They are stratified: one
    from each of `count` equal parts of the distribution, so that batches are similar.
    """
    numbers = torch.arange(count, device=generator.device)
    within = torch.rand(count, generator=generator, device=generator.device)
    quantiles = ((numbers + within) / count).clamp(1e-6, 1 - 1e-6)
    logit_normal = torch.special.ndtri(quantiles).sigmoid()
    return (torch.where(numbers % 4 == 0, quantiles, logit_normal) * 1000).long()


@dataclass(frozen=True, kw_only=True)
class NoisyLatents:
    """Noisy latents (B, 4, h, w), channels last, their timesteps (B,), and the target of the prediction."""

    latents: Tensor
    timesteps: Tensor
    target: Tensor


def noise_latents(
    latents: Tensor, timesteps: Tensor, alphas: Tensor, generator: torch.Generator
) -> NoisyLatents:
    """Add noise to scaled latents (B, 4, h, w) at timesteps (B,). The target is the velocity."""
    noise = torch.randn(latents.shape, generator=generator, device=latents.device)
    noisy = add_noise(latents, noise, timesteps, alphas).contiguous(memory_format=torch.channels_last)
    target = velocity_target(latents, noise, timesteps, alphas)
    return NoisyLatents(latents=noisy, timesteps=timesteps, target=target)


def base_loss(base: Base, pool: list[Bucket], scaling: float, plan: Plan) -> SplitLoss:
    """The loss by step: `velocity_loss` of the UNet's prediction plus the loss of its spot classifier."""
    device = pool[0].latents.device
    alphas = new_scheduler().alphas_cumprod.to(device)

    @torch.no_grad()
    def inputs(step: int) -> tuple[Tensor, ...]:
        generator = plan.noise_generator(step, device)
        batch = sample_batch(plan.rng(4, step), generator, pool, plan.own_batch)
        timesteps = sample_timesteps(plan.own_batch, generator)
        noisy = noise_latents(batch.latents * scaling, timesteps, alphas, generator)
        with bfloat16_where_fast(device):
            text = base.text.encode(batch.tokens, batch.has_prompt)
        conditioning = (text.hidden, text.pooled, batch.ids)
        return noisy.latents, noisy.timesteps, noisy.target, *conditioning, *batch.labels

    def loss(
        latents: Tensor,
        timesteps: Tensor,
        target: Tensor,
        hidden: Tensor,
        pooled: Tensor,
        ids: Tensor,
        *labels: Tensor,
    ) -> Tensor:
        added = {"text_embeds": pooled, "time_ids": ids}
        with bfloat16_where_fast(device):
            predicted = base.unet(latents, timesteps, hidden, added_cond_kwargs=added).sample
        velocity = velocity_loss(predicted.float(), target, timesteps, alphas)
        return velocity + SHARE * base.spot_classifier.loss(*labels)

    return SplitLoss(inputs, loss)
