"""The dataset of a training: which pictures are used, with their captions, buckets and crops."""

import math
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from engine.messages import Example, InvalidRequest, PictureNote, Sha256, Train, TrainingSettings
from engine.sdxl.sizes import bucket_multiple, nearest_size
from engine.training.pictures.crops import UNREADABLE, crop_in_original, open_picture
from engine.training.pictures.items import Item, Items, open_examples, training_caption
from engine.training.pictures.masks import mask_problem
from engine.training.pictures.notes import PictureNotes
from engine.vision.near_duplicates import Fingerprints, fingerprint
from engine.vision.sharpness import is_blurred, is_one_colour

NO_HELD_OUT_UP_TO = 16  # pictures: so few that none can be held out for validation
UPSCALE = 2.0  # the largest factor by which a picture may be enlarged to cover its bucket
HARD_CROP = 0.25  # the share of a picture's area above which cropping is reported
ODD_ASPECT = 2.0  # longer side to shorter side, above which shapes are seldom learned well
LONGEST = 4.0  # longer side to shorter side of a bucket, as in the list that SDXL was trained on
NO_CROP = (0, 0, 0, 0)


class PictureInspector:
    """Checks the pictures of a training, one a step.

    `items` are the pictures that are used, `class_items` those of the class alone, `notes` are about all.
    side: the model's native side in pixels. Raises InvalidRequest where it cannot be trained at the
    resolution.
    """

    def __init__(
        self,
        training: Train,
        folder: Path,
        side: int,
        flags: Callable[[Image.Image], bool] | None = None,
        *,
        judged: bool = True,
    ) -> None:
        """flags: says whether the safety check flags a picture, which leaves it out. judged: whether
        problems are noted of the pictures that are used."""
        self._training = training
        self._examples = open_examples(training, folder)
        self._flags = flags
        self._folder = folder
        self._judged = judged
        self._side = training_side(training.settings, side)
        check_crop_sizes(training.settings, side)
        self._grain = bucket_multiple(side)
        self._places: dict[int, int] = {}  # by the first bytes of the hash
        self._fingerprints = Fingerprints(len(self._examples) if judged else 0)
        self.notes = PictureNotes()
        self.items = Items(training, self._examples)
        self.class_items = Items(training, self._examples)

    @property
    def done(self) -> bool:
        return self.notes.checked == len(self._examples)

    @property
    def problems(self) -> tuple[str, ...]:
        """Problems of all pictures together, once all are checked: too few, or too many."""
        used, (fewest, most) = len(self.items), self._training.wanted
        if not used:
            reasons = self.notes.reasons or "pictures of the class alone do not count"
            return ("No picture is left to train on.", f"Left out: {reasons}.")
        if fewest <= used <= most:
            return self.notes.summary
        best = f"{fewest}" if fewest == most else f"{fewest} to {most}"
        return (*self.notes.summary, f"{_pictures(used)} can be used. This preset works best with {best}.")

    def step(self) -> Image.Image | None:
        """Check the next picture. Returns it in RGB, or None where there is none or it is left out unread."""
        if self.done:
            return None
        place = self.notes.checked
        example = self._examples[place]
        twin = self._twin(place, example.sha256)
        if twin is not None:
            self._leave_out(place, f"It is the same picture as {self._name(twin)}.", "duplicates")
            return None
        try:
            picture = open_picture(self._folder, example.sha256)
        except UNREADABLE:
            self._leave_out(place, "It cannot be read.", "unreadable")
            return None
        if self._flags is not None and self._flags(picture):
            self._leave_out(place, "Filtered: the safety check flags it.", "flagged by the safety check")
            return None
        if problem := self._mask_problem(example, picture.size):
            self._leave_out(place, problem, "with a mask that does not fit")
            return None
        self._inspect_picture(place, picture)
        return picture

    def _mask_problem(self, example: Example, size: tuple[int, int]) -> str:
        try:
            return mask_problem(self._folder, example, self._training.settings, size)
        except UNREADABLE:
            return "Its mask cannot be read."

    def _twin(self, place: int, sha256: Sha256) -> int | None:
        """The place of the same picture before this one. Hashes that only begin alike are told apart."""
        first = self._places.setdefault(int(sha256[:15], 16), place)
        return first if first != place and self._examples[first].sha256 == sha256 else None

    def _name(self, place: int) -> str:
        return self._examples[place].name or f"picture {place + 1}"

    def _inspect_picture(self, place: int, picture: Image.Image) -> None:
        settings = self._training.settings
        if reason := aspect_problem(picture.size, settings):
            aspect = picture.width / picture.height
            self._leave_out(place, f"Its width / height is {aspect:.2f}, {reason}.", reason)
            return
        size = self._crop_size(picture.size)
        example = self._examples[place]
        item = Item(
            place=place,
            example=example,
            caption=training_caption(self._training, example),
            original=picture.size,
            resized=_covering_size(picture.size, size, settings.resize),
            size=size,
        )
        used = item.enlarged <= UPSCALE
        problems = self._problems(item, picture) if used else [_too_small(item)]
        if used:
            (self.class_items if example.regularization else self.items).append(item)
        note = PictureNote(
            name=self._name(place),
            width=picture.width,
            height=picture.height,
            crop=crop_in_original(item),
            size=size,
            problems=tuple(problems),
            used=used,
        )
        self.notes.add(note, "" if used else "too small")

    def _crop_size(self, original: tuple[int, int]) -> tuple[int, int]:
        """The size (width, height) that a picture of this size is cropped to."""
        sizes = self._training.settings.crop_sizes
        if not sizes:
            return bucket_size(original, self._side, self._grain)
        aspect = original[0] / original[1]
        return min(sizes, key=lambda size: abs(math.log(size[0] / size[1] / aspect)))

    def _leave_out(self, place: int, sentence: str, reason: str) -> None:
        note = PictureNote(
            name=self._name(place),
            width=0,
            height=0,
            crop=NO_CROP,
            size=(0, 0),
            problems=(sentence,),
            used=False,
        )
        self.notes.add(note, reason)

    def _problems(self, item: Item, picture: Image.Image) -> list[str]:
        """Problems of a picture that can be used all the same."""
        if not self._judged:
            return []
        twin = self._fingerprints.add(item.place, fingerprint(picture))
        alike = [] if twin is None else [f"It is nearly the same as {self._name(twin)}."]
        return [*picture_problems(item, picture), *alike]


