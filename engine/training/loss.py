"""The loss of a training: the weighted squared error of the UNet's prediction on noised latents.

Pure functions of tensors; `alphas_cumprod` is the model's own schedule, (trained timesteps,) float.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor

PredictionType = Literal["epsilon", "v_prediction"]


@dataclass(frozen=True, kw_only=True)
class Rows:
    """A micro-batch: the UNet's inputs and the target of its prediction.

    noisy, target: (B, C, h, w) float32. timesteps: (B,) int64. weights: (B,) of the errors. time_ids: (B, 6).
    captions: B of them, "" for none. thresholds: (B,) of the pseudo-Huber loss; None is the squared error.
    mask: how much the errors of each latent count, (B, 1, h, w); None is all alike.
    """

    noisy: Tensor
    target: Tensor
    timesteps: Tensor
    weights: Tensor
    time_ids: Tensor
    captions: tuple[str, ...]
    thresholds: Tensor | None = None
    mask: Tensor | None = None

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
            thresholds=None if self.thresholds is None else change(self.thresholds),
            mask=None if self.mask is None else change(self.mask),
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
            thresholds=concatenate_present(self.thresholds, other.thresholds),
            mask=self._concatenate_masks(other),
        )

    def _concatenate_masks(self, other: "Rows") -> Tensor | None:
        """The masks of both, ones where one of them has none."""
        if self.mask is None and other.mask is None:
            return None
        masks = (
            torch.ones_like(rows.target[:, :1]) if rows.mask is None else rows.mask for rows in (self, other)
        )
        return torch.cat(tuple(masks))

    def with_captions(self, captions: Sequence[str], target: Tensor) -> "Rows":
        """The same rows with other captions and another target, all of which counts."""
        return replace(self, captions=tuple(captions), target=target, mask=None)


def concatenate_present(first: Tensor | None, second: Tensor | None) -> Tensor | None:
    """Both tensors of two micro-batches of one training in one, or None where it has none."""
    return None if first is None or second is None else torch.cat([first, second])


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


def debiased_weights(timesteps: Tensor, alphas_cumprod: Tensor, predicts: PredictionType) -> Tensor:
    """Loss weights of debiased estimation (Yu et al. 2023, arXiv 2310.08442), (B,).

    1 / sqrt(SNR) where the noise is predicted, which makes errors of the picture count alike at all
    timesteps; 1 / (SNR + 1) where v is, as in kohya's trainer. SNRs count up to 1000.
    """
    alpha = alphas_cumprod[timesteps]
    snr = (alpha / (1 - alpha)).clamp(max=1000)
    return snr.rsqrt() if predicts == "epsilon" else 1 / (snr + 1)


def huber_thresholds(timesteps: Tensor, trained_timesteps: int, last: float) -> Tensor:
    """The threshold of the pseudo-Huber loss at these timesteps, (B,): from 1 at 0 to `last` at the end.

    It falls exponentially, so that outliers among pictures count least in their coarse features, at high
    noise (Khrapov et al. 2024, arXiv 2403.16728, section 3).
    """
    return (math.log(last) * timesteps / trained_timesteps).exp()


def zero_terminal_snr(alphas_cumprod: Tensor) -> Tensor:
    """The schedule shifted and scaled so that its last timestep has no signal (Lin et al. 2023, arXiv
    2305.08891, algorithm 1)."""
    roots = alphas_cumprod.double().sqrt()
    scaled = (roots - roots[-1]) * roots[0] / (roots[0] - roots[-1])
    return scaled.square().to(alphas_cumprod.dtype)


def weighted_errors(predicted: Tensor, rows: Rows) -> Tensor:
    """The weighted mean error of each row, (B,): squared, or pseudo-Huber, 2 c (sqrt(e^2 + c^2) - c).

    With a mask it is the mean over what counts, so that a small thing is learned as a large one is.
    """
    errors = (predicted - rows.target).square()
    if rows.thresholds is not None:
        c = rows.thresholds.view(-1, 1, 1, 1)
        errors = 2 * c * ((errors + c.square()).sqrt() - c)
    if rows.mask is None:
        return errors.flatten(1).mean(dim=1) * rows.weights
    counted = (errors * rows.mask).flatten(1).sum(dim=1)
    whole = rows.mask.expand_as(errors).flatten(1).sum(dim=1)
    return counted / whole.clamp(min=1.0) * rows.weights
