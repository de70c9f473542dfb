"""Draws somebody's pictures as thumbnails on one sheet, with a caption under each."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from PIL import Image, ImageDraw

from bot.images.encode import EncodedImage, fit_sheet
from bot.images.samples import CAPTION, GAP, MARGIN, SIDE, draw_caption, draw_picture
from bot.images.theme import PAPER
from commands.answers import SmallPicture
from storage.files import Files

COLUMNS = 3
TALL = SIDE + 10 + CAPTION + 14  # pixels from one row to the next
LARGEST = 2**20  # bytes: the web page gets it inside a message


async def draw_gallery(files: Files, pictures: Sequence[SmallPicture]) -> EncodedImage:
    """Draw the sheet; a picture that must not be shown, or cannot be read, leaves its place empty."""
    contents = [await _content(files, picture) for picture in pictures]
    captions = [picture.caption for picture in pictures]
    return await asyncio.to_thread(lambda: fit_sheet("gallery", gallery_sheet(contents, captions), LARGEST))


def gallery_sheet(contents: Sequence[bytes | None], captions: Sequence[str]) -> Image.Image:
    """The pictures in rows of COLUMNS."""
    columns, rows = min(COLUMNS, len(contents)), -(-len(contents) // COLUMNS)
    size = (2 * MARGIN + columns * (SIDE + GAP) - GAP, 2 * MARGIN + rows * TALL)
    whole = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(whole)
    for nth, (content, words) in enumerate(zip(contents, captions, strict=True)):
        row, column = divmod(nth, COLUMNS)
        left, top = MARGIN + column * (SIDE + GAP), MARGIN + row * TALL
        draw_picture(whole, (left, top), content)
        draw_caption(draw, (left, top + SIDE + 10), words)
    return whole


async def _content(files: Files, picture: SmallPicture) -> bytes | None:
    if picture.sha256 is not None:
        with suppress(OSError):
            return await files.get(picture.sha256)
    return None
