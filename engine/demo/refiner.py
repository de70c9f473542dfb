"""The refiner of the demo and its loss: a UNet for the last fifth of the noise, as in SDXL."""

from __future__ import annotations

import copy

import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from torch import Tensor

from engine.demo.base import Base, Batch, noise_latents, sample_batch
from engine.demo.latents import Bucket
from engine.demo.tokenizer import token_ids
from engine.demo.training_loop import Plan, SplitLoss, bfloat16_where_fast
from engine.demo.unet import TIME_ID_WIDTH, new_scheduler, new_unet, velocity_loss

LAST = 200
"""The refiner is trained on the timesteps below this one."""
GOOD, BAD = 6.0, 2.5
"""Aesthetic scores: the pipelines' defaults of positive and negative prompts. Blurred pictures are bad."""
MILD = 0.6
"""The effect of a bad score in what ships, as a share of what was learned."""


def new_refiner(base: Base) -> UNet2DConditionModel:
    """A refiner with the base's weights, without the inputs of the first encoder and of a sixth number."""
    second = base.text.second.config
    channels = tuple(base.unet.config.block_out_channels)
    refiner = new_unet(second.hidden_size, second.projection_dim, 5, channels, deep_attention=False)
    weights, initial = base.unet.state_dict(), {}
    for name, tensor in refiner.state_dict().items():
        same = weights[name].shape == tensor.shape
        initial[name] = (
            weights[name]
            if same
            else _shared_columns(name, weights[name], tensor.shape[1], second.projection_dim)
        )
    refiner.load_state_dict(initial)
    refiner.to(memory_format=torch.channels_last)
    refiner.set_attn_processor(AttnProcessor())
    return refiner


def _shared_columns(name: str, weight: Tensor, width: int, pooled: int) -> Tensor:
    """The columns of a weight that the base has too: of the second encoder, or of pooled text and four
    numbers.
    """
    if "attn2" in name:
        return weight[:, -width:]
    shared = weight[:, : pooled + 4 * TIME_ID_WIDTH]
    return torch.cat([shared, torch.zeros(len(weight), width - shared.shape[1])], dim=1)


def soften_bad_score(refiner: UNet2DConditionModel, share: float = MILD) -> UNet2DConditionModel:
    """A copy in which a bad score has only a share of its effect, between the good score's embedding and its
    own.

    Pipelines guide away from a bad score as they guide towards the prompt. Guided away from a full blur, at
    CFG 5, edges are right and colours too strong: docs/measurements.md has the numbers.
    """
    softer = copy.deepcopy(refiner)
    linear = softer.add_embedding.linear_1  # the score's embedding is its last input
    good = softer.add_time_proj(torch.tensor([GOOD], device=linear.weight.device))[0].to(linear.weight.dtype)
    with torch.no_grad():
        score = linear.weight[:, -len(good) :].clone()
        linear.bias += (1 - share) * (score @ good)
        linear.weight[:, -len(good) :] = share * score
    return softer


def score_ids(batch: Batch) -> Tensor:
    """The refiner's time ids (B, 5): original height and width, crop top and left, aesthetic score."""
    scores = torch.where(batch.blurred, BAD, GOOD)
    return torch.cat([batch.ids[:, :4], scores[:, None]], dim=1)


def refiner_loss(
    refiner: UNet2DConditionModel, base: Base, pool: list[Bucket], scaling: float, plan: Plan
) -> SplitLoss:
    """The loss by step: `velocity_loss` at the last 200 timesteps."""
    device = pool[0].latents.device
    alphas = new_scheduler().alphas_cumprod.to(device)
    empty = token_ids(base.text.tokenizers[0], [""]).to(device)

    @torch.no_grad()
    def inputs(step: int) -> tuple[Tensor, ...]:
        generator = plan.noise_generator(step, device)
        batch = sample_batch(plan.rng(5, step), generator, pool, plan.own_batch)
        timesteps = torch.randint(0, LAST, (plan.own_batch,), generator=generator, device=device)
        noisy = noise_latents(batch.latents * scaling, timesteps, alphas, generator)
        with bfloat16_where_fast(device):
            text = base.text.encode_second(torch.where(batch.has_prompt[:, None], batch.tokens, empty))
        return noisy.latents, timesteps, noisy.target, text.hidden, text.pooled, score_ids(batch)

    def loss(
        latents: Tensor, timesteps: Tensor, target: Tensor, hidden: Tensor, pooled: Tensor, ids: Tensor
    ) -> Tensor:
        added = {"text_embeds": pooled, "time_ids": ids}
        with bfloat16_where_fast(device):
            predicted = refiner(latents, timesteps, hidden, added_cond_kwargs=added).sample
        return velocity_loss(predicted.float(), target, timesteps, alphas)

    return SplitLoss(inputs, loss)
