"""Decoding of latents to a picture, which is checked, and decoded again in float32 where it is broken."""

from typing import Any

import torch
from PIL import Image
from torch import Tensor

from engine.sdxl.host_copy import HostCopy, copy_to_host


class BrokenPicture(Exception):
    """The decoded picture is empty. The text is for the person."""


class Decoding:
    """The decoding of one picture, which the device may still be at when `start` returns.

    SDXL's own VAE overflows in float16 (its config says force_upcast), so it decodes in float32 then. A
    result with NaN or with nothing but black is decoded again in float32.
    """

    def __init__(self, vae: Any, latents: Tensor) -> None:
        """latents: (1, 4, h, w)."""
        self._vae = vae
        self._latents = latents
        upcast = vae.dtype == torch.float16 and vae.config.force_upcast
        self._precisions = [torch.float32 if upcast else vae.dtype, torch.float32]
        self._copy: HostCopy | None = None

    @property
    def started(self) -> bool:
        """Whether it was started, and its result not taken."""
        return self._copy is not None

    @property
    def ready(self) -> bool:
        """Whether its result can be taken without waiting."""
        return self._copy is not None and self._copy.ready

    @torch.inference_mode()
    def start(self) -> None:
        """Decode, and begin to copy the pixels to the host. Where it fails it can be started again."""
        pixels = decode_at(self._vae, self._latents, self._precisions[0])
        is_whole = pixels.isfinite().all() & (pixels.max() > 0)
        self._copy = copy_to_host(is_whole, (pixels[0].permute(1, 2, 0) * 255).round().byte())

    def wait(self) -> None:
        """Wait until its result is there."""
        if self._copy is not None:
            self._copy.wait()

    def take(self) -> Image.Image | None:
        """The picture, or None where it was broken and must be started again.

        Raises BrokenPicture where it was broken in float32, too.
        """
        if self._copy is None:
            raise RuntimeError("the decoding was not started")
        is_whole, pixels = self._copy.wait()
        self._copy = None
        if is_whole:
            return Image.fromarray(pixels.numpy())
        self._precisions.pop(0)
        if self._precisions:
            return None
        raise BrokenPicture(
            "The picture came out empty twice, so it is not shown. "
            "Another seed, a lower --cfg or lower LoRA weights may help."
        )


def decode(vae: Any, latents: Tensor) -> Image.Image:
    """The picture of latents (1, 4, h, w). Raises BrokenPicture."""
    decoding = Decoding(vae, latents)
    while True:
        decoding.start()
        if (image := decoding.take()) is not None:
            return image


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
    spread, centre = (
        torch.tensor(values, dtype=latents.dtype).view(1, -1, 1, 1).to(latents.device, non_blocking=True)
        for values in (std, mean)
    )
    return latents * spread / scale + centre
