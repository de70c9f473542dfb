"""The noising of latents: micro-batches with noise, timesteps, targets and weights by the settings."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from engine.messages import InvalidRequest, TrainingSettings
from engine.training.loss import (
    Rows,
    add_noise,
    debiased_weights,
    huber_thresholds,
    prediction_target,
    prediction_type,
    snr_weights,
    zero_terminal_snr,
)
from engine.training.noise import add_offset, add_pyramid, draw_normal, perturb


@dataclass(frozen=True, kw_only=True)
class Latents:
    """A batch of crops without noise: their latents' mean and standard deviation (B, C, h, w), SDXL's time
    ids (B, 6), and how much each latent counts (B, 1, h, w); None is everywhere alike."""

    mean: Tensor
    std: Tensor
    time_ids: Tensor
    mask: Tensor | None = None

    def draw(self, generator: torch.Generator) -> Tensor:
        """Latents from their distributions."""
        return self.mean + self.std * draw_normal(self.mean.shape, generator)


class Noising:
    """Makes rows of latents, on the CPU."""

    def __init__(self, settings: TrainingSettings, scheduler: Any) -> None:
        """scheduler: of the model. Raises InvalidRequest where the settings do not fit its predictions."""
        self._settings = settings
        self._alphas: Tensor = scheduler.alphas_cumprod.to("cpu", torch.float32)
        self._predicts = prediction_type(scheduler)
        if settings.zero_snr:
            if self._predicts == "epsilon":
                raise InvalidRequest("This model predicts noise. --zero-snr is for models that predict v.")
            self._alphas = zero_terminal_snr(self._alphas)

    @property
    def timesteps(self) -> int:
        """How many timesteps the model was trained at."""
        return len(self._alphas)

    def rows(self, crops: Latents, captions: Sequence[str], generator: torch.Generator) -> Rows:
        """Rows to train on."""
        settings = self._settings
        latents = crops.draw(generator)
        noise = draw_normal(latents.shape, generator)
        if settings.noise_offset:
            noise = add_offset(noise, settings.noise_offset, generator)
        timesteps = torch.randint(self.timesteps, (len(captions),), generator=generator)
        if settings.pyramid_noise:
            noise = add_pyramid(noise, settings.pyramid_noise, generator)
        strength = settings.input_perturbation
        seen = perturb(noise, strength, generator) if strength else noise
        return self._rows(crops, captions, timesteps, latents, noise=noise, seen=seen)

    def fixed_rows(
        self, crops: Latents, captions: Sequence[str], generator: torch.Generator, timesteps: Tensor
    ) -> Rows:
        """Rows to validate on: plain noise at these timesteps (B,)."""
        latents = crops.draw(generator)
        noise = draw_normal(latents.shape, generator)
        return self._rows(crops, captions, timesteps, latents, noise=noise, seen=noise)

    def _rows(
        self,
        crops: Latents,
        captions: Sequence[str],
        timesteps: Tensor,
        latents: Tensor,
        *,
        noise: Tensor,
        seen: Tensor,
    ) -> Rows:
        """noise: of the targets. seen: that of the inputs."""
        return Rows(
            noisy=add_noise(latents, seen, timesteps, self._alphas),
            target=prediction_target(latents, noise, timesteps, self._alphas, self._predicts),
            timesteps=timesteps,
            weights=self._weights(timesteps),
            time_ids=crops.time_ids,
            captions=tuple(captions),
            thresholds=self._thresholds(timesteps),
            mask=crops.mask,
        )

    def _weights(self, timesteps: Tensor) -> Tensor:
        if self._settings.debiased:
            return debiased_weights(timesteps, self._alphas, self._predicts)
        return snr_weights(timesteps, self._alphas, self._settings.min_snr_gamma, self._predicts)

    def _thresholds(self, timesteps: Tensor) -> Tensor | None:
        huber = self._settings.huber
        return huber_thresholds(timesteps, self.timesteps, huber) if huber else None
