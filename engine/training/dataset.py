"""The dataset of a training: which pictures are used, with their captions, buckets and crops.

It needs no torch: pictures are read with Pillow and returned as NumPy arrays.
"""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from engine.messages import (
    Example,
    InvalidRequest,
    ManifestFile,
    PictureNote,
    Sha256,
    Train,
    TrainingSettings,
    fill_template,
    stored_path,
)
from engine.sdxl.sizes import bucket_multiple, nearest_size
from engine.training.masks import FORMATS, mask_problem
from engine.vision.near_duplicates import Fingerprint, fingerprint
from engine.vision.sharpness import is_blurred, is_one_colour

NO_HELD_OUT_UP_TO = 16  # pictures: so few that none can be held out for validation
UPSCALE = 2.0  # the largest factor by which a picture may be enlarged to cover its bucket
NOTICED = 1.05  # the factor above which enlarging is reported
HARD_CROP = 0.25  # the share of a picture's area above which cropping is reported
ODD_ASPECT = 2.0  # longer side to shorter side, above which shapes are seldom learned well
LONGEST = 4.0  # longer side to shorter side of a bucket, as in the list that SDXL was trained on
UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError)


@dataclass(frozen=True, kw_only=True)
class Item:
    """A picture to train on. All sizes are (width, height) in pixels.

    place: its index among the training's examples. caption: with the trigger. resized: the picture's size
    after scaling, which covers `size`, its bucket.
    """

    place: int
    example: Example
    caption: str
    original: tuple[int, int]
    resized: tuple[int, int]
    size: tuple[int, int]

    @property
    def enlarged(self) -> float:
        """The factor by which the picture is enlarged, below 1 where it is reduced."""
        return max(after / before for after, before in zip(self.resized, self.original, strict=True))


class PictureInspector:
    """Checks the pictures of a training, one a step.

    `items` are the pictures that are used, `notes` are about all, in the order of its examples. side: the
    model's native side in pixels. Raises InvalidRequest where it cannot be trained at the resolution.
    """

    def __init__(
        self, training: Train, folder: Path, side: int, flags: Callable[[Image.Image], bool] | None = None
    ) -> None:
        """flags: says whether the safety check flags a picture, which leaves it out."""
        self._training = training
        self._examples = open_examples(training, folder)
        self._flags = flags
        self._folder = folder
        self._side = training_side(training.settings, side)
        self._grain = bucket_multiple(side)
        self._names: dict[Sha256, str] = {}
        self._fingerprints: dict[str, Fingerprint] = {}
        self.notes: list[PictureNote] = []
        self.items: list[Item] = []

    @property
    def done(self) -> bool:
        return len(self.notes) == len(self._examples)

    @property
    def problems(self) -> tuple[str, ...]:
        """Problems of all pictures together, once all are checked: too few, or too many."""
        used, (fewest, most) = len(self.items), self._training.wanted
        if not used:
            return ("No picture is left to train on.",)
        if fewest <= used <= most:
            return ()
        best = f"{fewest}" if fewest == most else f"{fewest} to {most}"
        return (f"{_pictures(used)} can be used. This preset works best with {best}.",)

    def step(self) -> Image.Image | None:
        """Check the next picture. Returns it in RGB, or None where there is none or it is left out unread."""
        if self.done:
            return None
        place = len(self.notes)
        example = self._examples[place]
        name = example.name or f"picture {place + 1}"
        if twin := self._names.get(example.sha256):
            self._leave_out(name, f"It is the same picture as {twin}.")
            return None
        self._names[example.sha256] = name
        try:
            picture = open_picture(self._folder, example.sha256)
        except UNREADABLE:
            self._leave_out(name, "It cannot be read.")
            return None
        if self._flags is not None and self._flags(picture):
            self._leave_out(name, "Filtered: the safety check flags it.")
            return None
        if problem := self._mask_problem(example, picture.size):
            self._leave_out(name, problem)
            return None
        self._inspect_picture(place, name, picture)
        return picture

    def _mask_problem(self, example: Example, size: tuple[int, int]) -> str:
        try:
            return mask_problem(self._folder, example, self._training.settings, size)
        except UNREADABLE:
            return "Its mask cannot be read."

    def _inspect_picture(self, place: int, name: str, picture: Image.Image) -> None:
        training = self._training
        size = bucket_size(picture.size, self._side, self._grain)
        item = Item(
            place=place,
            example=self._examples[place],
            caption=training_caption(training, self._examples[place]),
            original=picture.size,
            resized=_covering_size(picture.size, size),
            size=size,
        )
        used = item.enlarged <= UPSCALE
        problems = (
            [*_problems(item, picture), *self._duplicate_problems(name, picture)]
            if used
            else [_too_small(item)]
        )
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
        no_crop = (0, 0, 0, 0)
        self.notes.append(
            PictureNote(
                name=name, width=0, height=0, crop=no_crop, size=(0, 0), problems=(reason,), used=False
            )
        )

    def _duplicate_problems(self, name: str, picture: Image.Image) -> list[str]:
        own = fingerprint(picture)
        twin = next((name for name, other in self._fingerprints.items() if other.is_near(own)), None)
        self._fingerprints[name] = own
        return [] if twin is None else [f"It is nearly the same as {twin}."]


