"""Colours and fonts of drawn images, and text that fits into them."""

from collections.abc import Iterator
from functools import cache

from PIL import ImageFont

PAPER = (31, 29, 27)  # the web page's dark card: readable in dark and light chats
WELL = (40, 37, 34)
LINE = (58, 53, 48)
INK = (241, 237, 232)
QUIET = (165, 156, 146)
ACCENT = (255, 125, 92)
CHECK = (121, 176, 234)
GOOD = (108, 197, 146)

LATIN = 0x17F  # the last character that Pillow's own font has for sure
WIDE = (  # fonts with more scripts, where the machine has one of them
    "NotoSansCJK-Regular.ttc",
    "NotoSans-Regular.ttf",
    "DejaVuSans.ttf",
    "LiberationSans-Regular.ttf",
)

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def font_for(size: int, text: str = "") -> Font:
    """A font of this size in pixels that has this text's characters, if there is one."""
    return _wide_font(size) if any(ord(character) > LATIN for character in text) else _default_font(size)


def wrap(text: str, font: Font, width: float, most: int) -> list[str]:
    """The text in at most `most` lines of this width, with an ellipsis where it does not fit."""
    words = text.split()
    lines: list[str] = []
    while words and len(lines) < most:
        last = len(lines) == most - 1
        taken, words = _take_line(words, font, width, last=last)
        lines.append(taken)
    return lines


def truncate(text: str, font: Font, width: float) -> str:
    """The text in one line of this width, with an ellipsis where it was cut."""
    if font.getlength(text) <= width:
        return text
    return next(_shorter(text, font, width), "…")


def _take_line(words: list[str], font: Font, width: float, *, last: bool) -> tuple[str, list[str]]:
    """As many words as fit into a line, and the rest; the last line takes all, truncated."""
    if last:
        return truncate(" ".join(words), font, width), []
    count = 1
    while count < len(words) and font.getlength(" ".join(words[: count + 1])) <= width:
        count += 1
    return truncate(" ".join(words[:count]), font, width), words[count:]


def _shorter(text: str, font: Font, width: float) -> Iterator[str]:
    for length in range(min(len(text), 400), 0, -1):
        if font.getlength(shown := f"{text[:length].rstrip()}…") <= width:
            yield shown


@cache
def _default_font(size: int) -> Font:
    return ImageFont.load_default(size)


@cache
def _wide_font(size: int) -> Font:
    for name in WIDE:
        try:
            return ImageFont.truetype(name, size)
        except OSError:  # it is not on this machine
            continue
    return _default_font(size)
