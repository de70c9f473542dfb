"""A glimpse of a picture on its way: latents to colours by a small map, fitted to the model's own VAE."""

import io
from typing import Any

import torch
from PIL import Image
from torch import Tensor

SHORT_SIDE = 96  # pixels: a thumbnail in a chat card, a few KB as JPEG
COLOURS, SPOT = 64, 8  # flat colours to fit to, each this many latents wide


class Preview:
    """A map from latent channels to red, green and blue, linear in the channels and their products.

    Linear in the channels alone is the usual way; the products cost nothing and take away a quarter of its
    error on a VAE as narrow as the one that ships (docs/measurements.md).
    """

    def __init__(self, weights: Tensor) -> None:
        """weights: (features, 3) for the features of `terms`; colours from 0 to 1."""
        self._weights = weights

    def colours(self, latents: Tensor) -> Tensor:
        """(height, width, 3) from 0 to 1 of scaled latents (1, channels, height, width)."""
        return (terms(latents) @ self._weights).clamp(0, 1).nan_to_num()[0]

    def jpeg(self, latents: Tensor) -> bytes:
        """A small JPEG of such latents."""
        height, width = latents.shape[-2:]
        image = Image.fromarray((self.colours(latents) * 255).round().byte().numpy())
        scale = SHORT_SIDE / min(height, width)
        image = image.resize((round(width * scale), round(height * scale)), Image.Resampling.BICUBIC)
        file = io.BytesIO()
        image.save(file, "JPEG", quality=80)
        return file.getvalue()


def terms(latents: Tensor) -> Tensor:
    """The channels, their products in pairs, and one: (N, h, w, features) of (N, channels, h, w)."""
    values = latents.float().cpu().permute(0, 2, 3, 1)
    first, second = torch.triu_indices(values.shape[-1], values.shape[-1])
    products = values[..., first] * values[..., second]
    return torch.cat([values, products, torch.ones_like(values[..., :1])], dim=-1)


@torch.inference_mode()
def fitted_preview(vae: Any) -> Preview:
    """The map that fits this VAE best: least squares over flat random colours, encoded once.

    No table of constants is needed, so any VAE gets previews in its own colours.
    """
    generator = torch.Generator().manual_seed(0)
    factor = 2 ** (len(vae.config.block_out_channels) - 1)
    colours = torch.rand(COLOURS, 3, 1, 1, generator=generator)
    cards = (colours * 2 - 1).expand(-1, -1, SPOT * factor, SPOT * factor).to(vae.device, vae.dtype)
    shift = getattr(vae.config, "shift_factor", None) or 0.0
    latents = (vae.encode(cards).latent_dist.mode() - shift) * vae.config.scaling_factor
    known = terms(latents).flatten(0, 2)
    wanted = colours.expand(-1, -1, SPOT, SPOT).permute(0, 2, 3, 1).flatten(0, 2)
    return Preview(torch.linalg.lstsq(known.double(), wanted.double(), driver="gelsd").solution.float())
