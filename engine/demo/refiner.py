"""The refiner: a UNet for the last fifth of the noise, on the second text encoder alone, as SDXL's."""

from __future__ import annotations

from collections.abc import Callable

import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from torch import Tensor

from engine.demo.base import Base, pick, spoken
from engine.demo.latents import Bucket, View
from engine.demo.training import Plan, bfloat16_where_fast
from engine.demo.unet import TIME_ID_WIDTH, new_scheduler, new_unet, noised, velocity, velocity_loss

LAST = 200
"""The refiner knows the timesteps below this one."""
GOOD, BAD = 6.0, 2.5
"""Aesthetic scores: the pipelines' defaults for what is wanted and what is not; blur is bad."""


def new_refiner(base: Base) -> UNet2DConditionModel:
    """A refiner that starts from the base's weights, less what read the first encoder and a sixth number."""
    second = base.text.second.config
    channels = tuple(base.unet.config.block_out_channels)
    refiner = new_unet(second.hidden_size, second.projection_dim, 5, channels, deep_words=False)
    weights, begun = base.unet.state_dict(), {}
    for name, mine in refiner.state_dict().items():
        same = weights[name].shape == mine.shape
        begun[name] = (
            weights[name] if same else _narrowed(name, weights[name], mine.shape[1], second.projection_dim)
        )
    refiner.load_state_dict(begun)
    refiner.to(memory_format=torch.channels_last)
    refiner.set_attn_processor(AttnProcessor())
    return refiner


def _narrowed(name: str, weight: Tensor, width: int, pooled: int) -> Tensor:
    """The columns shared with the base: the second encoder's, or the pooled text and four numbers."""
    if "attn2" in name:
        return weight[:, -width:]
    shared = weight[:, : pooled + 4 * TIME_ID_WIDTH]
    return torch.cat([shared, torch.zeros(len(weight), width - shared.shape[1])], dim=1)


def score_ids(view: View) -> tuple[float, ...]:
    """The refiner's numbers: original height and width, crop top and left in pixels, aesthetic score."""
    return (*map(float, view.time_ids[:4]), BAD if view.blur else GOOD)


def refiner_loss(
    refiner: UNet2DConditionModel, base: Base, pool: list[Bucket], scaling: float, plan: Plan
) -> Callable[[int], Tensor]:
    """Loss by step: the error of the velocity predicted at the last 200 timesteps; the words are frozen."""
    alphas = new_scheduler().alphas_cumprod

    def loss(step: int) -> Tensor:
        rng, generator = plan.rng(5, step), plan.noise(step)
        batch = pick(rng, pool, plan.own_batch)
        latents = batch.latents * scaling
        timesteps = torch.randint(0, LAST, (len(latents),), generator=generator)
        noise = torch.randn(latents.shape, generator=generator)
        seen = noised(latents, noise, timesteps, alphas).contiguous(memory_format=torch.channels_last)
        ids = torch.tensor([score_ids(view) for view in batch.views])
        with bfloat16_where_fast():
            with torch.no_grad():
                words = base.text.alone([said or "" for said in spoken(rng, batch.views)])
            added = {"text_embeds": words.pooled, "time_ids": ids}
            guess = refiner(seen, timesteps, words.hidden, added_cond_kwargs=added).sample
        right = velocity(latents, noise, timesteps, alphas)
        return velocity_loss(guess.float(), right, timesteps, alphas)

    return loss
