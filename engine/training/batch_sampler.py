"""Which pictures are shown together: batches of one size, every picture equally often.

A batch is a function of the seed and its number alone; nothing is kept from one to the next.
"""

from collections.abc import Hashable, Sequence

import torch

from engine.training.rng import draw


class Batches:
    """The endless row of batches of a training.

    Every size has an endless stream of its own, one shuffled round of its pictures after another, cut into
    batches; sizes take turns so that each has had its share of the pictures at any time. A batch has
    `batch` rows always: of a size with fewer pictures some come twice.
    """

    def __init__(self, sizes: Sequence[Hashable], *, batch: int, seed: int) -> None:
        """sizes: of each picture; the batches tell indices into it."""
        self._members: dict[Hashable, list[int]] = {}
        for index, size in enumerate(sizes):
            self._members.setdefault(size, []).append(index)
        self._count = len(sizes)
        self._batch = batch
        self._seed = seed
        self._turns: list[tuple[Hashable, int]] = []  # whose turn each batch is, and how many it had before
        self._had = dict.fromkeys(self._members, 0)

    def batch(self, number: int) -> list[int]:
        """The pictures of the batch with this number, from 0."""
        while len(self._turns) <= number:
            self._turn()
        size, before = self._turns[number]
        start = before * self._batch
        return [self._nth(size, place) for place in range(start, start + self._batch)]

    def _turn(self) -> None:
        """The next batch is of the size that is furthest behind its share."""
        ahead = len(self._turns) + 1
        size = max(
            self._members, key=lambda one: ahead * len(self._members[one]) / self._count - self._had[one]
        )
        self._turns.append((size, self._had[size]))
        self._had[size] += 1

    def _nth(self, size: Hashable, place: int) -> int:
        members = self._members[size]
        round_number, position = divmod(place, len(members))
        generator = draw(self._seed, f"round of {members[0]}", round_number)
        return members[int(torch.randperm(len(members), generator=generator)[position])]
