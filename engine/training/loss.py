"""The loss of a training: the weighted squared error of the UNet's prediction on noised latents.

Pure functions of tensors; `alphas_cumprod` is the model's own schedule, (trained timesteps,) float.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor

PredictionType = Literal["epsilon", "v_prediction"]


@dataclass(frozen=True, kw_only=True)
class Rows:
    """A micro-batch: the UNet's inputs and the target of its prediction.

    noisy, target: (B, C, h, w) float32. timesteps: (B,) int64. weights: (B,) of the squared errors. time_ids:
    (B, 6). captions: B of them, "" for none.
    """

    noisy: Tensor
    target: Tensor
    timesteps: Tensor
    weights: Tensor
    time_ids: Tensor
    captions: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.captions)

    def to(self, device: torch.device) -> "Rows":
        """The same on this device."""
        return self._map(lambda tensor: tensor.to(device, non_blocking=True))

    def pin(self) -> "Rows":
        """The same in memory of the CPU that a GPU reads while it computes."""
        return self._map(Tensor.pin_memory)

    def _map(self, change: Callable[[Tensor], Tensor]) -> "Rows":
        return replace(
            self,
            noisy=change(self.noisy),
            target=change(self.target),
            timesteps=change(self.timesteps),
            weights=change(self.weights),
            time_ids=change(self.time_ids),
        )

    def concatenate(self, other: "Rows", weight: float) -> "Rows":
        """Both in one batch, with the same gradients as in two whose losses have the weights 1 and `weight`.

        other: any number of rows of the same (C, h, w).
        """
        rows = len(self) + len(other)
        own_factor, other_factor = rows / len(self), weight * rows / len(other)
        return Rows(
            noisy=torch.cat([self.noisy, other.noisy]),
            target=torch.cat([self.target, other.target]),
            timesteps=torch.cat([self.timesteps, other.timesteps]),
            weights=torch.cat([self.weights * own_factor, other.weights * other_factor]),
            time_ids=torch.cat([self.time_ids, other.time_ids]),
            captions=self.captions + other.captions,
        )

    def with_captions(self, captions: Sequence[str], target: Tensor) -> "Rows":
        """The same rows with other captions and another target."""
        return replace(self, captions=tuple(captions), target=target)


def prediction_type(scheduler: Any) -> PredictionType:
    """What the model predicts: the noise (epsilon) or v. Raises ValueError for anything else."""
    predicts: str = scheduler.config.prediction_type
    if predicts not in ("epsilon", "v_prediction"):
        raise ValueError(f"a model that predicts {predicts} cannot be trained")
    return "v_prediction" if predicts == "v_prediction" else "epsilon"


def add_noise(latents: Tensor, noise: Tensor, timesteps: Tensor, alphas_cumprod: Tensor) -> Tensor:
    """sqrt(a) x + sqrt(1 - a) noise of latents x (B, C, h, w) (Ho et al. 2020, arXiv 2006.11239, eq. 4)."""
    alpha = alphas_cumprod[timesteps].view(-1, 1, 1, 1)
    return alpha.sqrt() * latents + (1 - alpha).sqrt() * noise


def prediction_target(
    latents: Tensor, noise: Tensor, timesteps: Tensor, alphas_cumprod: Tensor, predicts: PredictionType
) -> Tensor:
    """The target (B, C, h, w): the noise, or v = sqrt(a) noise - sqrt(1 - a) x (Salimans and Ho 2022,
    arXiv 2202.00512, section 4)."""
    if predicts == "epsilon":
        return noise
    alpha = alphas_cumprod[timesteps].view(-1, 1, 1, 1)
    return alpha.sqrt() * noise - (1 - alpha).sqrt() * latents


def snr_weights(timesteps: Tensor, alphas_cumprod: Tensor, gamma: float, predicts: PredictionType) -> Tensor:
    """Min-SNR loss weights (Hang et al. 2023, arXiv 2303.09556, eq. 5 and its form for v), (B,).

    min(SNR, gamma) is divided by SNR where the noise is predicted, by SNR + 1 where v is. With gamma 0 all
    weights are 1.
    """
    alpha = alphas_cumprod[timesteps]
    if not gamma:
        return torch.ones_like(alpha)
    snr = alpha / (1 - alpha)
    if predicts == "epsilon":
        return (gamma / snr).clamp(max=1)
    return snr.clamp(max=gamma) / (snr + 1)


def weighted_errors(predicted: Tensor, rows: Rows) -> Tensor:
    """The weighted mean squared error of each row, (B,)."""
    squared = (predicted - rows.target).square().flatten(1).mean(dim=1)
    return squared * rows.weights
