"""Masks of the part of a picture that is painted anew: white is painted, black stays."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageDraw, ImageFilter
from scipy.ndimage import gaussian_filter

from engine.messages import InvalidRequest, Source

SMALLEST_WEIGHT, NEAR_WEIGHT = 1e-6, 0.1  # of what is known around a pixel: at the second all of it counts
HALF = 128  # of 255: where a mask is as bright, it is painted


def make_mask(source: Source, picture: Image.Image, file: Image.Image | None) -> Image.Image:
    """The grey mask of what the source says of this picture; `file` is the mask that was sent.

    Raises InvalidRequest where nothing would be painted, or all of it.
    """
    mask = Image.new("L", picture.size)
    if file is not None:
        _check_size(file, picture)
        mask = read_mask(file)
    draw = ImageDraw.Draw(mask)
    for region in source.regions:
        left, right = (round(share * picture.width) for share in (region.left, region.right))
        top, bottom = (round(share * picture.height) for share in (region.top, region.bottom))
        draw.rectangle((left, top, right - 1, bottom - 1), fill=255)
    if source.invert:
        mask = ImageChops.invert(mask)
    shorter = min(picture.size)
    if pixels := round(source.grow * shorter):
        mask = mask.filter(ImageFilter.MaxFilter(2 * pixels + 1))
    _check_filled(mask)
    return soften(mask, source.feather * shorter)


def read_mask(file: Image.Image) -> Image.Image:
    """The mask in a picture: white is painted, or what is transparent where something is."""
    if file.mode in ("RGBA", "LA", "PA"):
        alpha = file.getchannel("A")
        if any(alpha.histogram()[:255]):
            return ImageChops.invert(alpha)
    return file.convert("L")


def soften(mask: Image.Image, pixels: float) -> Image.Image:
    """The mask with a soft edge of about so many pixels, all of it outside of what was white.

    So what is painted there is seen as it was painted, and the edge lies in what it is set into.
    """
    if pixels < 1:
        return mask
    wide = mask.filter(ImageFilter.MaxFilter(2 * round(pixels) + 1))
    return ImageChops.lighter(mask, wide.filter(ImageFilter.GaussianBlur(pixels / 2)))


def fill_hole(pixels: NDArray[Any], hole: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """The picture (h, w, 3) uint8 with the colours around a hole (h, w) in it, the nearer the stronger.

    So what is painted there begins with the colours of its surroundings, and nothing of what was there.
    """
    known = (~hole).astype(np.float32)
    colours = pixels.astype(np.float32) * known[..., None]
    filled = np.broadcast_to(colours.sum((0, 1)) / max(float(known.sum()), 1.0), colours.shape).copy()
    sigma = max(hole.shape) / 4
    while sigma >= 1:
        weight = gaussian_filter(known, sigma)
        near = gaussian_filter(colours, (sigma, sigma, 0)) / np.maximum(weight, SMALLEST_WEIGHT)[..., None]
        share = np.clip(weight / NEAR_WEIGHT, 0, 1)[..., None]
        filled += share * (near - filled)
        sigma /= 2
    return np.where(hole[..., None], filled.round().clip(0, 255).astype(np.uint8), pixels)


def _check_size(mask: Image.Image, picture: Image.Image) -> None:
    if mask.size != picture.size:
        raise InvalidRequest(
            f"The mask has {mask.width}x{mask.height} pixels, and the picture has "
            f"{picture.width}x{picture.height}. They must be of one size."
        )


def _check_filled(mask: Image.Image) -> None:
    counts = mask.histogram()
    if not any(counts[HALF:]):
        raise InvalidRequest("The mask is empty. What is to be painted must be white in it.")
    if not any(counts[:HALF]):
        raise InvalidRequest("The mask is all white. Paint the whole picture with /imagine --image.")
