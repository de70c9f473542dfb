"""The pictures of a training: which are used, their captions, their buckets, and every way to crop them.

No torch here: pictures are read with Pillow and given as NumPy arrays.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from engine.messages import (
    Example,
    InvalidRequest,
    PictureNote,
    Sha256,
    Train,
    TrainingSettings,
    fill_template,
    stored_path,
)
from engine.sdxl.sizes import grain, nearest
from engine.vision.near_duplicates import Fingerprint, fingerprint
from engine.vision.sharpness import is_blurred, is_one_colour

ALL_TRAIN_UP_TO = 16  # pictures: so few that none can be spared for validation alone
UPSCALE = 2.0  # times that a picture may be enlarged to cover its bucket
NOTICED = 1.05  # times larger, from which on it is told
HARD_CROP = 0.25  # share of a picture's area that may be lost without a word
ODD_ASPECT = 2.0  # longer side to shorter side, beyond which shapes are seldom learnt well
LONGEST = 4.0  # longer side to shorter side of a bucket, as in the list that SDXL was trained on
FORMATS = ("PNG", "JPEG")  # what the store has of pictures
UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError)


@dataclass(frozen=True, kw_only=True)
class Item:
    """One picture to train on; all sizes are (width, height) in pixels.

    `place` is its index in Train.examples, and the key of everything that is kept of it. `caption` is
    final. `resized` is the picture scaled until it covers `size`, its bucket.
    """

    place: int
    example: Example
    caption: str
    original: tuple[int, int]
    resized: tuple[int, int]
    size: tuple[int, int]

    @property
    def enlarged(self) -> float:
        """How many times larger the picture becomes; below 1 it shrinks."""
        return max(now / before for now, before in zip(self.resized, self.original, strict=True))


class Examiner:
    """Looks at the pictures of a training, one a step, and says what would become of each.

    `items` are those that are used, `notes` tells of all, in the order of Train.examples. `side` is the
    model's native side in pixels. Raises InvalidRequest when it cannot be trained at the resolution.
    """

    def __init__(
        self, training: Train, folder: Path, side: int, flags: Callable[[Image.Image], bool] | None = None
    ) -> None:
        """`flags` tells of a picture whether it is to be left out."""
        self._training = training
        self._flags = flags
        self._folder = folder
        self._side = training_side(training.settings, side)
        self._grain = grain(side)
        self._names: dict[Sha256, str] = {}
        self._fingerprints: dict[str, Fingerprint] = {}
        self.notes: list[PictureNote] = []
        self.items: list[Item] = []

    @property
    def done(self) -> bool:
        return len(self.notes) == len(self._training.examples)

    @property
    def problems(self) -> tuple[str, ...]:
        """What is wrong with all pictures together, once it is done: too few, too many."""
        used, (fewest, most) = len(self.items), self._training.wanted
        if not used:
            return ("no picture is left to learn from.",)
        if fewest <= used <= most:
            return ()
        best = f"{fewest}" if fewest == most else f"{fewest} to {most}"
        return (f"{_pictures(used)} can be used, but {best} work best for this preset.",)

    def step(self) -> Image.Image | None:
        """Look at the next picture; it is returned in RGB, None if there is none or nobody can read it."""
        if self.done:
            return None
        place = len(self.notes)
        example = self._training.examples[place]
        name = example.name or f"picture {place + 1}"
        if twin := self._names.get(example.sha256):
            self._leave_out(name, f"it is the same picture as {twin}.")
            return None
        self._names[example.sha256] = name
        try:
            picture = opened(self._folder, example.sha256)
        except UNREADABLE:
            self._leave_out(name, "it cannot be read.")
            return None
        if self._flags is not None and self._flags(picture):
            self._leave_out(name, "filtered: the safety check flags it.")
            return None
        self._judge(place, name, picture)
        return picture

    def _judge(self, place: int, name: str, picture: Image.Image) -> None:
        training = self._training
        size = bucket(picture.size, self._side, self._grain)
        item = Item(
            place=place,
            example=training.examples[place],
            caption=caption(training, training.examples[place]),
            original=picture.size,
            resized=_covering(picture.size, size),
            size=size,
        )
        used = item.enlarged <= UPSCALE
        problems = [*_problems(item, picture), *self._likeness(name, picture)] if used else [_too_small(item)]
        if used:
            self.items.append(item)
        self.notes.append(
            PictureNote(
                name=name,
                width=picture.width,
                height=picture.height,
                crop=crop_in_original(item),
                size=size,
                problems=tuple(problems),
                used=used,
            )
        )

    def _leave_out(self, name: str, reason: str) -> None:
        nothing = (0, 0, 0, 0)
        self.notes.append(
            PictureNote(
                name=name, width=0, height=0, crop=nothing, size=(0, 0), problems=(reason,), used=False
            )
        )

    def _likeness(self, name: str, picture: Image.Image) -> list[str]:
        mine = fingerprint(picture)
        twin = next((other for other, known in self._fingerprints.items() if known.near(mine)), None)
        self._fingerprints[name] = mine
        return [] if twin is None else [f"it is nearly the same as {twin}."]


def training_side(settings: TrainingSettings, side: int) -> int:
    """The side of a square of the training area, for a model of this native side. Raises InvalidRequest."""
    wanted = settings.resolution or side
    if not side // 4 <= wanted <= 2 * side:
        raise InvalidRequest(
            f"resolution is {wanted}, but for this model it must be from {side // 4} to {2 * side}."
        )
    return wanted


def bucket(original: tuple[int, int], side: int, multiple: int) -> tuple[int, int]:
    """The width and height that a picture is trained in: its shape, but never beyond LONGEST to 1."""
    ratio = min(max(original[0] / original[1], 1 / LONGEST), LONGEST)
    return nearest(ratio, side, multiple)


def caption(training: Train, example: Example) -> str:
    """The picture's own caption or the filled template, either with the trigger in it, in one line."""
    own = " ".join(example.caption.split())
    words = own or fill_template(training.template, training.trigger, training.subject)
    word = rf"(?<![\w-]){re.escape(training.trigger)}(?![\w-])"
    return words if re.search(word, words, re.IGNORECASE) else f"{training.trigger} {words}".strip()


