"""Previews of unfinished pictures: a small linear map from latents to colours, fitted to the model's VAE."""

import io
from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image
from torch import Tensor

SHORT_SIDE = 96  # pixels of a preview: a few KB as JPEG
COLOURS, PATCH = 64, 8  # flat colours to fit to, and the side of each in latents


class Preview:
    """A map from latent channels to red, green and blue, linear in the channels and their products.

    Linear in the channels alone is usual. The products cost nothing, and take away a quarter of the error on
    the narrow VAE of the model that ships (docs/measurements.md).
    """

    def __init__(self, weights: Tensor) -> None:
        """weights: (F, 3), from the F features of `features` to colours from 0 to 1."""
        self._weights = weights

    def colours(self, latents: Tensor) -> Tensor:
        """Colours (h, w, 3) from 0 to 1 of scaled latents (1, C, h, w)."""
        return (features(latents) @ self._weights).clamp(0, 1).nan_to_num()[0]

    def encode_jpeg(self, latents: Tensor) -> bytes:
        """A small JPEG of scaled latents (1, C, h, w)."""
        height, width = latents.shape[-2:]
        image = Image.fromarray((self.colours(latents) * 255).round().byte().numpy())
        scale = SHORT_SIDE / min(height, width)
        return _encode(image.resize((round(width * scale), round(height * scale)), Image.Resampling.BICUBIC))


def encode_pictures(pictures: Sequence[Image.Image]) -> bytes:
    """A small JPEG of these pictures, side by side in two rows where there are more than two."""
    first = pictures[0]
    scale = SHORT_SIDE / min(first.size)
    width, height = round(first.width * scale), round(first.height * scale)
    columns = 1 if len(pictures) == 1 else 2
    whole = Image.new("RGB", (columns * width, -(-len(pictures) // columns) * height))
    for number, picture in enumerate(pictures):
        row, column = divmod(number, columns)
        shown = picture.convert("RGB").resize((width, height), Image.Resampling.BICUBIC)
        whole.paste(shown, (column * width, row * height))
    return _encode(whole)


def _encode(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=80)
    return file.getvalue()


def features(latents: Tensor) -> Tensor:
    """The channels, their products in pairs, and 1, as (N, h, w, F), of latents (N, C, h, w)."""
    values = latents.float().cpu().permute(0, 2, 3, 1)
    first, second = torch.triu_indices(values.shape[-1], values.shape[-1])
    products = values[..., first] * values[..., second]
    return torch.cat([values, products, torch.ones_like(values[..., :1])], dim=-1)


@torch.inference_mode()
def fit_preview(vae: Any) -> Preview:
    """The map that fits this VAE best, by least squares over flat random colours that it encodes.

    It needs no table of constants, so any VAE has previews in its own colours.
    """
    generator = torch.Generator().manual_seed(0)
    factor = 2 ** (len(vae.config.block_out_channels) - 1)
    colours = torch.rand(COLOURS, 3, 1, 1, generator=generator)
    patches = (colours * 2 - 1).expand(-1, -1, PATCH * factor, PATCH * factor).to(vae.device, vae.dtype)
    shift = getattr(vae.config, "shift_factor", None) or 0.0
    latents = (vae.encode(patches).latent_dist.mode() - shift) * vae.config.scaling_factor
    inputs = features(latents).flatten(0, 2)
    outputs = colours.expand(-1, -1, PATCH, PATCH).permute(0, 2, 3, 1).flatten(0, 2)
    return Preview(torch.linalg.lstsq(inputs.double(), outputs.double(), driver="gelsd").solution.float())
