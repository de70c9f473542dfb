"""The noise of a training, drawn on the CPU: plain, with an offset, as a pyramid, or perturbed."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

RESOLUTIONS = 6  # of pyramid noise at most


def draw_normal(shape: Sequence[int], generator: torch.Generator) -> Tensor:
    """Standard normal numbers."""
    return torch.randn(tuple(shape), generator=generator)


def add_offset(noise: Tensor, offset: float, generator: torch.Generator) -> Tensor:
    """Noise (B, C, h, w) whose channels are shifted as a whole, so that the model learns to make pictures
    dark or bright (Guttenberg 2023, "Diffusion with offset noise")."""
    return noise + offset * draw_normal((*noise.shape[:2], 1, 1), generator)


def add_pyramid(noise: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Noise (B, C, h, w) with noise of ever coarser resolutions, each with this share of the one before
    (Whitaker 2023, "Multi-resolution noise for diffusion model training").

    A resolution is two to four times coarser than the last. Each row keeps a standard deviation of 1.
    """
    height, width = noise.shape[2:]
    rate, summed = 1.0, noise
    for level in range(1, RESOLUTIONS):
        rate *= 2 + 2 * float(torch.rand((), generator=generator))
        size = max(1, int(height / rate)), max(1, int(width / rate))
        coarse = draw_normal((*noise.shape[:2], *size), generator)
        summed = summed + share**level * functional.interpolate(coarse, (height, width), mode="bilinear")
        if 1 in size:
            break
    return summed / summed.flatten(1).std(dim=1).view(-1, 1, 1, 1)


def perturb(noise: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    """The noise of an input whose target is `noise`, with more noise, as a sampler's inputs have errors
    (Ning et al. 2023, arXiv 2301.11706, algorithm 1)."""
    return noise + strength * draw_normal(noise.shape, generator)
