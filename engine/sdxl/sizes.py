"""Sizes in pixels of aspect ratios, at the area that the model was trained on."""

import math
from fractions import Fraction

from engine.messages import SIDE, SIDE_MULTIPLE, InvalidRequest, Ratio, Size

WIDEST_PART, FINEST_PART = Fraction(2), 16  # of a part's ratio: models paint narrower ones badly
LARGEST_AREA = 4  # times the native area: beyond it the model repeats itself and attention costs too much


def resolve_size(size: Size | Ratio, side: int) -> Size:
    """The size to paint at, for a model whose native pictures are side x side pixels.

    A ratio becomes the bucket with the nearest shape, of at most the native area and with sides that are
    multiples of side / 16 (64 for SDXL, as in Podell et al. 2023, arXiv 2307.01952, appendix I).
    Raises InvalidRequest beyond four times the native area.
    """
    if isinstance(size, Ratio):
        return bucket(size.across / size.down, side)
    if size.width * size.height > LARGEST_AREA * side * side:
        most = 2 * side
        raise InvalidRequest(
            f"{size.width}x{size.height} is too large for this model. "
            f"At most {most * most:,} pixels are allowed, such as {most}x{most}."
        )
    return size


def hires_size(size: Size, hires: float, side: int) -> Size:
    """So many times this size, for a model of this native side. Raises InvalidRequest beyond its bounds."""
    width, height = (
        round(pixels * hires / SIDE_MULTIPLE) * SIDE_MULTIPLE for pixels in (size.width, size.height)
    )
    if max(width, height) > SIDE[1]:
        raise InvalidRequest(
            f"--hires {hires:g} of {size.width}x{size.height} would be {width}x{height}. "
            f"A side can have at most {SIDE[1]} pixels."
        )
    return resolve_size(Size(width=width, height=height), side)


def part_size(width: int, height: int, side: int) -> Size:
    """The size to paint a part of a picture at, of so many pixels: about its ratio, but none too narrow."""
    ratio = min(max(Fraction(width, height), 1 / WIDEST_PART), WIDEST_PART)
    return bucket(float(ratio.limit_denominator(FINEST_PART)), side)


def bucket_multiple(side: int) -> int:
    """The number of pixels that sides of buckets are multiples of, for a model of this native side."""
    return max(8, side // 16)


def bucket(ratio: float, side: int) -> Size:
    """The training bucket nearest to the ratio (width / height)."""
    width, height = nearest_size(ratio, side, bucket_multiple(side))
    return Size(width=width, height=height)


def nearest_size(ratio: float, side: int, multiple: int) -> tuple[int, int]:
    """Width and height in pixels nearest to a ratio: multiples of `multiple`, of at most side x side."""
    heights = {
        width: side * side // width // multiple * multiple
        for width in range(multiple, 4 * side + 1, multiple)
    }
    width = min(
        (width for width, height in heights.items() if height >= multiple),
        key=lambda width: abs(math.log(width / heights[width] / ratio)),
    )
    return width, heights[width]
