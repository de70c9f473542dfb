"""Faces in pictures, found by the cascade that comes with scikit-image.

A cascade of local binary patterns (Liao et al. 2007, after Viola and Jones 2001): it needs no further files,
and sees faces from the front.
"""

from typing import Any

import numpy as np
from PIL import Image

LONGEST = 640  # pixels of the side at which faces are looked for
SMALLEST, LARGEST = 1 / 16, 1.0  # sides of faces, as shares of the picture's shorter side

Box = tuple[int, int, int, int]


class FaceDetector:
    """Finds faces. What it needs is loaded when it is first used."""

    def __init__(self) -> None:
        self._cascade: Any = None

    def find(self, picture: Image.Image) -> list[Box]:
        """The boxes of faces in a picture in RGB, in pixels, the largest first."""
        if self._cascade is None:
            from skimage.data import lbp_frontal_face_cascade_filename
            from skimage.feature import Cascade  # takes half a second to import

            file: str = lbp_frontal_face_cascade_filename()  # type: ignore[no-untyped-call]
            self._cascade = Cascade(file)
        scale = min(1.0, LONGEST / max(picture.size))
        size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
        pixels = np.asarray(picture.convert("RGB").resize(size, Image.Resampling.BOX))
        shorter = min(size)
        least, most = (max(24, round(share * shorter)) for share in (SMALLEST, LARGEST))
        if shorter < least:
            return []
        faces = self._cascade.detect_multi_scale(
            img=pixels, scale_factor=1.2, step_ratio=1, min_size=(least, least), max_size=(most, most)
        )
        boxes = [
            (face["c"], face["r"], face["c"] + face["width"], face["r"] + face["height"]) for face in faces
        ]
        boxes.sort(key=lambda box: box[0] - box[2])
        return [
            (round(left / scale), round(top / scale), round(right / scale), round(bottom / scale))
            for left, top, right, bottom in boxes
        ]
