"""The contact sheet of a training: all pictures on one JPEG, each with its crop, number and result."""

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from PIL import Image, ImageDraw, ImageEnhance, ImageFont, ImageOps

from engine.messages import PictureNote

WIDTH = 1280  # pixels of the whole sheet, which people look at on a screen
MARGIN = 20
GAP = 16  # pixels between two pictures
LARGEST = 300  # pixels a side of the square that one picture may fill
LINES = 44  # pixels under a picture, for its name and its size in training
TEXT = 13  # pixels of the letters
BADGE = 28  # pixels of the disc with the number
FRAME = 3
DIMMED = 0.35  # how bright the parts are that are cropped away
FINER = 4  # factor by which a disc is drawn larger, so that its edge is smooth
QUALITY = 88

PAPER, EMPTY, INK, FAINT = (24, 26, 31), (38, 41, 48), (232, 234, 237), (150, 155, 165)
FINE, NOTED, LEFT_OUT = (64, 201, 140), (250, 189, 47), (236, 84, 84)


@dataclass(frozen=True, kw_only=True)
class Grid:
    """The layout: so many pictures in a row, each in a square of `cell` pixels."""

    columns: int
    cell: int

    @classmethod
    def of(cls, count: int) -> "Grid":
        """The fewest columns whose rows fit on a screen, with pictures as large as that allows."""
        columns = min(count, max(4, math.ceil(math.sqrt(1.4 * count))))
        cell = (WIDTH - 2 * MARGIN - (columns - 1) * GAP) // columns
        return cls(columns=columns, cell=min(cell, LARGEST))

    def corner(self, place: int) -> tuple[int, int]:
        """Left and top of a picture's square."""
        row, column = divmod(place, self.columns)
        return MARGIN + column * (self.cell + GAP), MARGIN + row * (self.cell + LINES + GAP)

    def size(self, count: int) -> tuple[int, int]:
        """Width and height of a sheet with so many pictures."""
        rows = math.ceil(count / self.columns)
        return (
            2 * MARGIN + self.columns * (self.cell + GAP) - GAP,
            2 * MARGIN + rows * (self.cell + LINES + GAP) - GAP,
        )


def thumbnail(picture: Image.Image, cell: int) -> Image.Image:
    """The picture scaled to fit into a square of the sheet."""
    return ImageOps.contain(picture, (cell, cell), Image.Resampling.LANCZOS)


def contact_sheet(
    notes: Sequence[PictureNote],
    places: Sequence[int],
    thumbnails: Sequence[Image.Image | None],
    grid: Grid,
) -> bytes:
    """A JPEG with the crop of each picture in a bright frame and the rest of it dim. Frames of pictures that
    are left out are red.

    places: of the pictures in their data set, from 0. A picture that cannot be read has no thumbnail.
    """
    sheet = Image.new("RGB", grid.size(len(notes)), PAPER)
    draw = ImageDraw.Draw(sheet)
    for index, (place, note, small) in enumerate(zip(places, notes, thumbnails, strict=True)):
        left, top = grid.corner(index)
        colour = _colour(note)
        image = _mark_crop(small, note, colour) if small is not None else _unreadable(grid.cell)
        at = left + (grid.cell - image.width) // 2, top + (grid.cell - image.height) // 2
        sheet.paste(image, at)
        _draw_badge(sheet, (at[0] + 8, at[1] + 8), str(place + 1), colour)
        _write(draw, (left, top + grid.cell + 7), grid.cell, note.name, INK)
        _write(draw, (left, top + grid.cell + 25), grid.cell, _result(note), FAINT if note.used else colour)
    out = io.BytesIO()
    sheet.save(out, "JPEG", quality=QUALITY, subsampling=0)
    return out.getvalue()


def _colour(note: PictureNote) -> tuple[int, int, int]:
    if not note.used:
        return LEFT_OUT
    return NOTED if note.problems else FINE


def _result(note: PictureNote) -> str:
    width, height = note.size
    return f"as {width}x{height}" if note.used else "left out"


def _mark_crop(small: Image.Image, note: PictureNote, colour: tuple[int, int, int]) -> Image.Image:
    """The thumbnail with its crop in a frame. A picture that is left out is dim throughout."""
    dim = ImageEnhance.Brightness(small).enhance(DIMMED)
    if not note.used:
        _draw_frame(dim, (0, 0, dim.width, dim.height), colour)
        return dim
    left, top, width, height = note.crop
    across, down = small.width / note.width, small.height / note.height
    box = (
        round(left * across),
        round(top * down),
        min(round((left + width) * across), small.width),
        min(round((top + height) * down), small.height),
    )
    dim.paste(small.crop(box), box[:2])
    _draw_frame(dim, box, colour)
    return dim


def _unreadable(cell: int) -> Image.Image:
    """The image in place of a picture that cannot be read."""
    empty = Image.new("RGB", (cell, cell), EMPTY)
    draw = ImageDraw.Draw(empty)
    draw.line((0, 0, cell, cell), fill=PAPER, width=FRAME)
    draw.line((0, cell, cell, 0), fill=PAPER, width=FRAME)
    _draw_frame(empty, (0, 0, cell, cell), LEFT_OUT)
    return empty


def _draw_frame(picture: Image.Image, box: tuple[int, int, int, int], colour: tuple[int, int, int]) -> None:
    """Draw a frame inside the box, with dark lines on both sides, so that it can be seen on any picture."""
    left, top, right, bottom = box
    draw = ImageDraw.Draw(picture)
    draw.rectangle((left, top, right - 1, bottom - 1), outline=PAPER, width=FRAME + 2)
    draw.rectangle((left + 1, top + 1, right - 2, bottom - 2), outline=colour, width=FRAME)


def _draw_badge(sheet: Image.Image, at: tuple[int, int], text: str, colour: tuple[int, int, int]) -> None:
    """Draw a disc with a number on it, in a dark ring."""
    disc = Image.new("L", (BADGE * FINER, BADGE * FINER))
    ImageDraw.Draw(disc).ellipse((0, 0, BADGE * FINER - 1, BADGE * FINER - 1), fill=255)
    for size, ink in ((BADGE, PAPER), (BADGE - 4, colour)):
        corner = at[0] + (BADGE - size) // 2, at[1] + (BADGE - size) // 2
        sheet.paste(ink, corner, disc.resize((size, size), Image.Resampling.LANCZOS))
    middle = at[0] + BADGE / 2, at[1] + BADGE / 2
    ImageDraw.Draw(sheet).text(middle, text, fill=PAPER, font=_font(), anchor="mm")


def _write(
    draw: ImageDraw.ImageDraw, at: tuple[int, int], width: int, text: str, colour: tuple[int, int, int]
) -> None:
    """Write one line, cut at this width. Letters that the font lacks become question marks."""
    cut = text.encode("ascii", "replace").decode("ascii")
    while cut and draw.textlength(cut, font=_font()) > width:
        cut = cut[:-2].rstrip("…") + "…"
    draw.text(at, cut, fill=colour, font=_font())


@cache
def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(TEXT)
