"""Validation: which pictures are held out, what a checkpoint is measured by, which one is used, when to give
up.

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

from engine.chance import draw
from engine.dataset import Item, held_out
from engine.messages import TrainingSettings

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
    answers to the captions, in shares of the answers; `drift` likewise without the trigger. The state of an
    older version has the loss alone.
    """

    step: int
    loss: float
    losses: tuple[float, ...] = ()
    effect: float = math.nan
    drift: float = math.nan


@dataclass(frozen=True, kw_only=True)
class Answers:
    """What the model answers to fixed rows: (B, C, h, w) float32, under the captions and without the
    trigger."""

    own: Tensor
    ordinary: Tensor


class Measure:
    """The measure of one checkpoint; `add` each row of pictures with what is answered to it, then
    `checkpoint`."""

    def __init__(self) -> None:
        self._losses: list[float] = []
        self._moved = [0.0, 0.0]  # squared, by the LoRA: under the captions, and without the trigger
        self._answers = [0.0, 0.0]  # squared, without it

    def add(self, losses: Tensor, taught: Answers, untaught: Answers) -> None:
        """losses: (B,) of the taught answers."""
        self._losses += losses.tolist()
        pairs = ((taught.own, untaught.own), (taught.ordinary, untaught.ordinary))
        for place, (now, before) in enumerate(pairs):
            self._moved[place] += float((now - before).square().sum())
            self._answers[place] += float(before.square().sum())

    def checkpoint(self, step: int) -> Checkpoint:
        """What was measured, as that of this step."""
        effect, drift = (
            math.sqrt(moved / answers) if answers else math.nan
            for moved, answers in zip(self._moved, self._answers, strict=True)
        )
        loss = math.fsum(self._losses) / len(self._losses)
        return Checkpoint(step=step, loss=loss, losses=tuple(self._losses), effect=effect, drift=drift)


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
    late = _late(checkpoints, steps)
    if not late:
        return None
    lowest = min(late, key=lambda one: (one.loss, one.step))
    bound = lowest.loss + WASTED * max(0.0, untaught - lowest.loss)
    last = LATE * _last_good(late).step
    return max(
        (one for one in late if one is lowest or (one.step <= last and one.loss <= bound)),
        key=lambda one: one.step,
    )


def _late(checkpoints: Sequence[Checkpoint], steps: int) -> list[Checkpoint]:
    return [one for one in checkpoints if one.step > EARLY * steps] or list(checkpoints)


def _last_good(checkpoints: Sequence[Checkpoint]) -> Checkpoint:
    """The latest of those that are as good as the lowest."""
    lowest = min(checkpoints, key=lambda one: (one.loss, one.step))
    return max((one for one in checkpoints if as_good(one, lowest)), key=lambda one: one.step)


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
    return len(late) - 1 - late.index(_last_good(late)) if late else 0
