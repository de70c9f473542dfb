"""Measures of a picture's sharpness, and whether it is of one colour."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

BLURRED = 30.0  # sharpness below which a training would learn blur
TILES = 4  # a side: one sharp tile is enough, such as a face before a soft background
ONE_COLOUR = 2.0  # of 255, the standard deviation below which there is nothing to learn
SMALL = 64  # pixels a side, enough to see whether there is anything


def is_one_colour(picture: Image.Image) -> bool:
    """Whether an RGB picture is too uniform to learn from."""
    small = np.asarray(picture.resize((SMALL, SMALL), Image.Resampling.BOX), np.float32)
    return bool(small.std(axis=(0, 1)).max() < ONE_COLOUR)


def is_blurred(picture: Image.Image, size: tuple[int, int]) -> bool:
    """Whether no part of the picture is sharp at the (width, height) that it is trained at."""
    return sharpness(picture, size) < BLURRED


def sharpness(picture: Image.Image, size: tuple[int, int]) -> float:
    """The variance of the Laplacian (Pech-Pacheco et al. 2000) in the sharpest of 16 tiles and 3 colours.

    A picture that is enlarged for training is measured at its own size.
    """
    if size[0] < picture.width:
        picture = picture.resize(size, Image.Resampling.BOX)
    edges = _laplacian(np.asarray(picture, np.float32))
    return max(float(tile.var(axis=(0, 1)).max()) for row in _parts(edges, 0) for tile in _parts(row, 1))


def _laplacian(colours: NDArray[np.float32]) -> NDArray[np.float32]:
    """(height, width, 3): how much each pixel differs from its four neighbours."""
    around = np.pad(colours, ((1, 1), (1, 1), (0, 0)), mode="edge")
    return around[:-2, 1:-1] + around[2:, 1:-1] + around[1:-1, :-2] + around[1:-1, 2:] - 4 * colours


def _parts(values: NDArray[np.float32], axis: int) -> list[NDArray[np.float32]]:
    """Up to TILES equal parts along an axis; a small picture has fewer."""
    return np.array_split(values, min(TILES, values.shape[axis]), axis)
