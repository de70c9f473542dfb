"""Batching: which paintings take the next step together."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

from engine.forward_cost import ForwardCost
from engine.sdxl.painting import Painting, Stage

STAY = 5  # steps of one group while others wait, since switching adapters costs more than a small step
SHORT = (Stage.WORDS, Stage.READ, Stage.DECODE)  # the first lets a painting join the others, the rest end it


@dataclass(kw_only=True)
class GroupTime:
    """Engine seconds of a group of paintings that can share a forward: in all, and of its last forward."""

    total: float
    last: float = 0.0


class Batcher:
    """Chooses the paintings of each step: short steps first, then the group that had the least time."""

    def __init__(self, largest_batch: int, forwards: ForwardCost) -> None:
        self._largest = largest_batch
        self._forward_cost = forwards
        self._times: dict[Hashable, GroupTime] = {}
        self._key: Hashable = None
        self._last: Sequence[Painting] = ()  # the paintings of the last forward
        self._stayed, self._seconds = 0, 0.0  # steps and seconds with this key
        self.turn: Hashable = None  # the group of the last step, for `record`: None where it was a short one

    def choose(self, paintings: Sequence[Painting]) -> list[Painting]:
        """The paintings of the next step, of these in order of arrival.

        Short steps come first. The group that ran last goes on for a few steps while it has members, so that
        adapters are not switched at every step; a slow group for fewer, or quick ones would wait for it at
        each of their steps. A single painting goes on to its end where the others take no less time. Of too
        many that could share a forward, the first ones come first, too, since taking turns would end all of
        them late. A painting that is `alone` never shares.
        """
        if (first := short_step(paintings)) is not None:
            self.turn = None
            return [first]
        group = self._group(paintings)
        alone = next((painting for painting in group if painting.alone), None)
        chosen = [alone] if alone is not None else self._affordable(group)
        self._last, self._stayed = chosen, self._stayed + 1
        self.turn = self._key
        return chosen

    def record(self, turn: Hashable, seconds: float) -> None:
        """Note how many seconds a step of this turn took."""
        if turn is None:
            return
        if (group := self._times.get(turn)) is not None:
            group.total, group.last = group.total + seconds, seconds
        if turn == self._key:
            self._seconds += seconds

    def limit_batch(self, failed: int) -> None:
        """Never choose as many at once again as just ran out of memory."""
        self._largest = max(1, min(self._largest, failed // 2))

    def _group(self, paintings: Sequence[Painting]) -> list[Painting]:
        """The paintings that could share the next forward: the last group again, or the one with the least
        time.
        """
        groups: dict[Hashable, list[Painting]] = {}
        for painting in paintings:
            groups.setdefault(painting.batch_key, []).append(painting)
        totals = [time.total for key, time in self._times.items() if key in groups]
        least = min(totals, default=0.0)  # a new group is owed nothing for the time before
        self._times = {key: self._times.get(key) or GroupTime(total=least) for key in groups}
        if self._key not in groups or (self._had_its_turn and not self._goes_on_alone(groups)):
            self._key = min(groups, key=lambda key: self._times[key].total)
            self._stayed, self._seconds = 0, 0.0
        return groups[self._key]

    @property
    def _had_its_turn(self) -> bool:
        """Whether the group had STAY steps, or as much time as the quickest group needs for them."""
        quickest = min((time.last for time in self._times.values() if time.last), default=0.0)
        return self._stayed >= STAY or self._seconds >= STAY * quickest

    def _goes_on_alone(self, groups: Mapping[Hashable, Sequence[Painting]]) -> bool:
        """Whether the last forward was of a single painting, which should go on to its end.

        Turns of a few steps would end all paintings late. But one whose forwards are of another size, or that
        has fewer steps left, should not wait for so long.
        """
        if len(self._last) != 1 or self._last[0] not in groups[self._key]:
            return False
        painting = self._last[0]
        others = [other for key, group in groups.items() if key != self._key for other in group]
        return all(
            other.cost_kind == painting.cost_kind and painting.steps_left <= other.steps_left
            for other in others
        )

    def _affordable(self, group: Sequence[Painting]) -> list[Painting]:
        alike = [painting for painting in group if painting.reuses_features == group[0].reuses_features]
        largest = alike[: self._largest]
        rows = [painting.rows for painting in largest]
        return list(largest[: self._forward_cost.best_count(largest[0].cost_kind, rows)])


def short_step(paintings: Sequence[Painting]) -> Painting | None:
    """The first painting whose next step is short, encoding before decoding; None where there is none."""
    for stage in SHORT:
        for painting in paintings:
            if painting.stage is stage:
                return painting
    return None
