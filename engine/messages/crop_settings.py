"""Settings of a training's crops: their sizes, how many of each picture, and which shapes are left out."""

import re
from dataclasses import dataclass

from engine.messages.checks import InvalidRequest, check_integer, check_number

CROP = re.compile(r"(\d{1,4})x(\d{1,4})", re.ASCII)
CROP_SIDE = (32, 2048)  # pixels
CROP_MULTIPLE = 8  # pixels of a latent
MOST_CROPS = 16  # sizes
CROPS = (1, 10_000)
RESIZE = (0, 4096)
ASPECT = (0.0, 20.0)


@dataclass(frozen=True, kw_only=True)
class CropSettings:
    """How pictures are cropped.

    `crop` are sizes such as "832x1216", of which each picture fills that of the nearest shape; empty are the
    buckets of the training area. `resize` is what the shorter side is scaled to before the crop, unless that
    is too small for it; 0 scales the picture to just cover the crop. `crops` is how many crops there are of
    each picture at random, where `random_crop` asks for some, besides the one in the middle. Pictures whose
    width / height is below `min_aspect` or above `max_aspect` are left out; 0 leaves out none.
    """

    crop: tuple[str, ...] = ()
    resize: int = 0
    crops: int = 4
    min_aspect: float = 0.0
    max_aspect: float = 0.0

    @property
    def crop_sizes(self) -> tuple[tuple[int, int], ...]:
        """The sizes of crops, (width, height) in pixels. Raises InvalidRequest."""
        return tuple(read_crop(text) for text in self.crop)

    def check_crops(self) -> None:
        """Raise InvalidRequest for a setting out of its bounds."""
        check_integer("--resize", self.resize, *RESIZE)
        check_integer("--crops", self.crops, *CROPS)
        check_number("--min-aspect", self.min_aspect, *ASPECT)
        check_number("--max-aspect", self.max_aspect, *ASPECT)
        if len(self.crop_sizes) > MOST_CROPS:
            raise InvalidRequest(f"--crop has {len(self.crop)} sizes. At most {MOST_CROPS} are allowed.")
        if self.resize and not self.crop:
            raise InvalidRequest("--resize is what a picture is scaled to before its crop. Give --crop, too.")
        if self.max_aspect and self.min_aspect > self.max_aspect:
            raise InvalidRequest(
                f"--min-aspect {self.min_aspect:g} is above --max-aspect {self.max_aspect:g}. No picture "
                "would be left."
            )


def read_crop(text: str) -> tuple[int, int]:
    """Width and height of "832x1216". Raises InvalidRequest."""
    match = CROP.fullmatch(text)
    if match is None:
        raise InvalidRequest(f"{text!r} is no size. Write --crop as 832x1216, for example.")
    width, height = int(match[1]), int(match[2])
    low, high = CROP_SIDE
    if (
        not (low <= width <= high and low <= height <= high)
        or width % CROP_MULTIPLE
        or height % CROP_MULTIPLE
    ):
        raise InvalidRequest(
            f"--crop must have sides of {low} to {high} pixels, in multiples of {CROP_MULTIPLE}, not {text}."
        )
    return width, height
