"""From a ratio to pixels, at the area that the model was trained on."""

import math

from engine.messages import InvalidRequest, Ratio, Size

LARGEST_AREA = 4  # times the native area: beyond it the model repeats itself and attention's cost explodes


def pixels(size: Size | Ratio, side: int) -> Size:
    """The size to paint at, for a model whose native pictures are side x side pixels.

    A ratio becomes the bucket of at most the native area whose sides are multiples of side / 16 (64 for SDXL,
    as in Podell et al. 2023, arXiv 2307.01952, appendix I) and whose shape is nearest.
    Raises InvalidRequest beyond four times the native area.
    """
    if isinstance(size, Ratio):
        return bucket(size.across / size.down, side)
    if size.width * size.height > LARGEST_AREA * side * side:
        most = 2 * side
        raise InvalidRequest(
            f"{size.width}x{size.height} is too large for this model: at most {most * most:,} pixels, "
            f"such as {most}x{most}."
        )
    return size


def grain(side: int) -> int:
    """What the sides of a bucket are multiples of, for a model whose native pictures are side x side."""
    return max(8, side // 16)


def bucket(ratio: float, side: int) -> Size:
    """The training bucket nearest to the ratio (width / height)."""
    width, height = nearest(ratio, side, grain(side))
    return Size(width=width, height=height)


def nearest(ratio: float, side: int, multiple: int) -> tuple[int, int]:
    """Width and height of nearly this ratio: multiples of `multiple`, at most side x side pixels in all."""
    heights = {
        width: side * side // width // multiple * multiple
        for width in range(multiple, 4 * side + 1, multiple)
    }
    width = min(
        (width for width, height in heights.items() if height >= multiple),
        key=lambda width: abs(math.log(width / heights[width] / ratio)),
    )
    return width, heights[width]
