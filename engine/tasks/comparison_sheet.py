"""The sheet of a comparison: pictures side by side in one PNG, each with a label and a score under it."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

from engine.sdxl.png_file import XMP

CELL = 384  # pixels of a picture's longer side, at most; small ones are drawn larger
MARGIN, GAP, LINE, TEXT = 16, 12, 22, 16
ROW = 3  # pictures beside each other
PAPER, INK, FAINT, BEST = (24, 26, 31), (232, 234, 237), (150, 155, 165), (64, 201, 140)


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A picture (file bytes) with the text under it. The score of the best is green."""

    picture: bytes
    label: str
    score: str = ""
    best: bool = False


def comparison_sheet(cells: Sequence[Cell], title: str = "") -> bytes:
    """A PNG of all cells in rows of three (two where there are four), under the title."""
    images = [_fit_cell(cell.picture) for cell in cells]
    width, height = (max(sizes) for sizes in zip(*(image.size for image in images), strict=True))
    columns = min(len(cells), ROW) if len(cells) != 4 else 2
    rows = -(-len(cells) // columns)
    top = MARGIN + (LINE + GAP if title else 0)
    size = (
        2 * MARGIN + columns * (width + GAP) - GAP,
        top + rows * (height + 2 * LINE + GAP) - GAP + MARGIN,
    )
    sheet = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(sheet)
    if title:
        _write(draw, (MARGIN, MARGIN), size[0] - 2 * MARGIN, title, INK)
    for place, (cell, image) in enumerate(zip(cells, images, strict=True)):
        row, column = divmod(place, columns)
        left, upper = MARGIN + column * (width + GAP), top + row * (height + 2 * LINE + GAP)
        sheet.paste(image, (left + (width - image.width) // 2, upper + (height - image.height) // 2))
        _write(draw, (left, upper + height + 3), width, cell.label, INK)
        _write(draw, (left, upper + height + LINE), width, cell.score, BEST if cell.best else FAINT)
    return _encode_png(sheet)


def _fit_cell(content: bytes) -> Image.Image:
    """The picture at the size of a cell.

    A small one is enlarged by a whole factor, which keeps its pixels.
    """
    with Image.open(io.BytesIO(content)) as opened:
        image = opened.convert("RGB")
    longer = max(image.size)
    if longer <= CELL:
        factor = CELL // longer
        return image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)
    image.thumbnail((CELL, CELL), Image.Resampling.LANCZOS)
    return image


def _encode_png(image: Image.Image) -> bytes:
    text = PngInfo()
    text.add_itxt("XML:com.adobe.xmp", XMP)
    file = io.BytesIO()
    image.save(file, "PNG", pnginfo=text)
    return file.getvalue()


def _write(
    draw: ImageDraw.ImageDraw, at: tuple[int, int], width: int, text: str, colour: tuple[int, int, int]
) -> None:
    """Write one line, cut at this width. Letters that the font lacks become question marks."""
    cut = text.encode("ascii", "replace").decode("ascii")
    if draw.textlength(cut, font=_font()) > width:
        while cut and draw.textlength(f"{cut}...", font=_font()) > width:
            cut = cut[:-1].rstrip()
        cut += "..."
    draw.text(at, cut, fill=colour, font=_font())


@cache
def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(TEXT)
