"""Crops of a training's pictures: which ones, their pixels, and what SDXL is told of them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from engine.messages import Sha256, TrainingSettings, stored_path
from engine.training.pictures.items import Item

FORMATS = ("PNG", "JPEG")  # of pictures in the store
UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError)


@dataclass(frozen=True, kw_only=True)
class View:
    """A crop of a picture. corner: left and top, in pixels of the resized picture. flip: mirrored before."""

    corner: tuple[int, int]
    flip: bool = False


def picture_views(
    item: Item, settings: TrainingSettings, draw: Callable[[int], np.random.Generator]
) -> tuple[View, ...]:
    """The crops of a picture, without duplicates. The first is the centre crop, not mirrored.

    draw: the random numbers of the picture at a place.
    """
    corners = [crop_corner(item, None)]
    if settings.random_crop:
        rng = draw(item.place)
        corners += [crop_corner(item, rng) for _ in range(settings.crops)]
    return tuple(
        View(corner=corner, flip=flip)
        for corner in dict.fromkeys(corners)
        for flip in ((False, True) if settings.flip else (False,))
    )


def most_views(settings: TrainingSettings) -> int:
    """How many views a picture has at most."""
    return (1 + settings.crops * settings.random_crop) * (1 + settings.flip)


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


def crop_pixels(folder: Path, item: Item, view: View) -> NDArray[np.uint8]:
    """A crop (height, width, 3) of the size of the item's bucket. Raises OSError where the file is gone."""
    return next(crops_of(folder, item, (view,)))


def crops_of(folder: Path, item: Item, views: tuple[View, ...]) -> Iterator[NDArray[np.uint8]]:
    """Crops (height, width, 3) of a picture that is read once. Raises OSError where the file is gone."""
    straight = open_picture(folder, item.example.sha256).resize(item.resized, Image.Resampling.LANCZOS)
    mirrored = ImageOps.mirror(straight) if any(view.flip for view in views) else straight
    for view in views:
        (left, top), (width, height) = view.corner, item.size
        picture = mirrored if view.flip else straight
        yield np.asarray(picture.crop((left, top, left + width, top + height)))


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
