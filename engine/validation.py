"""Validation: which pictures are held out, which checkpoint is best, and when to give up.

The best checkpoint is the one with the lowest validation loss after the first tenth of the steps. In that
tenth the loss falls to a plateau, and dips below it by chance, long before the pictures show what was taught:
such a low must not be taken. The best-looking checkpoint often lies between the lowest loss and three times
its step, so those between are offered beside it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from engine.chance import draw
from engine.dataset import Item, held_out
from engine.messages import TrainingSettings

TIMESTEPS = (0.2, 0.4, 0.6, 0.8)  # shares of the trained timesteps
PICTURES = 16  # at most so many are looked at, or a long validation would eat the training
EARLY = 0.1  # share of the steps whose checkpoints are never the best
CANDIDATES = 3
LATE = 3  # times the step of the best, up to which others are offered


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A step that was saved, and its validation loss."""

    step: int
    loss: float


def split(items: Sequence[Item], settings: TrainingSettings) -> tuple[list[Item], list[Item]]:
    """The pictures to train on and those to validate with: all in both where none can be spared."""
    count = held_out(settings, len(items))
    order = torch.randperm(len(items), generator=draw(settings.seed, "held out")).tolist()
    if not count:
        return list(items), [items[index] for index in sorted(order[:PICTURES])]
    held = set(order[:count])
    train = [item for index, item in enumerate(items) if index not in held]
    return train, [items[index] for index in sorted(order[: min(count, PICTURES)])]


def best(checkpoints: Sequence[Checkpoint], steps: int) -> Checkpoint | None:
    """The checkpoint to use, None when there is none; `steps` are those that were planned.

    When all lie within the first tenth, the lowest of them.
    """
    late = [one for one in checkpoints if one.step > EARLY * steps]
    return min(late or checkpoints, key=lambda one: (one.loss, one.step), default=None)


def candidates(checkpoints: Sequence[Checkpoint], chosen: Checkpoint) -> tuple[int, ...]:
    """Steps of up to three others worth a look, of those after the best and up to three times its step."""
    between = [one for one in checkpoints if chosen.step < one.step <= LATE * chosen.step]
    lowest = sorted(between, key=lambda one: (one.loss, one.step))[:CANDIDATES]
    return tuple(sorted(one.step for one in lowest))


def stale(checkpoints: Sequence[Checkpoint], steps: int) -> int:
    """How many checkpoints there are since the lowest loss, those of the first tenth left out."""
    losses = [one.loss for one in checkpoints if one.step > EARLY * steps]
    return len(losses) - 1 - losses.index(min(losses)) if losses else 0
