"""Each sampler's diffusers scheduler, made from the model's own schedule."""

import inspect
from collections.abc import Mapping
from typing import Any, Protocol

import torch
from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    DPMSolverSinglestepScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    HeunDiscreteScheduler,
    LCMScheduler,
    UniPCMultistepScheduler,
)
from torch import Tensor

from engine.messages import Sampler

FEW = 10  # steps below which a schedule must begin with noise alone, whatever its config says

# The guidance above which these make much of tiny differences, measured (docs/architecture.md).
STEEP = {Sampler.DPM_SDE: 5.0, Sampler.LCM: 2.0, Sampler.EULER_ANCESTRAL: 7.5, Sampler.HEUN: 10.0}
STEEP_FOR_ALL = 15.0


class Scheduler(Protocol):
    """What the engine asks of a diffusers scheduler; each painting has one of its own, for it keeps state."""

    config: Any
    timesteps: Tensor
    order: int
    init_noise_sigma: Tensor | float

    def set_timesteps(self, num_inference_steps: int) -> None: ...
    def scale_model_input(self, sample: Tensor, timestep: Tensor) -> Tensor: ...
    def step(
        self, model_output: Tensor, timestep: Tensor, sample: Tensor, **options: Any
    ) -> tuple[Tensor]: ...


# The names are A1111's, matched to classes and options by diffusers' own table (API, Schedulers, overview).
# "DPM++ SDE" is the single-step stochastic DPM-Solver++ (Lu et al. 2022, arXiv 2211.01095).
# DDIM would clip its estimate of the picture to [-1, 1], which is right for pixels and wrong for latents.
SCHEDULERS: dict[Sampler, tuple[type[Any], dict[str, Any]]] = {
    Sampler.EULER: (EulerDiscreteScheduler, {}),
    Sampler.EULER_ANCESTRAL: (EulerAncestralDiscreteScheduler, {}),
    Sampler.DPM_2M: (DPMSolverMultistepScheduler, {}),
    Sampler.DPM_2M_KARRAS: (DPMSolverMultistepScheduler, {"use_karras_sigmas": True}),
    Sampler.DPM_SDE: (
        DPMSolverSinglestepScheduler,
        {"algorithm_type": "sde-dpmsolver++", "lower_order_final": True},
    ),
    Sampler.DDIM: (DDIMScheduler, {"clip_sample": False}),
    Sampler.UNIPC: (UniPCMultistepScheduler, {}),
    Sampler.HEUN: (HeunDiscreteScheduler, {}),
    Sampler.LCM: (LCMScheduler, {}),
}


def scheduler_for(sampler: Sampler, config: Any, steps: int) -> Scheduler:
    """A fresh scheduler on the schedule of `config`, set to `steps` denoising steps.

    Heun calls the UNet twice a step, so it has 2 * steps - 1 timesteps; the others have one for each step.
    Sigmas stay on the CPU, where looking one up never waits for a GPU.
    """
    kind, options = SCHEDULERS[sampler]
    scheduler: Scheduler = kind.from_config(spaced(config, steps), **options)
    scheduler.set_timesteps(steps)
    return scheduler


def spaced(config: Mapping[str, Any], steps: int) -> Mapping[str, Any]:
    """The schedule's config, with the spacing of its timesteps that suits so few or many.

    SDXL's own is "leading", which begins far from pure noise when there are few: one step at t = 1, four at
    t = 751. "trailing" begins at t = 999 with any number (Lin et al. 2023, arXiv 2305.08891, section 3.3).
    """
    return {**config, "timestep_spacing": "trailing"} if steps < FEW else config


def steep(sampler: Sampler, guidance_scale: float) -> bool:
    """Whether the last digits of a forward, which depend on how many rows it has, could be seen in the end.

    Guidance makes errors grow, and most where each step begins from the last estimate and new noise.
    """
    return guidance_scale > STEEP.get(sampler, STEEP_FOR_ALL)


def start_at(scheduler: Any, position: int) -> None:
    """Tell the scheduler which of its timesteps comes first, unless it goes by their values."""
    if hasattr(scheduler, "set_begin_index"):
        scheduler.set_begin_index(position)


def noise_options(scheduler: Scheduler, generator: torch.Generator) -> dict[str, Any]:
    """The arguments through which this scheduler's step takes its random numbers, if it takes any."""
    takes = inspect.signature(scheduler.step).parameters
    return {"generator": generator} if "generator" in takes else {}