def held_out(settings: TrainingSettings, pictures: int) -> int:
    """How many of so many pictures are kept from training, for validation alone."""
    if pictures <= ALL_TRAIN_UP_TO or not settings.validation:
        return 0
    return max(1, round(settings.validation * pictures))


def planned_steps(settings: TrainingSettings, pictures: int) -> int:
    """The optimizer's steps: as many as are said, or as so many epochs of the pictures that train take."""
    if not settings.epochs:
        return settings.steps
    shown = settings.epochs * (pictures - held_out(settings, pictures))
    return max(1, math.ceil(shown / (settings.batch * settings.accumulation)))


def crop_corner(item: Item, rng: np.random.Generator | None) -> tuple[int, int]:
    """Left and top of a crop, in pixels of the resized picture: anywhere, or in the centre without `rng`."""
    across, down = (resized - size for resized, size in zip(item.resized, item.size, strict=True))
    if rng is None:
        return across // 2, down // 2
    return int(rng.integers(across + 1)), int(rng.integers(down + 1))


def crop_in_original(item: Item) -> tuple[int, int, int, int]:
    """Left, top, width and height of the centre crop, in pixels of the picture as it is stored."""
    left, top = crop_corner(item, None)
    across, down = (before / now for before, now in zip(item.original, item.resized, strict=True))
    width, height = item.size
    return round(left * across), round(top * down), round(width * across), round(height * down)


def pixels(folder: Path, item: Item, corner: tuple[int, int], *, flip: bool) -> NDArray[np.uint8]:
    """(height, width, 3) of the item's bucket; mirrored before it is cropped, so that the corner stays true.

    Raises OSError when the file is gone.
    """
    picture = opened(folder, item.example.sha256).resize(item.resized, Image.Resampling.LANCZOS)
    if flip:
        picture = ImageOps.mirror(picture)
    (left, top), (width, height) = corner, item.size
    return np.asarray(picture.crop((left, top, left + width, top + height)))


def time_ids(item: Item, corner: tuple[int, int]) -> tuple[int, int, int, int, int, int]:
    """SDXL's size and crop conditioning (Podell et al. 2023, arXiv 2307.01952, section 2.2).

    The original height and width, the crop's top and left, the bucket's height and width.
    """
    (left, top), (width, height) = corner, item.size
    return item.original[1], item.original[0], top, left, height, width


def opened(folder: Path, sha256: Sha256) -> Image.Image:
    """A stored picture in RGB, what is transparent in it white. Raises what UNREADABLE names."""
    with Image.open(stored_path(folder, sha256), formats=FORMATS) as picture:
        if not picture.has_transparency_data:
            return picture.convert("RGB")
        clear = picture.convert("RGBA")
    white = Image.new("RGBA", clear.size, "white")
    return Image.alpha_composite(white, clear).convert("RGB")


def _covering(original: tuple[int, int], size: tuple[int, int]) -> tuple[int, int]:
    """The original's shape, just large enough for the bucket."""
    scale = max(bucket / side for bucket, side in zip(size, original, strict=True))
    width, height = (max(bucket, round(scale * side)) for bucket, side in zip(size, original, strict=True))
    return width, height


def _problems(item: Item, picture: Image.Image) -> list[str]:
    """What is worth a look, though the picture can be used."""
    width, height = item.original
    lost = 1 - math.prod(item.size) / math.prod(item.resized)
    aspect = max(item.original) / min(item.original)
    empty = is_one_colour(picture)
    problems = {
        f"it is small: its {width}x{height} pixels are enlarged {item.enlarged:.1f} times.": item.enlarged
        > 1,
        f"it loses {lost:.0%} of its area to the crop.": lost > HARD_CROP,
        f"its shape is odd: it is {aspect:.1f} times as long as it is wide.": aspect > ODD_ASPECT,
        "it shows hardly more than one colour.": empty,
        "it is blurred.": not empty and is_blurred(picture, item.resized),
    }
    return [sentence for sentence, holds in problems.items() if holds]


def _too_small(item: Item) -> str:
    width, height = item.original
    return (
        f"it is too small: its {width}x{height} pixels would be enlarged {item.enlarged:.1f} times, "
        f"but at most {UPSCALE:g} times is allowed."
    )


def _pictures(count: int) -> str:
    return "1 picture" if count == 1 else f"{count} pictures"
