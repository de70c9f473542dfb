"""Optimizers and learning rates of a training."""

import contextlib
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from engine.messages import InvalidRequest, Optimizer, Schedule, TrainingSettings

BETAS = (0.9, 0.999)
USUAL_RATES = {  # learning rates with which each of them learns at all; published recipes lie well within
    Optimizer.ADAMW: (1e-6, 1e-2),
    Optimizer.ADAMW_8BIT: (1e-6, 1e-2),
    Optimizer.PRODIGY: (
        0.1,
        10.0,
    ),  # a factor of the rate that it finds (Mishchenko and Defazio 2023, section 6)
}


@dataclass(frozen=True, kw_only=True)
class Group:
    """Parameters that share a learning rate, and how strongly they decay."""

    parameters: Sequence[Tensor]
    rate: float
    decay: float


def optimizer(settings: TrainingSettings, groups: Sequence[Group]) -> Any:
    """A torch optimizer over these groups. Raises InvalidRequest when its package is not installed.

    Prodigy finds one rate for all, so it takes `learning_rate` alone, which is 1 as a rule.
    """
    prodigy = settings.optimizer is Optimizer.PRODIGY
    told = [
        {
            "params": list(group.parameters),
            "lr": settings.learning_rate if prodigy else group.rate,
            "weight_decay": group.decay,
        }
        for group in groups
        if group.parameters
    ]
    try:
        match settings.optimizer:
            case Optimizer.ADAMW:
                return torch.optim.AdamW(told, betas=BETAS, fused=True)
            case Optimizer.ADAMW_8BIT:
                import bitsandbytes

                found: Any = bitsandbytes.optim
                return found.AdamW8bit(told, betas=BETAS)
            case Optimizer.PRODIGY:
                return _prodigy(settings, told)
    except ImportError as error:
        raise InvalidRequest(
            f"the optimizer {settings.optimizer} is not installed here: choose adamw."
        ) from error


def odd_rate(settings: TrainingSettings) -> str:
    """What is to be said of a learning rate far from what its optimizer learns with; empty when it is not."""
    low, high = USUAL_RATES[settings.optimizer]
    rate = settings.learning_rate
    if low <= rate <= high:
        return ""
    usual = f"{settings.optimizer} learns with {low:g} to {high:g}"
    if rate > high:
        return f"The learning rate is {rate:g}, but {usual}: pictures may become noise."
    return f"The learning rate is {rate:g}, but {usual}: it will learn next to nothing."


def _prodigy(settings: TrainingSettings, told: list[dict[str, Any]]) -> Any:
    from prodigyopt import Prodigy  # type: ignore[import-untyped]

    if not settings.learning_rate:
        raise InvalidRequest("lr is 0, but Prodigy multiplies its own rate by it: 1 is usual.")
    with contextlib.redirect_stdout(io.StringIO()):  # it prints what it was told
        return Prodigy(told, betas=BETAS, use_bias_correction=True, safeguard_warmup=True)


def rate_factor(settings: TrainingSettings, step: int, steps: int) -> float:
    """What the learning rates are multiplied by at a step from 0 to steps - 1: warm-up, then the schedule."""
    warmup = min(settings.warmup, steps - 1)
    if step < warmup:
        return (step + 1) / (warmup + 1)
    done = (step - warmup) / (steps - warmup)
    match settings.schedule:
        case Schedule.CONSTANT:
            return 1.0
        case Schedule.LINEAR:
            return 1 - done
        case Schedule.COSINE:
            return 0.5 * (1 + math.cos(math.pi * done))
