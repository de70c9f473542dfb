"""Sampling of batches: which pictures of one size make up each batch, every picture equally often.

A batch depends on the seed and its number alone.
"""

from collections.abc import Hashable, Sequence

import torch
from torch import Tensor

from engine.training.rng import make_generator


class BatchSampler:
    """The endless sequence of batches of a training.

    Every size has an endless sequence of its own: one shuffled epoch of its pictures after another, cut into
    batches. Sizes take turns so that each has had its share of the pictures at any time. A batch always has
    `batch` rows: of a size with fewer pictures some come twice.
    """

    def __init__(self, sizes: Sequence[Hashable], *, batch: int, seed: int) -> None:
        """sizes: of each picture. Batches are indices into it."""
        self._members: dict[Hashable, list[int]] = {}
        for index, size in enumerate(sizes):
            self._members.setdefault(size, []).append(index)
        self._count = len(sizes)
        self._batch = batch
        self._seed = seed
        self._turns: list[
            tuple[Hashable, int]
        ] = []  # the size of each batch, and how many batches it had before
        self._had = dict.fromkeys(self._members, 0)
        self._shuffled: dict[Hashable, tuple[int, Tensor]] = {}  # the last epoch of each size, by its number

    def batch(self, number: int) -> list[int]:
        """The indices of the pictures in this batch. number: from 0."""
        while len(self._turns) <= number:
            self._assign_next()
        size, before = self._turns[number]
        start = before * self._batch
        return [self._nth(size, place) for place in range(start, start + self._batch)]

    def _assign_next(self) -> None:
        """The next batch is of the size that is furthest behind its share."""
        ahead = len(self._turns) + 1
        size = max(
            self._members,
            key=lambda size: ahead * len(self._members[size]) / self._count - self._had[size],
        )
        self._turns.append((size, self._had[size]))
        self._had[size] += 1

    def _nth(self, size: Hashable, place: int) -> int:
        members = self._members[size]
        round_number, position = divmod(place, len(members))
        last, order = self._shuffled.get(size, (-1, None))
        if order is None or last != round_number:
            generator = make_generator(self._seed, f"round of {members[0]}", round_number)
            order = torch.randperm(len(members), generator=generator)
            self._shuffled[size] = round_number, order
        return members[int(order[position])]
