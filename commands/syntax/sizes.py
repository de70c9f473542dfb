"""Picture sizes as people write them: 832x1216, 3:2, or a name such as portrait."""

import re

from commands.syntax.parser import shorten
from engine.messages import InvalidRequest, Ratio, Size

SQUARE = Ratio(across=1, down=1)
NAMED_SIZES = {
    "square": SQUARE,
    "portrait": Ratio(across=2, down=3),
    "landscape": Ratio(across=3, down=2),
    "wide": Ratio(across=16, down=9),
    "tall": Ratio(across=9, down=16),
}
PIXELS = re.compile(r"(\d{1,9})\s*[x\u00d7*]\s*(\d{1,9})", re.ASCII)
SHAPE = re.compile(r"(\d{1,9})\s*[:/]\s*(\d{1,9})", re.ASCII)


def read_size(text: str) -> Size | Ratio:
    """A size in pixels, or a ratio that leaves the pixels to the engine. Raises InvalidRequest."""
    words = text.strip().lower()
    if words in NAMED_SIZES:
        return NAMED_SIZES[words]
    if pixels := PIXELS.fullmatch(words):
        return Size(width=int(pixels[1]), height=int(pixels[2]))
    if shape := SHAPE.fullmatch(words):
        return Ratio(across=int(shape[1]), down=int(shape[2]))
    raise InvalidRequest(
        f"--size must be pixels such as 832x1216, a ratio such as 3:2, or one of {', '.join(NAMED_SIZES)}, "
        f"not {shorten(text)!r}."
    )