def training_side(settings: TrainingSettings, side: int) -> int:
    """The side of a square of the training area, for a model of this native side. Raises InvalidRequest."""
    resolution = settings.resolution or side
    if not side // 4 <= resolution <= 2 * side:
        raise InvalidRequest(
            f"--resolution must be from {side // 4} to {2 * side} for this model, not {resolution}."
        )
    return resolution


def check_crop_sizes(settings: TrainingSettings, side: int) -> None:
    """Raise InvalidRequest where a crop is too small or too large for a model of this native side."""
    for width, height in settings.crop_sizes:
        if not (side // 4) ** 2 <= width * height <= (2 * side) ** 2:
            raise InvalidRequest(
                f"--crop {width}x{height} is not for this model. It takes areas from {side // 4}x{side // 4} "
                f"to {2 * side}x{2 * side}."
            )


def aspect_problem(size: tuple[int, int], settings: TrainingSettings) -> str:
    """Which filter leaves out a picture of this (width, height), in words; "" where none does."""
    aspect = size[0] / size[1]
    if settings.min_aspect and aspect < settings.min_aspect:
        return f"below --min-aspect {settings.min_aspect:g}"
    if settings.max_aspect and aspect > settings.max_aspect:
        return f"above --max-aspect {settings.max_aspect:g}"
    return ""


def bucket_size(original: tuple[int, int], side: int, multiple: int) -> tuple[int, int]:
    """The bucket (width, height) of a picture of this size. Its aspect ratio is at most LONGEST to 1."""
    ratio = min(max(original[0] / original[1], 1 / LONGEST), LONGEST)
    return nearest_size(ratio, side, multiple)


def count_held_out(settings: TrainingSettings, pictures: int) -> int:
    """How many of so many pictures are held out for validation."""
    if pictures <= NO_HELD_OUT_UP_TO or not settings.validation:
        return 0
    return max(1, round(settings.validation * pictures))


def planned_steps(settings: TrainingSettings, pictures: int, shown: int = 0) -> int:
    """The optimizer steps: as many as the settings say, or as their epochs of these pictures take.

    shown: how often an epoch shows pictures in all, where some are repeated.
    """
    if not settings.epochs:
        return settings.steps
    trained = pictures - count_held_out(settings, pictures)
    rows = settings.epochs * round((shown or pictures) * trained / pictures)
    return max(1, math.ceil(rows / (settings.batch * settings.accumulation)))


def _covering_size(original: tuple[int, int], size: tuple[int, int], shorter: int = 0) -> tuple[int, int]:
    """The smallest size of the original's aspect ratio that covers the bucket and has this shorter side."""
    scale = max(bucket / side for bucket, side in zip(size, original, strict=True))
    scale = max(scale, shorter / min(original))
    width, height = (max(bucket, round(scale * side)) for bucket, side in zip(size, original, strict=True))
    return width, height


def picture_problems(item: Item, picture: Image.Image) -> list[str]:
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
    return "1 picture" if count == 1 else f"{count:,} pictures"
