"""The optimizers and learning rate schedules of a training."""

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
USUAL_RATES = {  # learning rates with which each optimizer learns; published recipes are well within
    Optimizer.ADAMW: (1e-6, 1e-2),
    Optimizer.ADAMW_8BIT: (1e-6, 1e-2),
    Optimizer.PRODIGY: (
        0.1,
        10.0,
    ),  # a factor of the rate that it finds (Mishchenko and Defazio 2023, arXiv 2306.06101, section 6)
}


ELEMENTWISE = (Optimizer.ADAMW, Optimizer.PRODIGY)  # a number's step does not depend on its module's others


@dataclass(frozen=True, kw_only=True)
class Group:
    """Parameters with the same learning rate and weight decay."""

    parameters: Sequence[Tensor]
    rate: float
    decay: float


def make_optimizer(settings: TrainingSettings, groups: Sequence[Group]) -> Any:
    """A torch optimizer over these groups. Raises InvalidRequest where its package is not installed.

    Prodigy finds one rate for all, so it uses `learning_rate` alone, which is usually 1.
    """
    prodigy = settings.optimizer is Optimizer.PRODIGY
    param_groups = [
        {
            "params": list(group.parameters),
            "lr": settings.learning_rate if prodigy else group.rate,
            "weight_decay": group.decay,
        }
        for group in groups
    ]
    try:
        match settings.optimizer:
            case Optimizer.ADAMW:
                return torch.optim.AdamW(param_groups, betas=BETAS, fused=True)
            case Optimizer.ADAMW_8BIT:
                import bitsandbytes

                optim: Any = bitsandbytes.optim
                return optim.AdamW8bit(param_groups, betas=BETAS)
            case Optimizer.PRODIGY:
                return _make_prodigy(settings, param_groups)
    except ImportError as error:
        raise InvalidRequest(
            f"The optimizer {settings.optimizer} is not installed here. Choose adamw."
        ) from error


def rate_warning(settings: TrainingSettings) -> str:
    """A warning about a learning rate far from those that its optimizer learns with, or ""."""
    low, high = USUAL_RATES[settings.optimizer]
    rate = settings.learning_rate
    if low <= rate <= high:
        return ""
    usual = f"{settings.optimizer} learns with {low:g} to {high:g}"
    if rate > high:
        return f"The learning rate is {rate:g}, but {usual}. Pictures may become noise."
    return f"The learning rate is {rate:g}, but {usual}. It will learn almost nothing."


def _make_prodigy(settings: TrainingSettings, param_groups: list[dict[str, Any]]) -> Any:
    from prodigyopt import Prodigy  # type: ignore[import-untyped]

    if not settings.learning_rate:
        raise InvalidRequest("--lr must be above 0, since Prodigy multiplies its own rate by it. 1 is usual.")
    with contextlib.redirect_stdout(io.StringIO()):  # it prints its arguments
        return Prodigy(param_groups, betas=BETAS, use_bias_correction=True, safeguard_warmup=True)


def rate_factor(settings: TrainingSettings, step: int, steps: int) -> float:
    """The factor of the learning rates at a step from 0 to steps - 1: warm-up, then the schedule."""
    warmup = min(settings.warmup, steps - 1)
    if step < warmup:
        return (step + 1) / (warmup + 1)
    progress = (step - warmup) / (steps - warmup)
    match settings.schedule:
        case Schedule.CONSTANT:
            return 1.0
        case Schedule.LINEAR:
            return 1 - progress
        case Schedule.COSINE:
            return 0.5 * (1 + math.cos(math.pi * progress))
