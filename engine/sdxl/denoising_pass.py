"""One pass of denoising with one UNet: its scheduler, its position, and what its steps need on the device."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from engine.sdxl.fast_steps import FastStep
from engine.sdxl.samplers import Scheduler

BATCHES = 2  # of which the joined conditioning is remembered


@dataclass(frozen=True, kw_only=True, eq=False)
class Conditioning:
    """The UNet's inputs beside latents and timestep, in rows: the negative prompt's comes first under CFG.

    hidden: the text's states, or its keys and values (engine/sdxl/cross_attention.py).
    """

    hidden: Tensor
    pooled: Tensor
    time_ids: Tensor

    def last(self, rows: int) -> "Conditioning":
        """Its last rows: of one row, that of the prompt."""
        if rows == len(self.hidden):
            return self
        return Conditioning(
            hidden=self.hidden[-rows:], pooled=self.pooled[-rows:], time_ids=self.time_ids[-rows:]
        )


@lru_cache(maxsize=BATCHES)
def join_conditioning(*parts: Conditioning) -> Conditioning:
    """These as one batch. The last batches are remembered, since the same pictures step on together."""
    if len(parts) == 1:
        return parts[0]
    return Conditioning(
        hidden=torch.cat([part.hidden for part in parts]),
        pooled=torch.cat([part.pooled for part in parts]),
        time_ids=torch.cat([part.time_ids for part in parts]),
    )


@dataclass(kw_only=True)
class DenoisingPass:
    """Denoising with the base's UNet or the refiner's, at a position in its timesteps.

    Nothing in its steps waits for the device: what they read is on the CPU, and what they compute with is on
    the device from the start. timesteps: (steps,) on the CPU; device_timesteps: the same, in float32;
    noises: what the scheduler adds, (1, 4, h, w) each, on the device; fast_steps: empty where all are exact;
    deep: the UNet's deep features (rows, channels, h, w), of the last fast step that computed them.
    """

    scheduler: Scheduler
    timesteps: Tensor
    device_timesteps: Tensor
    conditioning: Conditioning
    noises: Sequence[Tensor]
    position: int = 0
    fast_steps: Sequence[FastStep] = ()
    deep: Tensor | None = None

    def __post_init__(self) -> None:
        self._noise = DrawnNoise(self.noises) if self.noises else None

    @property
    def is_done(self) -> bool:
        return self.position >= len(self.timesteps)

    @property
    def fast_step(self) -> FastStep | None:
        """What its next step leaves out; None where it is exact."""
        return self.fast_steps[self.position] if self.fast_steps and not self.is_done else None

    @property
    def timestep(self) -> Tensor:
        """The current timestep, on the CPU."""
        return self.timesteps[self.position]

    def step(self, predicted: Tensor, latents: Tensor) -> Tensor:
        """The latents after this step, given what the UNet predicts for them, (1, 4, h, w) each."""
        if self._noise is None:
            latents = self.scheduler.step(predicted, self.timestep, latents, return_dict=False)[0]
        else:
            with self._noise:
                latents = self.scheduler.step(predicted, self.timestep, latents, return_dict=False)[0]
        self.position += 1
        return latents


class DrawnNoise(TorchFunctionMode):
    """A context in which torch.randn returns noise that was drawn before, in its order.

    diffusers' schedulers draw in each step: on the CPU, so that a seed is the same on any device, and the
    copy then waits for the device.
    """

    def __init__(self, noises: Iterable[Tensor]) -> None:
        super().__init__()
        self._noises = iter(noises)

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func is not torch.randn:
            return func(*args, **(kwargs or {}))
        noise = next(self._noises, None)
        if noise is None:
            raise RuntimeError("the scheduler draws more noise than was drawn for it")
        return noise


@dataclass(frozen=True, kw_only=True, eq=False)
class Hole:
    """The part of a picture that is painted anew, in latents; all (1, 4, h, w) but the mask, (1, 1, h, w).

    picture: the whole, with which what is not painted is kept, noised by `noise`. remainder: the picture with
    grey in the hole, which UNets with 9 channels see.
    """

    mask: Tensor
    picture: Tensor
    noise: Tensor
    remainder: Tensor

    def restore(self, latents: Tensor, current: DenoisingPass) -> Tensor:
        """The latents after a step of this pass, with the picture's around the hole.

        As StableDiffusionXLInpaintPipeline does for UNets with 4 channels.
        """
        around = self.picture
        if not current.is_done:
            around = current.scheduler.add_noise(around, self.noise, current.timestep[None])
        return (1 - self.mask) * around + self.mask * latents
