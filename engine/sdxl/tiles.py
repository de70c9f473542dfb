"""Tiles of a picture that is too large to be worked on at once: where they lie, and how they are joined."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from PIL import Image


@dataclass(frozen=True, kw_only=True)
class Area:
    """A rectangle of a picture in pixels."""

    left: int
    top: int
    right: int
    bottom: int


@dataclass(frozen=True, kw_only=True)
class Tile(Area):
    """A rectangle that is worked on, and `own`, the part of it that no other tile has."""

    own: Area


def place_tiles(width: int, height: int, side: int, context: int) -> list[Tile]:
    """Tiles of at most side x side pixels that cover a picture, row by row.

    Each sees `context` pixels of its neighbours beyond its own part, where it has neighbours.
    """
    return [
        Tile(
            left=left,
            top=top,
            right=right,
            bottom=bottom,
            own=Area(left=own_left, top=own_top, right=own_right, bottom=own_bottom),
        )
        for top, bottom, own_top, own_bottom in _cut(height, side, context)
        for left, right, own_left, own_right in _cut(width, side, context)
    ]


def _cut(length: int, side: int, context: int) -> list[tuple[int, int, int, int]]:
    """Start and end of each part of a side, and of what is its own in that."""
    count = 1 if length <= side else -(-length // (side - 2 * context))
    ends = [round(length * number / count) for number in range(count + 1)]
    return [
        (max(0, start - context), min(length, end + context), start, end) for start, end in pairwise(ends)
    ]


def place_overlapping(width: int, height: int, size: tuple[int, int], overlap: int) -> list[Area]:
    """Areas of exactly this size that cover a picture and overlap by at least so many pixels, row by row."""
    return [
        Area(left=left, top=top, right=left + size[0], bottom=top + size[1])
        for top in _starts(height, size[1], overlap)
        for left in _starts(width, size[0], overlap)
    ]


def _starts(length: int, side: int, overlap: int) -> list[int]:
    count = 1 if length <= side else -(-(length - overlap) // (side - overlap))
    return [round((length - side) * number / max(1, count - 1)) for number in range(count)]


def join_tiles(
    picture: Image.Image, areas: Sequence[Area], tiles: Sequence[Image.Image], overlap: int
) -> Image.Image:
    """The picture with these tiles in these areas, each faded into the next over `overlap` pixels.

    Pixels in no area stay as they are.
    """
    total = np.zeros((picture.height, picture.width, 3), np.float32)
    weight = np.zeros((picture.height, picture.width, 1), np.float32)
    for area, tile in zip(areas, tiles, strict=True):
        where = (slice(area.top, area.bottom), slice(area.left, area.right))
        share = _fade(tile.height, overlap)[:, None, None] * _fade(tile.width, overlap)[None, :, None]
        total[where] += share * np.asarray(tile, np.float32)
        weight[where] += share
    pixels = np.asarray(picture)
    mixed = np.where(weight > 0, total / np.maximum(weight, 1e-6), pixels)
    return Image.fromarray(mixed.round().astype(np.uint8))


def _fade(length: int, overlap: int) -> NDArray[np.float32]:
    """Weights that rise over `overlap` pixels from both ends to 1."""
    distance = np.minimum(np.arange(length), np.arange(length)[::-1]) + 1
    return np.minimum(1, distance / (overlap + 1)).astype(np.float32)
