"""Detection of near-duplicate pictures, by a perceptual hash and coarse colours."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

HASHED = 32  # pixels a side of the grey thumbnail that is hashed
LOW = 8  # of its cosine coefficients, as many a side
DIFFERENT_BITS = 8  # of 63, in which near-duplicates may differ
DIFFERENT_COLOUR = 40.0  # of 255, anywhere in a thumbnail of 8 x 8


@dataclass(frozen=True)
class Fingerprint:
    """(63,) bool, whether low cosine coefficients are above the median; (8, 8, 3) uint8, colours."""

    bits: NDArray[np.bool_]
    colours: NDArray[np.uint8]


class Fingerprints:
    """The fingerprints of many pictures, 200 bytes each."""

    def __init__(self, most: int) -> None:
        """most: pictures that may be added."""
        self._bits = np.zeros(most, np.uint64)
        self._colours = np.zeros((most, LOW, LOW, 3), np.uint8)
        self._places: list[int] = []

    def add(self, place: int, own: Fingerprint) -> int | None:
        """Add a picture's. Returns the place of the first that people would take for the same picture."""
        count = len(self._places)
        bits = np.packbits(own.bits, bitorder="little").view(np.uint64)[0]
        near = np.flatnonzero(np.bitwise_count(self._bits[:count] ^ bits) <= DIFFERENT_BITS)
        gaps = np.abs(self._colours[near].astype(np.int16) - own.colours)
        twins = near[gaps.max(axis=(1, 2, 3), initial=0) <= DIFFERENT_COLOUR]
        self._bits[count], self._colours[count] = bits, own.colours
        self._places.append(place)
        return self._places[twins[0]] if len(twins) else None


def fingerprint(picture: Image.Image) -> Fingerprint:
    """The fingerprint of an RGB picture, hashed as in Zauner 2010 ("pHash")."""
    grey = np.asarray(picture.convert("L").resize((HASHED, HASHED), Image.Resampling.BOX), np.float64)
    cosines = _cosines(HASHED)[:LOW]
    low = (cosines @ grey @ cosines.T).ravel()[1:]  # without the first, the brightness
    small = np.asarray(picture.resize((LOW, LOW), Image.Resampling.BOX))
    return Fingerprint(low > np.median(low), small)


def _cosines(size: int) -> NDArray[np.float64]:
    """The matrix of the discrete cosine transform (DCT-II), a row for each frequency."""
    frequencies, places = np.arange(size)[:, None], np.arange(size)[None, :]
    return np.cos(math.pi * frequencies * (2 * places + 1) / (2 * size))
