"""Whose turn it is: which paintings go through the next step together."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from engine.forward_cost import Forwards
from engine.sdxl.painting import Painting, Stage

STAY = 5  # turns with one adapter mix while others wait: switching costs more than a step of a small batch
SHORT = (Stage.WORDS, Stage.DECODE)  # reading the words lets it join the others, decoding lets it go


@dataclass(kw_only=True)
class Share:
    """What those who can share a forward had of the engine: seconds in all, and for their last forward."""

    had: float
    last: float = 0.0


class Turns:
    """Short steps first, then those that had the least time, as many together as sharing pays for."""

    def __init__(self, largest_batch: int, forwards: Forwards) -> None:
        self._largest = largest_batch
        self._forwards = forwards
        self._shares: dict[Hashable, Share] = {}
        self._key: Hashable = None
        self._stayed, self._seconds = 0, 0.0  # turns and time with this key

    def choose(self, paintings: Sequence[Painting]) -> list[Painting]:
        """The paintings of the next step, from a queue in order of arrival; notes that they had their turn.

        Short steps come first. The forward that ran last goes on for a few turns while it has members, so
        that adapter mixes do not thrash; a slow one for fewer, or quick ones would wait for it at each of
        their steps. Of those who could share it and are too many, the first ones come first: taking turns
        would end all of them late. One that is `alone` never shares.
        """
        if (first := short(paintings)) is not None:
            return [first]
        group = self._group(paintings)
        return next(([one] for one in group if one.alone), None) or self._together(group)

    def took(self, seconds: float) -> None:
        """How long the forward took of those that were chosen last."""
        share = self._shares[self._key]
        share.had, share.last = share.had + seconds, seconds
        self._stayed, self._seconds = self._stayed + 1, self._seconds + seconds

    def shrink(self, failed: int) -> None:
        """Never again as many at once as just ran out of memory."""
        self._largest = max(1, min(self._largest, failed // 2))

    def _group(self, paintings: Sequence[Painting]) -> list[Painting]:
        """Those that could share a forward: as last time for a few turns, then who had the least time."""
        groups: dict[Hashable, list[Painting]] = {}
        for painting in paintings:
            groups.setdefault(painting.key, []).append(painting)
        known = [share.had for key, share in self._shares.items() if key in groups]
        least = min(known, default=0.0)  # who comes anew is owed nothing for the time before
        self._shares = {key: self._shares.get(key) or Share(had=least) for key in groups}
        if self._key not in groups or self._stayed_enough:
            self._key = min(groups, key=lambda key: self._shares[key].had)
            self._stayed, self._seconds = 0, 0.0
        return groups[self._key]

    @property
    def _stayed_enough(self) -> bool:
        """Whether the same ones had their turns, or as much time as the quickest take for theirs."""
        quickest = min((share.last for share in self._shares.values() if share.last), default=0.0)
        return self._stayed >= STAY or self._seconds >= STAY * quickest

    def _together(self, group: Sequence[Painting]) -> list[Painting]:
        most = group[: self._largest]
        return list(most[: self._forwards.worth(most[0].kind, [one.rows for one in most])])


def short(paintings: Sequence[Painting]) -> Painting | None:
    """The painting whose next step is a short one, reading before decoding."""
    for stage in SHORT:
        for painting in paintings:
            if painting.stage is stage:
                return painting
    return None
