"""Whose turn it is: which paintings go through the next step together."""

from collections.abc import Hashable, Sequence
from itertools import islice

from engine.painting import Painting, Stage

STAY = 4  # turns with one adapter mix while others wait: switching costs more than a step of a small batch


class Turns:
    """Short steps first, then the painting that waited longest, with whoever can share its forward."""

    def __init__(self, largest_batch: int) -> None:
        self._largest = largest_batch
        self._turn = 0
        self._key: Hashable = None
        self._stayed = 0

    def choose(self, paintings: Sequence[Painting]) -> list[Painting]:
        """The paintings of the next step, from a queue in order of arrival; notes that they had their turn.

        Short steps come first. The forward that ran last goes on for a few turns while it has members, so
        that adapter mixes do not thrash. One that is `alone` never shares.
        """
        if (first := short(paintings)) is not None:
            return [first]
        waiting = sorted(paintings, key=lambda painting: painting.last_turn)
        first = waiting[0]
        if self._stayed < STAY:
            first = next((painting for painting in waiting if painting.key == self._key), first)
        self._stayed = self._stayed + 1 if first.key == self._key else 0
        self._key = first.key
        mates = (one for one in waiting if one.key == first.key and one is not first and not one.alone)
        chosen = [first] if first.alone else [first, *islice(mates, self._largest - 1)]
        self._turn += 1
        for painting in chosen:
            painting.last_turn = self._turn
        return chosen

    def shrink(self, failed: int) -> None:
        """Never again as many at once as just ran out of memory."""
        self._largest = max(1, min(self._largest, failed // 2))


def short(paintings: Sequence[Painting]) -> Painting | None:
    """The painting whose next step is a short one: reading its words, which lets it join the others, or
    decoding, which lets it go."""
    for stage in (Stage.WORDS, Stage.DECODE):
        for painting in paintings:
            if painting.stage is stage:
                return painting
    return None
