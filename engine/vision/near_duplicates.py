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
    """(63,) bool, whether low cosine coefficients are above the median; (8, 8, 3) float32, colours."""

    bits: NDArray[np.bool_]
    colours: NDArray[np.float32]

    def is_near(self, other: "Fingerprint") -> bool:
        """Whether people would take the two pictures for the same."""
        different = int(np.count_nonzero(self.bits != other.bits))
        return different <= DIFFERENT_BITS and bool(
            np.abs(self.colours - other.colours).max() <= DIFFERENT_COLOUR
        )


def fingerprint(picture: Image.Image) -> Fingerprint:
    """The fingerprint of an RGB picture, hashed as in Zauner 2010 ("pHash")."""
    grey = np.asarray(picture.convert("L").resize((HASHED, HASHED), Image.Resampling.BOX), np.float64)
    cosines = _cosines(HASHED)[:LOW]
    low = (cosines @ grey @ cosines.T).ravel()[1:]  # without the first, the brightness
    small = np.asarray(picture.resize((LOW, LOW), Image.Resampling.BOX), np.float32)
    return Fingerprint(low > np.median(low), small)


def _cosines(size: int) -> NDArray[np.float64]:
    """The matrix of the discrete cosine transform (DCT-II), a row for each frequency."""
    frequencies, places = np.arange(size)[:, None], np.arange(size)[None, :]
    return np.cos(math.pi * frequencies * (2 * places + 1) / (2 * size))
