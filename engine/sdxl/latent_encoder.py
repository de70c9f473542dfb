"""Pictures to latents, once: the mean and the spread that the VAE gives, so that every look can draw anew."""

from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor


@torch.no_grad()
def encoded(vae: Any, pixels: NDArray[Any]) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of a picture's latents, (C, height / 8, width / 8) float32, scaled.

    pixels: (height, width, 3) uint8. Where SDXL's own VAE would overflow (float16) it encodes in float32.
    """
    resident = vae.dtype
    precision = torch.float32 if resident == torch.float16 and vae.config.force_upcast else resident
    values = torch.tensor(pixels).permute(2, 0, 1)[None].to(vae.device, precision) / 127.5 - 1
    if precision != resident:
        vae.to(precision)
    try:
        found = vae.encode(values).latent_dist
    finally:
        if precision != resident:
            vae.to(resident)
    return scaled(vae.config, found.mean.float())[0], spread(vae.config, found.std.float())[0]


def scaled(config: Any, latents: Tensor) -> Tensor:
    """Latents as the UNet knows them, of latents at the VAE's own scale."""
    mean = getattr(config, "latents_mean", None)
    if mean is None or getattr(config, "latents_std", None) is None:
        mean = [0.0] * latents.shape[1]
    return spread(config, latents - latents.new_tensor(mean).view(1, -1, 1, 1))


def spread(config: Any, deviation: Tensor) -> Tensor:
    """A difference of latents, as the UNet knows them."""
    scale: float = config.scaling_factor
    std = getattr(config, "latents_std", None)
    if std is None or getattr(config, "latents_mean", None) is None:
        return deviation * scale
    return deviation * scale / deviation.new_tensor(std).view(1, -1, 1, 1)
