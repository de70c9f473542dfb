"""The refiner: a UNet for the last fifth of the noise, on the second text encoder alone, as SDXL's."""

from __future__ import annotations

import copy

import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from torch import Tensor

from engine.demo.base import Base, Batch, noisy, pick
from engine.demo.latents import Bucket
from engine.demo.tokenizer import token_ids
from engine.demo.training_loop import Lesson, Plan, bfloat16_where_fast
from engine.demo.unet import TIME_ID_WIDTH, new_scheduler, new_unet, velocity_loss

LAST = 200
"""The refiner knows the timesteps below this one."""
GOOD, BAD = 6.0, 2.5
"""Aesthetic scores: the pipelines' defaults for what is wanted and what is not; blur is bad."""
MILD = 0.6
"""How bad a bad score is in what ships, as a share of what was learned."""


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


def milder(refiner: UNet2DConditionModel, share: float = MILD) -> UNet2DConditionModel:
    """A copy in which a bad score is only so bad: a share of the way from the good one's embedding to its.

    Pipelines guide away from a bad score as they guide towards the words. Away from a whole blur, at CFG 5,
    edges come out right and colours beyond the right ones: docs/measurements.md has the numbers.
    """
    copied = copy.deepcopy(refiner)
    read = copied.add_embedding.linear_1  # the score's embedding is the last that it reads
    good = copied.add_time_proj(torch.tensor([GOOD], device=read.weight.device))[0].to(read.weight.dtype)
    with torch.no_grad():
        score = read.weight[:, -len(good) :].clone()
        read.bias += (1 - share) * (score @ good)
        read.weight[:, -len(good) :] = share * score
    return copied


def score_ids(batch: Batch) -> Tensor:
    """The refiner's numbers, (B, 5): original height and width, crop top and left, aesthetic score."""
    scores = torch.where(batch.blurred, BAD, GOOD)
    return torch.cat([batch.ids[:, :4], scores[:, None]], dim=1)


def refiner_loss(
    refiner: UNet2DConditionModel, base: Base, pool: list[Bucket], scaling: float, plan: Plan
) -> Lesson:
    """Loss by step: the error of the velocity predicted at the last 200 timesteps; the words are frozen."""
    device = pool[0].latents.device
    alphas = new_scheduler().alphas_cumprod.to(device)
    nothing = token_ids(base.text.tokenizers[0], [""]).to(device)

    @torch.no_grad()
    def shown(step: int) -> tuple[Tensor, ...]:
        generator = plan.noise(step, device)
        batch = pick(plan.rng(5, step), generator, pool, plan.own_batch)
        timesteps = torch.randint(0, LAST, (plan.own_batch,), generator=generator, device=device)
        under = noisy(batch.latents * scaling, timesteps, alphas, generator)
        with bfloat16_where_fast(device):
            words = base.text.alone(torch.where(batch.said[:, None], batch.words, nothing))
        return under.seen, timesteps, under.right, words.hidden, words.pooled, score_ids(batch)

    def error(
        seen: Tensor, timesteps: Tensor, right: Tensor, hidden: Tensor, pooled: Tensor, ids: Tensor
    ) -> Tensor:
        added = {"text_embeds": pooled, "time_ids": ids}
        with bfloat16_where_fast(device):
            guess = refiner(seen, timesteps, hidden, added_cond_kwargs=added).sample
        return velocity_loss(guess.float(), right, timesteps, alphas)

    return Lesson(shown, error)
