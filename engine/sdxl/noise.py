"""The noise that paintings start from and that samplers add."""

from collections.abc import Sequence

import torch
from torch import Tensor

SMALLEST_ANGLE = 0.01  # radians between two latents, below which float32 has no arc between them


def draw_noises(
    generator: torch.Generator, count: int, shape: Sequence[int], dtype: torch.dtype
) -> list[Tensor]:
    """So many draws of noise of this shape, one by one as a scheduler would.

    They are drawn on the CPU: a seed is the same on any device.
    """
    return [torch.randn(tuple(shape), generator=generator, dtype=dtype) for _ in range(count)]


def move_together(noises: Sequence[Tensor], device: torch.device) -> Sequence[Tensor]:
    """Noises of one shape on this device, moved there in one piece."""
    return torch.stack(list(noises)).to(device, non_blocking=True).unbind() if noises else ()


def slerp(start: Tensor, end: Tensor, share: float) -> Tensor:
    """Spherical interpolation between two latents, at a share from 0 to 1 (Shoemake 1985, section 3.3).

    Linear interpolation of two draws of noise would have too small a variance in the middle.
    """
    first, last = start.float(), end.float()
    cosine = (first * last).sum() / (first.norm() * last.norm())
    angle = torch.arccos(cosine.clamp(-1, 1))
    if angle < SMALLEST_ANGLE:
        return start
    mixed = torch.sin((1 - share) * angle) * first + torch.sin(share * angle) * last
    return (mixed / torch.sin(angle)).to(start.dtype)
