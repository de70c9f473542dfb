"""A glimpse of a picture on its way: latents to colours by a linear map, fitted to the model's own VAE."""

import io
from typing import Any

import torch
from PIL import Image
from torch import Tensor

SHORT_SIDE = 96  # pixels: a thumbnail in a chat card, a few KB as JPEG
PATCHES = 32  # squares a side of the test card


class Preview:
    """A linear map from latent channels to red, green and blue."""

    def __init__(self, weights: Tensor) -> None:
        """weights: (channels + 1, 3), the last row is the offset; colours from 0 to 1."""
        self._weights = weights

    def jpeg(self, latents: Tensor) -> bytes:
        """A small JPEG of latents (1, channels, height, width) in the model's scaled latent space."""
        channels = latents.shape[1]
        pixels = latents[0].float().cpu().permute(1, 2, 0).reshape(-1, channels)
        colours = (with_offset(pixels) @ self._weights).clamp(0, 1).nan_to_num()
        height, width = latents.shape[-2:]
        image = Image.fromarray((colours.reshape(height, width, 3) * 255).round().byte().numpy())
        scale = SHORT_SIDE / min(height, width)
        image = image.resize((round(width * scale), round(height * scale)), Image.Resampling.BICUBIC)
        file = io.BytesIO()
        image.save(file, "JPEG", quality=80)
        return file.getvalue()


def with_offset(values: Tensor) -> Tensor:
    """values (N, channels) with a column of ones."""
    return torch.cat([values, torch.ones(len(values), 1)], dim=1)


@torch.inference_mode()
def fitted_preview(vae: Any) -> Preview:
    """The map that fits this VAE best: least squares over a card of random colour squares, encoded once.

    No table of constants is needed, so any VAE gets previews in its own colours.
    """
    generator = torch.Generator().manual_seed(0)
    factor = 2 ** (len(vae.config.block_out_channels) - 1)
    card = torch.rand(1, 3, PATCHES // 2, PATCHES // 2, generator=generator)
    card = torch.nn.functional.interpolate(card, scale_factor=2 * factor)  # squares of 2 x 2 latents
    encoded = vae.encode((card * 2 - 1).to(vae.device, vae.dtype)).latent_dist.mode()
    shift = getattr(vae.config, "shift_factor", None) or 0.0
    latents = ((encoded - shift) * vae.config.scaling_factor).float().cpu()
    colours = torch.nn.functional.avg_pool2d(card, factor)
    known = with_offset(latents[0].permute(1, 2, 0).reshape(-1, latents.shape[1]))
    wanted = colours[0].permute(1, 2, 0).reshape(-1, 3)
    return Preview(torch.linalg.lstsq(known, wanted).solution)
