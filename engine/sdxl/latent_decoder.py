"""Decoding of latents to a picture, which is checked, and decoded again in float32 where it is broken."""

from typing import Any

import torch
from PIL import Image
from torch import Tensor


class BrokenPicture(Exception):
    """The decoded picture is empty. The text is for the person."""


@torch.inference_mode()
def decode(vae: Any, latents: Tensor) -> Image.Image:
    """The picture of latents (1, 4, h, w).

    SDXL's own VAE overflows in float16 (its config says force_upcast), so it decodes in float32 then. A
    result with NaN or with nothing but black is decoded again in float32. Raises BrokenPicture where that
    does not help.
    """
    upcast = vae.dtype == torch.float16 and vae.config.force_upcast
    for precision in (torch.float32 if upcast else vae.dtype, torch.float32):
        pixels = decode_at(vae, latents, precision)
        if pixels.isfinite().all() and pixels.max() > 0:
            values = (pixels[0].permute(1, 2, 0) * 255).round().byte().cpu().numpy()
            return Image.fromarray(values)
    raise BrokenPicture(
        "The picture came out empty twice, so it is not shown. "
        "Another seed, a lower --cfg or lower LoRA weights may help."
    )


def decode_at(vae: Any, latents: Tensor, precision: torch.dtype) -> Tensor:
    """Pixels (1, 3, height, width) in float32 from 0 to 1, decoded in this precision."""
    resident = vae.dtype
    if resident != precision:
        vae.to(precision)
    try:
        pixels = vae.decode(unscale(vae.config, latents.to(precision)), return_dict=False)[0]
    finally:
        if resident != precision:
            vae.to(resident)
    values: Tensor = (pixels.float() / 2 + 0.5).clamp(0, 1)
    return values


def unscale(config: Any, latents: Tensor) -> Tensor:
    """Latents at the VAE's own scale, as StableDiffusionXLPipeline brings them there."""
    scale: float = config.scaling_factor
    mean, std = getattr(config, "latents_mean", None), getattr(config, "latents_std", None)
    if mean is None or std is None:
        return latents / scale
    shape = (1, latents.shape[1], 1, 1)
    return latents * latents.new_tensor(std).view(shape) / scale + latents.new_tensor(mean).view(shape)
