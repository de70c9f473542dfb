"""Validation: which pictures are held out, what a checkpoint is measured by, which is used, when to give up.

A checkpoint is measured on fixed rows: pictures under the same noise at the same timesteps each time, so that
two checkpoints are compared row by row. From a step on the losses differ by less than chance, or rise again
on pictures held out, while what is painted still gets more like what is taught: of trainings with published
curves the best-looking checkpoint lies between the lowest loss and three times its step. So two rules choose,
and both prefer the later: losses within a standard error of the lowest are as good (Breiman et al. 1984,
"Classification and regression trees", section 3.4.3), and up to three times the step of the last of those a
checkpoint is used that has kept at least half of what was gained.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from engine.messages import TrainingSettings
from engine.training.dataset import Item, held_out
from engine.training.rng import draw

TIMESTEPS = (0.2, 0.4, 0.6, 0.8)  # shares of the trained timesteps
PICTURES = 16  # at most so many are looked at, or a long validation would eat the training
ROWS = 32  # about so many are measured: fewer pictures are looked at under more noises
EARLY = 0.1  # share of the steps whose checkpoints are never the best
LATE = 3  # times the step of the last that is as good as the lowest, up to which later ones are better still
WASTED = 0.5  # share of what the lowest loss gained that a later checkpoint may have lost again
ERRORS = 1.0  # standard errors by which a checkpoint may be worse than the lowest
SPREAD = (0.4, 0.7, 1.0)  # of the steps, whose checkpoints are offered beside the best
NOTHING = 1e-3  # share of the model's answers below which a LoRA has learned nothing


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A step that was saved, and how good it is.

    `loss` is the mean of `losses`, one of each fixed row. `effect` is how far the LoRA moves the model's
    answers to them, in shares of the answers. The state of an older version has the loss alone.
    """

    step: int
    loss: float
    losses: tuple[float, ...] = ()
    effect: float = math.nan


class Measure:
    """The measure of one checkpoint: `add` rows with what is answered to them, then `checkpoint`."""

    def __init__(self) -> None:
        self._losses: list[float] = []
        self._moved = self._answers = 0.0  # squares, summed: of what the LoRA changes, of what it changes

    def add(self, losses: Tensor, taught: Tensor, untaught: Tensor) -> None:
        """losses: (B,) of the taught answers; taught, untaught: (B, C, h, w), with and without the LoRA."""
        self._losses += losses.tolist()
        self._moved += float((taught - untaught).square().sum())
        self._answers += float(untaught.square().sum())

    def checkpoint(self, step: int) -> Checkpoint:
        """What was measured, as that of this step."""
        effect = math.sqrt(self._moved / self._answers) if self._answers else math.nan
        loss = math.fsum(self._losses) / len(self._losses)
        return Checkpoint(step=step, loss=loss, losses=tuple(self._losses), effect=effect)


def noises(pictures: int) -> int:
    """Under how many noises each of so many pictures is looked at, each at all TIMESTEPS."""
    return max(1, round(ROWS / (len(TIMESTEPS) * pictures)))


def split(items: Sequence[Item], settings: TrainingSettings) -> tuple[list[Item], list[Item]]:
    """The pictures to train on and those to validate with: all in both where none can be spared."""
    count = held_out(settings, len(items))
    order = torch.randperm(len(items), generator=draw(settings.seed, "held out")).tolist()
    if not count:
        return list(items), [items[index] for index in sorted(order[:PICTURES])]
    held = set(order[:count])
    train = [item for index, item in enumerate(items) if index not in held]
    return train, [items[index] for index in sorted(order[: min(count, PICTURES)])]


def best(checkpoints: Sequence[Checkpoint], steps: int, untaught: float = math.inf) -> Checkpoint | None:
    """The checkpoint to use, None when there is none.

    steps: those that were planned; untaught: the loss before the first of them. When all checkpoints lie
    within the first tenth, as if they did not.
    """
    late = [one for one in checkpoints if one.step > EARLY * steps] or list(checkpoints)
    if not late:
        return None
    lowest, good = _good(late)
    bound = lowest.loss + WASTED * max(0.0, untaught - lowest.loss)
    later = [one for one in late if one.step <= LATE * good[-1].step and one.loss <= bound]
    return max([*good, *later], key=lambda one: one.step)


def _good(checkpoints: Sequence[Checkpoint]) -> tuple[Checkpoint, list[Checkpoint]]:
    """The one with the lowest loss, and all that are as good, by their steps."""
    lowest = min(checkpoints, key=lambda one: (one.loss, one.step))
    return lowest, [one for one in checkpoints if as_good(one, lowest)]


def as_good(checkpoint: Checkpoint, lowest: Checkpoint) -> bool:
    """Whether its losses are above the lowest's by no more than chance: their differences row by row have a
    mean within its standard error. Without rows to compare, only the lowest itself is."""
    if len(checkpoint.losses) != len(lowest.losses) or len(lowest.losses) < 2:
        return checkpoint.loss <= lowest.loss
    worse = torch.tensor(checkpoint.losses, dtype=torch.float64) - torch.tensor(
        lowest.losses, dtype=torch.float64
    )
    return float(worse.mean()) <= ERRORS * float(worse.std()) / math.sqrt(len(worse))


def candidates(checkpoints: Sequence[Checkpoint], chosen: Checkpoint, steps: int) -> tuple[int, ...]:
    """Steps of up to three others worth a look: a spread over the run, the last one always among them."""
    others = [one.step for one in checkpoints if one is not chosen and one.step > EARLY * steps]
    last = checkpoints[-1].step
    nearest = {min(others, key=lambda step: abs(step - share * last)) for share in SPREAD if others}
    return tuple(sorted(nearest))


def stale(checkpoints: Sequence[Checkpoint], steps: int) -> int:
    """How many checkpoints there are since the last that is as good as the lowest, those of the first tenth
    left out."""
    late = [one for one in checkpoints if one.step > EARLY * steps]
    return len(late) - 1 - late.index(_good(late)[1][-1]) if late else 0
