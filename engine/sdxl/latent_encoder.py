"""Encoding of pictures to the mean and standard deviation of their latents, to draw latents from."""

from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor


@torch.no_grad()
def encode_picture(vae: Any, pixels: NDArray[Any]) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of a picture's latents, (C, height / 8, width / 8) float32, scaled.

    pixels: (height, width, 3) uint8. SDXL's own VAE, which overflows in float16, encodes in float32.
    """
    resident = vae.dtype
    precision = torch.float32 if resident == torch.float16 and vae.config.force_upcast else resident
    values = torch.tensor(pixels).permute(2, 0, 1)[None].to(vae.device, precision) / 127.5 - 1
    if precision != resident:
        vae.to(precision)
    try:
        distribution = vae.encode(values).latent_dist
    finally:
        if precision != resident:
            vae.to(resident)
    return scale_latents(vae.config, distribution.mean.float())[0], scale_deviation(
        vae.config, distribution.std.float()
    )[0]


def scale_latents(config: Any, latents: Tensor) -> Tensor:
    """Latents at the UNet's scale, of latents at the VAE's own scale."""
    mean = getattr(config, "latents_mean", None)
    if mean is None or getattr(config, "latents_std", None) is None:
        mean = [0.0] * latents.shape[1]
    return scale_deviation(config, latents - latents.new_tensor(mean).view(1, -1, 1, 1))


def scale_deviation(config: Any, deviation: Tensor) -> Tensor:
    """A difference of latents at the UNet's scale, of one at the VAE's own scale."""
    scale: float = config.scaling_factor
    std = getattr(config, "latents_std", None)
    if std is None or getattr(config, "latents_mean", None) is None:
        return deviation * scale
    return deviation * scale / deviation.new_tensor(std).view(1, -1, 1, 1)
