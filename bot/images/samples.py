"""Draws what a LoRA paints: a row for the model without it and for each checkpoint, a column per prompt."""

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw

from bot.images.encode import open_image
from bot.images.theme import ACCENT, INK, LINE, PAPER, QUIET, WELL, font_for, truncate, wrap

SIDE = 320  # pixels of one sample
MARGIN, GAP, APART = 32, 16, 28  # around the sheet, between columns, between rows
HEAD = 28  # pixels of a row's title
TITLE, CAPTION = 24, 20  # font sizes in pixels
PROMPT_LINES = 2
ROUND = 10


@dataclass(frozen=True, kw_only=True)
class SampleRow:
    """What one checkpoint paints: a title, a remark, and the samples in the prompts' order."""

    title: str
    about: str = ""
    samples: tuple[bytes, ...] = ()
    chosen: bool = False


def samples_sheet(rows: Sequence[SampleRow], prompts: Sequence[str]) -> Image.Image:
    """The sheet: a row for each checkpoint, and under each sample its prompt."""
    columns = max([1, *(len(row.samples) for row in rows)])
    caption = PROMPT_LINES * (CAPTION + 6)
    tall = HEAD + GAP // 2 + SIDE + 10 + caption
    size = (
        2 * MARGIN + columns * SIDE + (columns - 1) * GAP,
        2 * MARGIN + len(rows) * tall + max(0, len(rows) - 1) * APART,
    )
    sheet = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(sheet)
    for nth, row in enumerate(rows):
        top = MARGIN + nth * (tall + APART)
        _draw_title(draw, top, size[0], row)
        for column, sample in enumerate(row.samples):
            left = MARGIN + column * (SIDE + GAP)
            draw_picture(sheet, (left, top + HEAD + GAP // 2), sample, chosen=row.chosen)
            prompt = prompts[column] if column < len(prompts) else ""
            draw_caption(draw, (left, top + HEAD + GAP // 2 + SIDE + 10), prompt)
    return sheet


def _draw_title(draw: ImageDraw.ImageDraw, top: int, width: int, row: SampleRow) -> None:
    font = font_for(TITLE, row.title)
    y = top + HEAD // 2
    draw.text((MARGIN, y), row.title, font=font, fill=ACCENT if row.chosen else INK, anchor="lm")
    left = MARGIN + font.getlength(row.title) + 14
    small = font_for(CAPTION, row.about)
    draw.text(
        (left, y), truncate(row.about, small, width - MARGIN - left), font=small, fill=QUIET, anchor="lm"
    )


def draw_picture(
    sheet: Image.Image, at: tuple[int, int], content: bytes | None, *, chosen: bool = False
) -> None:
    """Draw a picture with round corners in the middle of a square of SIDE pixels; small ones are enlarged.

    None leaves the square empty. Raises OSError when it cannot be read.
    """
    box = Image.new("RGB", (SIDE, SIDE), WELL)
    if content is not None:
        image = open_image(content)
        scale = SIDE / max(image.size)
        filtering = Image.Resampling.BICUBIC if scale > 1 else Image.Resampling.LANCZOS
        size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        image = image.resize(size, filtering)
        box.paste(image, ((SIDE - image.width) // 2, (SIDE - image.height) // 2))
    mask = Image.new("L", (4 * SIDE, 4 * SIDE))
    ImageDraw.Draw(mask).rounded_rectangle((0, 0, 4 * SIDE - 1, 4 * SIDE - 1), 4 * ROUND, fill=255)
    sheet.paste(box, at, mask.resize((SIDE, SIDE), Image.Resampling.LANCZOS))
    edge = (at[0] - 1, at[1] - 1, at[0] + SIDE, at[1] + SIDE)
    colour, width = (ACCENT, 3) if chosen else (LINE, 1)
    ImageDraw.Draw(sheet).rounded_rectangle(edge, ROUND, outline=colour, width=width)


def draw_caption(draw: ImageDraw.ImageDraw, at: tuple[int, int], words: str) -> None:
    """Draw at most PROMPT_LINES lines of text under a picture."""
    font = font_for(CAPTION, words)
    for nth, line in enumerate(wrap(words, font, SIDE, PROMPT_LINES)):
        draw.text((at[0], at[1] + nth * (CAPTION + 6)), line, font=font, fill=QUIET)
