"""Whose turn it is: which paintings go through the next step together."""

from collections.abc import Hashable, Sequence

from engine.forwards import Forwards
from engine.painting import Painting, Stage

STAY = 4  # turns with one adapter mix while others wait: switching costs more than a step of a small batch


class Turns:
    """Short steps first, then those that waited longest, as many together as sharing a forward pays for."""

    def __init__(self, largest_batch: int, forwards: Forwards) -> None:
        self._largest = largest_batch
        self._forwards = forwards
        self._turn = 0
        self._key: Hashable = None
        self._stayed = 0

    def choose(self, paintings: Sequence[Painting]) -> list[Painting]:
        """The paintings of the next step, from a queue in order of arrival; notes that they had their turn.

        Short steps come first. The forward that ran last goes on for a few turns while it has members, so
        that adapter mixes do not thrash. Of those who could share it and are too many, the first ones come
        first: taking turns would end all of them late. One that is `alone` never shares.
        """
        if (first := short(paintings)) is not None:
            return [first]
        group = self._group(paintings)
        chosen = next(([one] for one in group if one.alone), None) or self._together(group)
        self._turn += 1
        for painting in chosen:
            painting.last_turn = self._turn
        return chosen

    def shrink(self, failed: int) -> None:
        """Never again as many at once as just ran out of memory."""
        self._largest = max(1, min(self._largest, failed // 2))

    def _group(self, paintings: Sequence[Painting]) -> list[Painting]:
        """Those that could share a forward: as last time for a few turns, then those that waited longest."""
        groups: dict[Hashable, list[Painting]] = {}
        for painting in paintings:
            groups.setdefault(painting.key, []).append(painting)
        if self._key not in groups or self._stayed >= STAY:
            key = min(groups, key=lambda one: max(painting.last_turn for painting in groups[one]))
            self._stayed = 0 if key != self._key else self._stayed + 1
            self._key = key
        else:
            self._stayed += 1
        return groups[self._key]

    def _together(self, group: Sequence[Painting]) -> list[Painting]:
        most = group[: self._largest]
        return list(most[: self._forwards.worth(most[0].kind, [one.rows for one in most])])


def short(paintings: Sequence[Painting]) -> Painting | None:
    """The painting whose next step is a short one: reading its words, which lets it join the others, or
    decoding, which lets it go."""
    for stage in (Stage.WORDS, Stage.DECODE):
        for painting in paintings:
            if painting.stage is stage:
                return painting
    return None
