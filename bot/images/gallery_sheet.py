"""Somebody's pictures, small, on one sheet with a few words under each."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from PIL import Image, ImageDraw

from bot.images.encode import Fitted, fitting
from bot.images.samples import CAPTION, GAP, MARGIN, SIDE, captioned, framed
from bot.images.theme import PAPER
from commands.answers import SmallPicture
from storage.files import Files

COLUMNS = 3
TALL = SIDE + 10 + CAPTION + 14  # pixels from a row to the next one
LARGEST = 2**20  # bytes: the page gets it inside a message


async def hung(files: Files, pictures: Sequence[SmallPicture]) -> Fitted:
    """The sheet as a file; what must not be seen, or cannot be read any more, leaves its place empty."""
    contents = [await _content(files, one) for one in pictures]
    captions = [one.caption for one in pictures]
    return await asyncio.to_thread(lambda: fitting("gallery", sheet(contents, captions), LARGEST))


def sheet(contents: Sequence[bytes | None], captions: Sequence[str]) -> Image.Image:
    """Rows of COLUMNS pictures in their order."""
    columns, rows = min(COLUMNS, len(contents)), -(-len(contents) // COLUMNS)
    size = (2 * MARGIN + columns * (SIDE + GAP) - GAP, 2 * MARGIN + rows * TALL)
    whole = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(whole)
    for nth, (content, words) in enumerate(zip(contents, captions, strict=True)):
        row, column = divmod(nth, COLUMNS)
        left, top = MARGIN + column * (SIDE + GAP), MARGIN + row * TALL
        framed(whole, (left, top), content)
        captioned(draw, (left, top + SIDE + 10), words)
    return whole


async def _content(files: Files, one: SmallPicture) -> bytes | None:
    if one.sha256 is not None:
        with suppress(OSError):
            return await files.get(one.sha256)
    return None
