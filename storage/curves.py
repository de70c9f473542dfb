"""Downsampling of a long loss curve to as many points as can be drawn."""

from collections.abc import Sequence
from statistics import fmean

POINTS = 300


def downsample(losses: Sequence[float], points: int = POINTS) -> tuple[tuple[int, float], ...]:
    """The losses of steps 1, 2, 3 ... as at most so many steps, each with the mean since the one before."""
    stride = -(-len(losses) // points) or 1
    blocks = (losses[first : first + stride] for first in range(0, len(losses), stride))
    ends = (min(first + stride, len(losses)) for first in range(0, len(losses), stride))
    return tuple((end, fmean(block)) for end, block in zip(ends, blocks, strict=True))
