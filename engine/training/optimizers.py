"""The optimizers and learning rate schedules of a training."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from engine.messages import InvalidRequest, Optimizer, Schedule, TrainingSettings

BETAS = (0.9, 0.999)
ADAM_RATES = (1e-6, 1e-2)
USUAL_RATES = {  # learning rates with which each optimizer learns; published recipes are well within
    Optimizer.ADAMW: ADAM_RATES,
    Optimizer.ADAMW_8BIT: ADAM_RATES,
    Optimizer.ADAFACTOR: ADAM_RATES,
    Optimizer.CAME: ADAM_RATES,
    Optimizer.SCHEDULE_FREE: (1e-6, 1e-1),  # larger ones than AdamW's (Defazio et al. 2024, section 4)
    Optimizer.LION: (1e-7, 1e-3),  # 3 to 10 times smaller ones than AdamW's (Chen et al. 2023, section 5)
    Optimizer.PRODIGY: (
        0.1,
        10.0,
    ),  # a factor of the rate that it finds (Mishchenko and Defazio 2023, arXiv 2306.06101, section 6)
}
# A number's step does not depend on those of its module's other numbers.
ELEMENTWISE = (Optimizer.ADAMW, Optimizer.PRODIGY, Optimizer.LION, Optimizer.SCHEDULE_FREE)
FACTORED = (Optimizer.ADAFACTOR, Optimizer.CAME)  # with second moments of rows and columns


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
            case _:
                return _make_library_optimizer(settings, param_groups)
    except ImportError as error:
        raise InvalidRequest(
            f"The optimizer {settings.optimizer} is not installed here. Choose adamw."
        ) from error


def _make_library_optimizer(settings: TrainingSettings, param_groups: list[dict[str, Any]]) -> Any:
    """The optimizers of pytorch-optimizer, whose learning rates are the settings' own.

    Adafactor (Shazeer and Stern 2018, arXiv 1804.04235) without momentum and without rates of its own, CAME
    (Luo et al. 2023, arXiv 2307.02047), Lion (Chen et al. 2023, arXiv 2302.06675), schedule-free AdamW
    (Defazio et al. 2024, arXiv 2405.15682) and Prodigy (Mishchenko and Defazio 2023, arXiv 2306.06101).
    """
    import pytorch_optimizer as library

    match settings.optimizer:
        case Optimizer.ADAFACTOR:
            return library.AdaFactor(
                param_groups, betas=(None, BETAS[1]), scale_parameter=False, relative_step=False
            )
        case Optimizer.CAME:
            return library.CAME(param_groups)
        case Optimizer.LION:
            return library.Lion(param_groups)
        case Optimizer.SCHEDULE_FREE:
            return library.ScheduleFreeAdamW(param_groups, betas=BETAS)
    if not settings.learning_rate:
        raise InvalidRequest("--lr must be above 0, since Prodigy multiplies its own rate by it. 1 is usual.")
    return library.Prodigy(param_groups, betas=BETAS, bias_correction=True, safeguard_warmup=True)


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


def rate_factor(settings: TrainingSettings, step: int, steps: int) -> float:
    """The factor of the learning rates at a step from 0 to steps - 1: warm-up, then the schedule.

    Cosine with restarts goes through its cycles one after another (Loshchilov and Hutter 2017, arXiv
    1608.03983, section 3). A schedule-free optimizer keeps the rate, as its name says.
    """
    warmup = min(settings.warmup, steps - 1)
    if step < warmup:
        return (step + 1) / (warmup + 1)
    progress = (step - warmup) / (steps - warmup)
    if settings.optimizer is Optimizer.SCHEDULE_FREE:
        return 1.0
    match settings.schedule:
        case Schedule.CONSTANT:
            return 1.0
        case Schedule.LINEAR:
            return 1 - progress
        case Schedule.COSINE:
            return 0.5 * (1 + math.cos(math.pi * progress))
        case Schedule.COSINE_RESTARTS:
            return 0.5 * (1 + math.cos(math.pi * (settings.cycles * progress % 1)))
        case Schedule.POLYNOMIAL:
            return float((1 - progress) ** settings.power)
