"""Several pictures as one, and any of them as large as a chat takes."""

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from PIL import Image

GAP = 8  # pixels between the pictures of a grid at 1,024 pixels, and in proportion at others
QUALITY = 90  # of WebP: nobody sees the difference at the size of a chat
SMALLER = (1.0, 0.75, 0.5, 0.35, 0.25, 0.125)  # sides to try, one after another
SMALLEST = 64  # pixels of the longer side, under which nothing can be seen any more
FORMATS = ("PNG", "JPEG", "WEBP")
MB = 2**20


class TooLarge(Exception):
    """Not even the smallest form of the pictures is within the chat's limit."""


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """A file for a chat; `note` says in a few words what it had to lose, if anything."""

    name: str
    content: bytes
    note: str = ""


def opened(content: bytes) -> Image.Image:
    """A picture of ours from its file. Raises OSError."""
    with Image.open(io.BytesIO(content), formats=FORMATS) as image:
        return image.convert("RGB")


def grid(pictures: Sequence[bytes]) -> Image.Image:
    """Pictures of one job side by side: in a row, or in two rows. What is between them is clear."""
    images = [opened(one) for one in pictures]
    if len(images) == 1:
        return images[0]
    width, height = max(one.width for one in images), max(one.height for one in images)
    gap = max(2, round(GAP * max(width, height) / 1024))
    rows = (len(images) + 1) // 2
    whole = Image.new("RGBA", (2 * width + gap, rows * height + (rows - 1) * gap))
    for place, image in enumerate(images):
        row, column = divmod(place, 2)
        whole.paste(image, (column * (width + gap), row * (height + gap)))
    return whole


def fitted(pictures: Sequence[bytes], limit: int) -> Fitted:
    """The pictures as one file of at most so many bytes: as they are, as WebP, or smaller. Raises TooLarge.

    A single picture that fits stays the file that it is, with its recipe inside.
    """
    if len(pictures) == 1 and len(pictures[0]) <= limit:
        return Fitted(name=f"painting.{_suffix(pictures[0])}", content=pictures[0])
    whole = grid(pictures)
    if len(pictures) > 1 and len(content := png(whole)) <= limit:
        return Fitted(name="painting.png", content=content)
    for scale, content in _forms(whole):
        if len(content) <= limit:
            how = "as WebP" if scale == 1.0 else "smaller"
            return Fitted(
                name="painting.webp", content=content, note=f"shown {how}: the chat takes {_size(limit)}"
            )
    raise TooLarge(f"the pictures cannot be made as small as {limit} bytes.")


def fitting(name: str, image: Image.Image, limit: int) -> Fitted:
    """A drawn sheet as one file of at most so many bytes; it says nothing about it. Raises TooLarge."""
    if len(content := png(image)) <= limit:
        return Fitted(name=f"{name}.png", content=content)
    for _, content in _forms(image):
        if len(content) <= limit:
            return Fitted(name=f"{name}.webp", content=content)
    raise TooLarge(f"{name} cannot be made as small as {limit} bytes.")


def enlarged(preview: bytes, side: int = 512) -> bytes:
    """A preview as a JPEG about as large as a chat shows pictures, so that the card does not jump."""
    image = opened(preview)
    scale = side / max(image.size)
    if scale > 1:
        size = (round(image.width * scale), round(image.height * scale))
        image = image.resize(size, Image.Resampling.BICUBIC)
    return _saved(lambda file: image.save(file, "JPEG", quality=85))


def thumbnail(content: bytes, side: int = 256) -> bytes:
    """A small JPEG of a picture, at most so many pixels a side. Raises OSError."""
    image = opened(content)
    image.thumbnail((side, side))
    return _saved(lambda file: image.save(file, "JPEG", quality=90))


def png(image: Image.Image) -> bytes:
    """The picture as a PNG."""
    return _saved(lambda file: image.save(file, "PNG"))


def _forms(image: Image.Image) -> Iterator[tuple[float, bytes]]:
    """WebP files of it, each smaller than the one before, with the share of the sides that is left."""
    for scale in SMALLER:
        if scale < 1.0 and max(image.size) * scale < SMALLEST:
            return
        size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        shown = image if scale == 1.0 else image.resize(size, Image.Resampling.LANCZOS)
        yield scale, _webp(shown)


def _webp(image: Image.Image) -> bytes:
    return _saved(lambda file: image.save(file, "WEBP", quality=QUALITY))


def _saved(save: Callable[[io.BytesIO], None]) -> bytes:
    file = io.BytesIO()
    save(file)
    return file.getvalue()


def _suffix(content: bytes) -> str:
    return "png" if content.startswith(b"\x89PNG") else "webp" if content[8:12] == b"WEBP" else "jpg"


def _size(limit: int) -> str:
    return f"{limit / MB:.0f} MB" if limit >= MB else f"{max(1, round(limit / 1024))} KB"
