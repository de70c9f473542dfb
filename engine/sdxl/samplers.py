"""The diffusers scheduler of each sampler, made from the model's own noise schedule."""

from collections.abc import Mapping
from typing import Any, Protocol

from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    DPMSolverSinglestepScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    HeunDiscreteScheduler,
    LCMScheduler,
)
from torch import Tensor

from engine.messages import InvalidRequest, Paint, Sampler
from engine.sdxl.unipc import HostUniPC

FEW = 10  # steps below which a schedule must start with pure noise, whatever its config says

# The guidance above which rounding errors of a forward grow until they can be seen (docs/architecture.md).
MOST_STABLE_GUIDANCE = {
    Sampler.DPM_SDE: 5.0,
    Sampler.LCM: 2.0,
    Sampler.EULER_ANCESTRAL: 7.5,
    Sampler.HEUN: 10.0,
}
MOST_STABLE_GUIDANCE_OF_OTHERS = 15.0

# Samplers that add noise in each step. LCM adds none in the last step of its schedule.
NOISY = (Sampler.EULER_ANCESTRAL, Sampler.DPM_SDE, Sampler.LCM)


class Scheduler(Protocol):
    """What the engine uses of a diffusers scheduler. Each painting has its own, since it has state."""

    config: Any
    timesteps: Tensor
    order: int
    init_noise_sigma: Tensor | float

    def set_timesteps(self, num_inference_steps: int) -> None: ...
    def scale_model_input(self, sample: Tensor, timestep: Tensor) -> Tensor: ...
    def add_noise(self, original_samples: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor: ...
    def step(
        self, model_output: Tensor, timestep: Tensor, sample: Tensor, **options: Any
    ) -> tuple[Tensor]: ...


# The names are A1111's, matched to classes and options by diffusers' own table (API, Schedulers, overview).
# "DPM++ SDE" is the single-step stochastic DPM-Solver++ (Lu et al. 2022, arXiv 2211.01095).
# DDIM would clip its estimate of the picture to [-1, 1], which suits pixels and not latents.
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
    Sampler.UNIPC: (HostUniPC, {}),
    Sampler.HEUN: (HeunDiscreteScheduler, {}),
    Sampler.LCM: (LCMScheduler, {}),
}


def make_scheduler(sampler: Sampler, config: Any, steps: int) -> Scheduler:
    """A new scheduler on the schedule of `config`, set to `steps` denoising steps.

    Heun calls the UNet twice a step, so it has 2 * steps - 1 timesteps. The others have one for each step.
    Sigmas stay on the CPU, so that reading one never waits for a GPU.
    """
    kind, options = SCHEDULERS[sampler]
    scheduler: Scheduler = kind.from_config(with_spacing(config, steps), **options)
    scheduler.set_timesteps(steps)
    return scheduler


def with_spacing(config: Mapping[str, Any], steps: int) -> Mapping[str, Any]:
    """The schedule's config, with the timestep spacing that suits so many steps.

    SDXL's own is "leading", which starts far from pure noise with few steps: one step at t = 1, four at
    t = 751. "trailing" starts at t = 999 with any number (Lin et al. 2023, arXiv 2305.08891, section 3.3).
    """
    return {**config, "timestep_spacing": "trailing"} if steps < FEW else config


def amplifies_rounding(sampler: Sampler, guidance_scale: float) -> bool:
    """Whether rounding errors of a forward, which depend on its number of rows, could be seen in the picture.

    Guidance makes errors grow, and most where each step starts from the last estimate and new noise.
    """
    return guidance_scale > MOST_STABLE_GUIDANCE.get(sampler, MOST_STABLE_GUIDANCE_OF_OTHERS)


def set_start(scheduler: Any, position: int) -> None:
    """Tell the scheduler which of its timesteps comes first, unless it finds that by value."""
    if hasattr(scheduler, "set_begin_index"):
        scheduler.set_begin_index(position)


def count_noises(sampler: Sampler, steps: int, *, to_the_end: bool) -> int:
    """How often this sampler draws noise in so many steps, which go `to_the_end` of its schedule or not."""
    if sampler not in NOISY:
        return 0
    return steps - 1 if sampler is Sampler.LCM and to_the_end else steps


def first_position(scheduler: Scheduler, request: Paint) -> int:
    """The timestep to begin with: of a picture to start from, only the last `strength` of the steps are done.

    As in diffusers' pipelines. Raises InvalidRequest where none would be.
    """
    if request.strength is None:
        return 0
    done = min(int(request.steps * request.strength), request.steps)
    if done < 1:
        least = -(-100 // request.steps) / 100
        raise InvalidRequest(
            f"A strength of {request.strength:g} is less than one of {request.steps} steps. "
            f"Give it at least {least:g}, or more steps."
        )
    return (request.steps - done) * scheduler.order


def cutoff_timestep(scheduler: Scheduler, refiner: float) -> int:
    """The timestep below which the refiner denoises, rounded as in diffusers' pipelines."""
    timesteps: int = scheduler.config.num_train_timesteps
    return round(timesteps - (1 - refiner) * timesteps)
