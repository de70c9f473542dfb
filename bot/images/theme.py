"""What drawn sheets share: their colours, and letters for whatever people write."""

from collections.abc import Iterator
from functools import cache

from PIL import ImageFont

PAPER = (31, 29, 27)  # the page's dark card: reads well in a dark chat, and as a card in a light one
WELL = (40, 37, 34)
LINE = (58, 53, 48)
INK = (241, 237, 232)
QUIET = (165, 156, 146)
ACCENT = (255, 125, 92)
CHECK = (121, 176, 234)
GOOD = (108, 197, 146)

LATIN = 0x17F  # the last character that Pillow's own font is sure to have
WIDE = (  # fonts with more scripts, where the machine has one of them
    "NotoSansCJK-Regular.ttc",
    "NotoSans-Regular.ttf",
    "DejaVuSans.ttf",
    "LiberationSans-Regular.ttf",
)

Letters = ImageFont.FreeTypeFont | ImageFont.ImageFont


def letters(size: int, text: str = "") -> Letters:
    """A font of this size in pixels that has this text's characters, if there is one."""
    return _wide(size) if any(ord(one) > LATIN for one in text) else _usual(size)


def lines(text: str, font: Letters, width: float, most: int) -> list[str]:
    """The text in at most so many lines of this width; what does not fit ends in an ellipsis."""
    words = text.split()
    found: list[str] = []
    while words and len(found) < most:
        last = len(found) == most - 1
        taken, words = _line(words, font, width, last=last)
        found.append(taken)
    return found


def cut(text: str, font: Letters, width: float) -> str:
    """The text in one line of this width, with an ellipsis where it was cut."""
    if font.getlength(text) <= width:
        return text
    return next(_shorter(text, font, width), "…")


def _line(words: list[str], font: Letters, width: float, *, last: bool) -> tuple[str, list[str]]:
    """As many words as fit, and the rest; the last line takes all that is left."""
    if last:
        return cut(" ".join(words), font, width), []
    count = 1
    while count < len(words) and font.getlength(" ".join(words[: count + 1])) <= width:
        count += 1
    return cut(" ".join(words[:count]), font, width), words[count:]


def _shorter(text: str, font: Letters, width: float) -> Iterator[str]:
    for length in range(min(len(text), 400), 0, -1):
        if font.getlength(shown := f"{text[:length].rstrip()}…") <= width:
            yield shown


@cache
def _usual(size: int) -> Letters:
    return ImageFont.load_default(size)


@cache
def _wide(size: int) -> Letters:
    for name in WIDE:
        try:
            return ImageFont.truetype(name, size)
        except OSError:  # it is not on this machine
            continue
    return _usual(size)
