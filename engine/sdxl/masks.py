"""Masks of the part of a picture that is painted anew: white is painted, black stays."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from engine.messages import InvalidRequest, Source

SMALLEST_WEIGHT, NEAR_WEIGHT = 1e-6, 0.1  # of what is known around a pixel: at the second all of it counts
BLUR, OVERLAP = 1 / 3, 1 / 16  # of a picture's shorter side: of its mirrored edges, and into it
HALF = 128  # of 255: where a mask is as bright, it is painted


def make_mask(
    source: Source, picture: Image.Image, file: Image.Image | None, found: Image.Image | None = None
) -> Image.Image:
    """The grey mask of what the source says of this picture; `file` is the mask that was sent, and `found`
    that of what its words name.

    Raises InvalidRequest where nothing would be painted, or all of it.
    """
    mask = Image.new("L", picture.size)
    if file is not None:
        _check_size(file, picture)
        mask = read_mask(file)
    if found is not None:
        mask = ImageChops.lighter(mask, found)
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


def extend(picture: Image.Image, source: Source) -> tuple[Image.Image, Image.Image]:
    """The picture on a larger canvas, and the grey mask of what is new there.

    The new edges begin as the picture's own, mirrored and blurred. The mask reaches a little into the
    picture, ever greyer, so that no line is seen where it ended.
    """
    if source.shrink > 1:
        size = [max(1, round(side / source.shrink)) for side in picture.size]
        picture = picture.resize((size[0], size[1]), Image.Resampling.LANCZOS)
    margins, (width, height) = source.margins, picture.size
    around = ((margins.top, margins.bottom), (margins.left, margins.right))
    pixels = np.pad(np.asarray(picture), (*around, (0, 0)), mode="symmetric")
    blurred = blur(pixels.astype(np.float32), min(width, height) * BLUR)
    overlap = max(1.0, min(width, height) * OVERLAP)
    shares = [
        _ramp(length, before, after, overlap)
        for length, (before, after) in zip((height, width), around, strict=True)
    ]
    share = np.maximum(shares[0][:, None], shares[1][None])
    new = (share >= 1)[..., None]
    canvas = np.where(new, blurred.round().clip(0, 255).astype(np.uint8), pixels)
    return Image.fromarray(canvas), Image.fromarray((share * 255).round().astype(np.uint8))


def _ramp(length: int, before: int, after: int, overlap: float) -> NDArray[np.float32]:
    """How new each pixel along an axis is, 0 to 1: 1 in the margins, and less and less in the overlaps."""
    place = np.arange(-before, length + after, dtype=np.float32) + 0.5
    share = np.zeros(len(place), np.float32)
    if before:
        share = np.maximum(share, 1 - place / overlap)
    if after:
        share = np.maximum(share, 1 - (length - place) / overlap)
    return share.clip(0, 1)


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


def blur(values: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    """Values (h, w) or (h, w, 3) with a blur of about this standard deviation, as if the edge went on.

    Three boxes are nearly a Gaussian, and cost the same however wide they are.
    """
    radius = max(1, round(sigma))
    for axis in (0, 1, 0, 1, 0, 1):
        room = [(radius + 1, radius) if other == axis else (0, 0) for other in range(values.ndim)]
        sums = np.cumsum(np.pad(values, room, mode="edge"), axis=axis, dtype=np.float64)
        length = values.shape[axis]
        last = np.take(sums, range(2 * radius + 1, 2 * radius + 1 + length), axis=axis)
        first = np.take(sums, range(length), axis=axis)
        values = ((last - first) / (2 * radius + 1)).astype(np.float32)
    return values


def fill_hole(pixels: NDArray[Any], hole: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """The picture (h, w, 3) uint8 with the colours around a hole (h, w) in it, the nearer the stronger.

    So what is painted there begins with the colours of its surroundings, and nothing of what was there.
    """
    known = (~hole).astype(np.float32)
    colours = pixels.astype(np.float32) * known[..., None]
    filled = np.broadcast_to(colours.sum((0, 1)) / max(float(known.sum()), 1.0), colours.shape).copy()
    sigma = max(hole.shape) / 4
    while sigma >= 1:
        weight = blur(known, sigma)
        near = blur(colours, sigma) / np.maximum(weight, SMALLEST_WEIGHT)[..., None]
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
