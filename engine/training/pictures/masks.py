"""Masks of a training's pictures: white counts, black counts as little as the settings say, grey in between.

A mask is a picture of its own, or the transparency of the picture itself. It is scaled, mirrored and cropped
exactly as its picture, and then averaged over the pixels of each latent.
"""

from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from engine.messages import Example, TrainingSettings, stored_path

FORMATS = ("PNG", "JPEG")  # of pictures in the store


def open_mask(folder: Path, example: Example, settings: TrainingSettings) -> Image.Image | None:
    """The mask of a stored picture in shades of grey; None where it has none. Raises what Pillow raises."""
    if settings.outside == 1:
        return None
    if example.mask is not None:
        with Image.open(stored_path(folder, example.mask), formats=FORMATS) as mask:
            return mask.convert("L")
    if not settings.alpha_mask:
        return None
    with Image.open(stored_path(folder, example.sha256), formats=FORMATS) as picture:
        return picture.convert("RGBA").getchannel("A") if picture.has_transparency_data else None


def mask_problem(folder: Path, example: Example, settings: TrainingSettings, size: tuple[int, int]) -> str:
    """Why a picture of this (width, height) cannot be used with its mask, in a sentence or two, or "".

    Raises what Pillow raises.
    """
    mask = open_mask(folder, example, settings)
    if mask is None:
        return ""
    if mask.size != size:
        (width, height), (across, down) = mask.size, size
        return f"Its mask has {width}x{height} pixels. It must have {across}x{down}, as the picture has."
    if not settings.outside and mask.getbbox() is None:
        return "Its mask is black everywhere, so nothing of it would count."
    return ""


def crop_mask(
    mask: Image.Image,
    resized: tuple[int, int],
    box: tuple[int, int, int, int],
    latents: tuple[int, int],
    *,
    flip: bool,
) -> Tensor:
    """How much each latent of a crop counts by its picture's mask, (1, height, width) from 0 to 1.

    resized, box, flip: of the crop as of its picture: left, top, right and bottom in the scaled picture,
    which is mirrored before. latents: their (height, width).
    """
    scaled = mask.resize(resized, Image.Resampling.BILINEAR)
    cut = (ImageOps.mirror(scaled) if flip else scaled).crop(box)
    means = cut.resize(latents[::-1], Image.Resampling.BOX)
    return torch.from_numpy(np.asarray(means, dtype=np.float32) / 255)[None]


def mask_weights(inside: Tensor, outside: float) -> Tensor:
    """The weights of latents, from `outside`, where they do not count by the mask, to 1."""
    return inside + outside * (1 - inside)
