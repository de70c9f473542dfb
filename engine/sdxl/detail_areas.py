"""Areas of a picture that are painted again large: cut out with room around a thing, and set in again."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter
from PIL.Image import Resampling

from engine.sdxl.sizes import part_size
from engine.sdxl.word_masks import connected_parts

ROOM = 0.5  # of the thing's larger side, around it on each side
FEATHER = 0.2  # of the thing's larger side: how far the new fades into the old around the thing
MOST = 8  # things that are painted again
SMALLEST = 0.001  # of the picture: a thing that is smaller is none
MASK_SIDE = 256  # pixels of the longer side at which things in a mask are told apart

Box = tuple[int, int, int, int]


@dataclass(frozen=True, kw_only=True)
class DetailArea:
    """A thing's box in a picture, and the larger part around it that is painted again, in pixels."""

    thing: Box
    part: Box

    def cut_out(self, picture: Image.Image, side: int) -> Image.Image:
        """The part, at the area that a model of this native side paints."""
        size = part_size(self.part[2] - self.part[0], self.part[3] - self.part[1], side)
        return picture.crop(self.part).resize((size.width, size.height), Resampling.LANCZOS)

    def set_in(self, picture: Image.Image, painted: Image.Image) -> Image.Image:
        """The picture with the painted part in it; beyond the part it stays to the byte."""
        left, top, right, bottom = self.part
        mask = Image.new("L", (right - left, bottom - top))
        feather = FEATHER * max(self.thing[2] - self.thing[0], self.thing[3] - self.thing[1])
        grown = round(feather / 2)
        mask.paste(
            255,
            (
                self.thing[0] - left - grown,
                self.thing[1] - top - grown,
                self.thing[2] - left + grown,
                self.thing[3] - top + grown,
            ),
        )
        result = picture.copy()
        new = painted.resize(mask.size, Resampling.LANCZOS)
        result.paste(new, (left, top), mask.filter(ImageFilter.GaussianBlur(feather / 2)))
        return result


def place_areas(things: Sequence[Box], picture: Image.Image) -> list[DetailArea]:
    """The areas of the largest of these things."""
    largest = sorted(things, key=lambda box: (box[0] - box[2]) * (box[3] - box[1]))[:MOST]
    return [DetailArea(thing=thing, part=_add_room(thing, picture.size)) for thing in largest]


def boxes_of(mask: Image.Image) -> Iterator[Box]:
    """The boxes of the things in a grey mask, in pixels."""
    scale = min(1.0, MASK_SIDE / max(mask.size))
    size = (max(1, round(mask.width * scale)), max(1, round(mask.height * scale)))
    white = np.asarray(mask.resize(size, Resampling.BOX)) >= 128
    parts = connected_parts(white)
    for part in np.unique(parts[white]):
        rows, columns = np.nonzero(parts == part)
        if len(rows) >= SMALLEST * white.size:
            edges = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
            left, top, right, bottom = (round(int(edge) / scale) for edge in edges)
            yield left, top, min(right, mask.width), min(bottom, mask.height)


def _add_room(thing: Box, size: tuple[int, int]) -> Box:
    room = round(ROOM * max(thing[2] - thing[0], thing[3] - thing[1]))
    left, top = max(0, thing[0] - room), max(0, thing[1] - room)
    return left, top, min(size[0], thing[2] + room), min(size[1], thing[3] + room)
