"""Random numbers of a training: each draw depends on the seed, its purpose and its number alone.

So a training that is interrupted and resumed has the same random numbers as one that is not.
"""

import hashlib

import torch


def derive_seed(seed: int, purpose: str, number: int) -> int:
    """A 63-bit seed for one draw."""
    digest = hashlib.sha256(f"{seed} {purpose} {number}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def make_generator(seed: int, purpose: str, number: int = 0) -> torch.Generator:
    """The generator of one draw, on the CPU, so that a seed means the same on any device."""
    return torch.Generator().manual_seed(derive_seed(seed, purpose, number))
