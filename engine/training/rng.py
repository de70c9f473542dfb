"""Random numbers of a training: each draw is a function of the seed, of what it is for, and of its number.

So a run that stops and goes on draws what it would have drawn, whatever is painted in between.
"""

import hashlib

import torch


def seed_of(seed: int, purpose: str, number: int) -> int:
    """A seed of 63 bits for one draw."""
    digest = hashlib.sha256(f"{seed} {purpose} {number}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def draw(seed: int, purpose: str, number: int = 0) -> torch.Generator:
    """The source of one draw, on the CPU: a seed means the same everywhere."""
    return torch.Generator().manual_seed(seed_of(seed, purpose, number))