def open_examples(training: Train, folder: Path) -> Sequence[Example]:
    """The examples of a training, those of a manifest read as they are asked for. Raises InvalidRequest."""
    if training.manifest is None:
        return training.examples
    try:
        examples = ManifestFile(stored_path(folder, training.manifest.sha256))
    except (OSError, ValueError) as error:
        raise InvalidRequest("The list of the pictures is gone. Send them again.") from error
    if len(examples) != training.manifest.pictures:
        raise InvalidRequest("The list of the pictures is broken. Send them again.")
    return examples


def training_side(settings: TrainingSettings, side: int) -> int:
    """The side of a square of the training area, for a model of this native side. Raises InvalidRequest."""
    resolution = settings.resolution or side
    if not side // 4 <= resolution <= 2 * side:
        raise InvalidRequest(
            f"--resolution must be from {side // 4} to {2 * side} for this model, not {resolution}."
        )
    return resolution


def bucket_size(original: tuple[int, int], side: int, multiple: int) -> tuple[int, int]:
    """The bucket (width, height) of a picture of this size. Its aspect ratio is at most LONGEST to 1."""
    ratio = min(max(original[0] / original[1], 1 / LONGEST), LONGEST)
    return nearest_size(ratio, side, multiple)


def training_caption(training: Train, example: Example) -> str:
    """The picture's own caption, or else the template, with the trigger in it, in one line."""
    own = " ".join(example.caption.split())
    text = own or fill_template(training.template, training.trigger, training.subject)
    word = rf"(?<![\w-]){re.escape(training.trigger)}(?![\w-])"
    return text if re.search(word, text, re.IGNORECASE) else f"{training.trigger} {text}".strip()


def count_held_out(settings: TrainingSettings, pictures: int) -> int:
    """How many of so many pictures are held out for validation."""
    if pictures <= NO_HELD_OUT_UP_TO or not settings.validation:
        return 0
    return max(1, round(settings.validation * pictures))


def planned_steps(settings: TrainingSettings, pictures: int) -> int:
    """The optimizer steps: as many as the settings say, or as their epochs of these pictures take."""
    if not settings.epochs:
        return settings.steps
    rows = settings.epochs * (pictures - count_held_out(settings, pictures))
    return max(1, math.ceil(rows / (settings.batch * settings.accumulation)))


def crop_corner(item: Item, rng: np.random.Generator | None) -> tuple[int, int]:
    """Left and top of a crop, in pixels of the resized picture: random, or the centre without `rng`."""
    across, down = (resized - size for resized, size in zip(item.resized, item.size, strict=True))
    if rng is None:
        return across // 2, down // 2
    return int(rng.integers(across + 1)), int(rng.integers(down + 1))


def crop_in_original(item: Item) -> tuple[int, int, int, int]:
    """Left, top, width and height of the centre crop, in pixels of the picture as it is stored."""
    left, top = crop_corner(item, None)
    across, down = (before / after for before, after in zip(item.original, item.resized, strict=True))
    width, height = item.size
    return round(left * across), round(top * down), round(width * across), round(height * down)


def crop_pixels(folder: Path, item: Item, corner: tuple[int, int], *, flip: bool) -> NDArray[np.uint8]:
    """A crop (height, width, 3) of the size of the item's bucket. `flip` mirrors the picture before the crop.

    Raises OSError where the file is gone.
    """
    picture = open_picture(folder, item.example.sha256).resize(item.resized, Image.Resampling.LANCZOS)
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


def open_picture(folder: Path, sha256: Sha256) -> Image.Image:
    """A stored picture in RGB, white where it is transparent. Raises the errors in UNREADABLE."""
    with Image.open(stored_path(folder, sha256), formats=FORMATS) as picture:
        if not picture.has_transparency_data:
            return picture.convert("RGB")
        transparent = picture.convert("RGBA")
    white = Image.new("RGBA", transparent.size, "white")
    return Image.alpha_composite(white, transparent).convert("RGB")


def _covering_size(original: tuple[int, int], size: tuple[int, int]) -> tuple[int, int]:
    """The smallest size of the original's aspect ratio that covers the bucket."""
    scale = max(bucket / side for bucket, side in zip(size, original, strict=True))
    width, height = (max(bucket, round(scale * side)) for bucket, side in zip(size, original, strict=True))
    return width, height


def _problems(item: Item, picture: Image.Image) -> list[str]:
    """Problems of a picture that can be used all the same."""
    width, height = item.original
    lost = 1 - math.prod(item.size) / math.prod(item.resized)
    aspect = max(item.original) / min(item.original)
    empty = is_one_colour(picture)
    problems = {
        f"It is small. Its {width}x{height} pixels are enlarged {item.enlarged:.1f} times.": item.enlarged
        > 1,
        f"It loses {lost:.0%} of its area to the crop.": lost > HARD_CROP,
        f"Its shape is unusual. One side is {aspect:.1f} times as long as the other.": aspect > ODD_ASPECT,
        "It is almost of one colour.": empty,
        "It is blurred.": not empty and is_blurred(picture, item.resized),
    }
    return [sentence for sentence, holds in problems.items() if holds]


def _too_small(item: Item) -> str:
    width, height = item.original
    return (
        f"It is too small. Its {width}x{height} pixels would be enlarged {item.enlarged:.1f} times. "
        f"At most {UPSCALE:g} times is allowed."
    )


def _pictures(count: int) -> str:
    return "1 picture" if count == 1 else f"{count} pictures"
