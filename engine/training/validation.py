"""Validation: held-out pictures, the loss of a checkpoint, the choice of the best, and early stopping.

A checkpoint is validated on fixed rows: pictures with the same noise at the same timesteps each time, so that
two checkpoints can be compared row by row. From some step on, the losses differ by chance only, or rise again
on held-out pictures, while the pictures still become more like those trained on: in trainings with published
curves the best-looking checkpoint is between the lowest loss and three times its step. So two rules choose,
and both prefer later checkpoints. Losses within a standard error of the lowest are as good (Breiman et al.
1984, "Classification and regression trees", section 3.4.3). And up to three times the step of the last of
those, a checkpoint is used that keeps at least half of the gain.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from engine.messages import TrainingSettings
from engine.training.dataset import count_held_out
from engine.training.rng import make_generator

TIMESTEPS = (0.2, 0.4, 0.6, 0.8)  # shares of the trained timesteps
PICTURES = 16  # at most, or a long validation would take too much of the training's time
ROWS = 32  # about so many in a validation: fewer pictures have more noises each
EARLY = 0.1  # share of the steps whose checkpoints are never the best
LATE = 3  # times the step of the last that is as good as the lowest, up to which later ones are better
WASTED = 0.5  # share of the lowest loss's gain that a later checkpoint may have lost again
ERRORS = 1.0  # standard errors by which a checkpoint may be worse than the lowest
SPREAD = (0.4, 0.7, 1.0)  # shares of the steps whose checkpoints are offered besides the best
NO_EFFECT = 1e-3  # relative change of the model's outputs below which a LoRA has learned nothing


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A saved step and its validation.

    `loss` is the mean of `losses`, one of each fixed row. `effect` is the relative change of the model's
    outputs by the LoRA. The state of an older version has the loss alone.
    """

    step: int
    loss: float
    losses: tuple[float, ...] = ()
    effect: float = math.nan


class CheckpointMeasure:
    """The validation of one checkpoint: `add` rows with the model's outputs, then make the `checkpoint`."""

    def __init__(self) -> None:
        self._losses: list[float] = []
        self._changes = self._outputs = (
            0.0  # sums of squares: of the LoRA's changes, of the outputs without it
        )

    def add(self, losses: Tensor, trained: Tensor, untrained: Tensor) -> None:
        """Add rows.

        losses: (B,) with the LoRA. trained, untrained: outputs (B, C, h, w) with and without it.
        """
        self._losses += losses.tolist()
        self._changes += float((trained - untrained).square().sum())
        self._outputs += float(untrained.square().sum())

    def checkpoint(self, step: int) -> Checkpoint:
        """The checkpoint of this step, with the rows so far."""
        effect = math.sqrt(self._changes / self._outputs) if self._outputs else math.nan
        loss = math.fsum(self._losses) / len(self._losses)
        return Checkpoint(step=step, loss=loss, losses=tuple(self._losses), effect=effect)


def noise_count(pictures: int) -> int:
    """How many noises each of so many pictures is validated with, each at all TIMESTEPS."""
    return max(1, round(ROWS / (len(TIMESTEPS) * pictures)))


def split_items(pictures: int, settings: TrainingSettings) -> tuple[Sequence[int], list[int]]:
    """The indices of the pictures to train on and of those to validate on: the same pictures where none can
    be held out."""
    count = count_held_out(settings, pictures)
    order = torch.randperm(pictures, generator=make_generator(settings.seed, "held out"))
    if not count:
        return range(pictures), sorted(order[:PICTURES].tolist())
    held = set(order[:count].tolist())
    train = [index for index in range(pictures) if index not in held]
    return train, sorted(order[: min(count, PICTURES)].tolist())


def best_checkpoint(
    checkpoints: Sequence[Checkpoint], steps: int, untaught: float = math.inf
) -> Checkpoint | None:
    """The checkpoint to use, or None where there is none.

    steps: of the whole training. untaught: the loss before the first step. The first tenth of the steps is
    left out, unless all checkpoints are in it.
    """
    late = [checkpoint for checkpoint in checkpoints if checkpoint.step > EARLY * steps] or list(checkpoints)
    if not late:
        return None
    lowest, good = _good_checkpoints(late)
    bound = lowest.loss + WASTED * max(0.0, untaught - lowest.loss)
    latest = LATE * good[-1].step
    later = [checkpoint for checkpoint in late if checkpoint.step <= latest and checkpoint.loss <= bound]
    return max([*good, *later], key=lambda checkpoint: checkpoint.step)


def _good_checkpoints(checkpoints: Sequence[Checkpoint]) -> tuple[Checkpoint, list[Checkpoint]]:
    """The checkpoint with the lowest loss, and all that are as good, in the order of their steps."""
    lowest = min(checkpoints, key=lambda checkpoint: (checkpoint.loss, checkpoint.step))
    return lowest, [checkpoint for checkpoint in checkpoints if is_as_good(checkpoint, lowest)]


def is_as_good(checkpoint: Checkpoint, lowest: Checkpoint) -> bool:
    """Whether its losses are above the lowest's only by chance.

    That is, the mean of their differences by row is within its standard error. Without rows to compare, only
    the lowest itself is as good.
    """
    if len(checkpoint.losses) != len(lowest.losses) or len(lowest.losses) < 2:
        return checkpoint.loss <= lowest.loss
    differences = torch.tensor(checkpoint.losses, dtype=torch.float64) - torch.tensor(
        lowest.losses, dtype=torch.float64
    )
    return float(differences.mean()) <= ERRORS * float(differences.std()) / math.sqrt(len(differences))


def other_candidates(checkpoints: Sequence[Checkpoint], chosen: Checkpoint, steps: int) -> tuple[int, ...]:
    """Steps of up to three other checkpoints, spread over the training, always with the last."""
    others = [
        checkpoint.step
        for checkpoint in checkpoints
        if checkpoint is not chosen and checkpoint.step > EARLY * steps
    ]
    last = checkpoints[-1].step
    nearest = {min(others, key=lambda step: abs(step - share * last)) for share in SPREAD if others}
    return tuple(sorted(nearest))


def stale_count(checkpoints: Sequence[Checkpoint], steps: int) -> int:
    """How many checkpoints came after the last that is as good as the lowest, without the first tenth of the
    steps."""
    late = [checkpoint for checkpoint in checkpoints if checkpoint.step > EARLY * steps]
    return len(late) - 1 - late.index(_good_checkpoints(late)[1][-1]) if late else 0
