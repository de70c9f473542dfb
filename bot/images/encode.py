"""Encodes pictures for chats: several as one grid, and none larger than a chat takes."""

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from PIL import Image

GAP = 8  # pixels between the pictures of a grid at 1,024 pixels, and in proportion at others
QUALITY = 90  # of WebP: the difference cannot be seen at the size of a chat
SMALLER = (1.0, 0.75, 0.5, 0.35, 0.25, 0.125)  # scales to try, one after another
SMALLEST = 64  # pixels of the longer side: nothing can be seen in a smaller picture
FORMATS = ("PNG", "JPEG", "WEBP")
MB = 2**20


class TooLarge(Exception):
    """Even at the smallest scale the pictures are larger than the chat's limit."""


@dataclass(frozen=True, kw_only=True)
class EncodedImage:
    """A file for a chat; `note` says in a sentence or two how it was made smaller, if it was."""

    name: str
    content: bytes
    note: str = ""


def open_image(content: bytes) -> Image.Image:
    """Decode a picture of ours. Raises OSError."""
    with Image.open(io.BytesIO(content), formats=FORMATS) as image:
        return image.convert("RGB")


def grid(pictures: Sequence[bytes]) -> Image.Image:
    """Pictures of one job in one or two rows, with transparent gaps."""
    images = [open_image(content) for content in pictures]
    if len(images) == 1:
        return images[0]
    width, height = max(image.width for image in images), max(image.height for image in images)
    gap = max(2, round(GAP * max(width, height) / 1024))
    rows = (len(images) + 1) // 2
    whole = Image.new("RGBA", (2 * width + gap, rows * height + (rows - 1) * gap))
    for place, image in enumerate(images):
        row, column = divmod(place, 2)
        whole.paste(image, (column * (width + gap), row * (height + gap)))
    return whole


def fit_pictures(pictures: Sequence[bytes], limit: int) -> EncodedImage:
    """Encode the pictures as one file of at most `limit` bytes: PNG, WebP, or smaller. Raises TooLarge.

    A single picture that fits stays the file that it is, with its recipe inside.
    """
    if len(pictures) == 1 and len(pictures[0]) <= limit:
        return EncodedImage(name=f"painting.{_suffix(pictures[0])}", content=pictures[0])
    whole = grid(pictures)
    if len(pictures) > 1 and len(content := png(whole)) <= limit:
        return EncodedImage(name="painting.png", content=content)
    for scale, content in _smaller_forms(whole):
        if len(content) <= limit:
            how = "as WebP" if scale == 1.0 else "smaller"
            return EncodedImage(
                name="painting.webp",
                content=content,
                note=f"Shown {how}. The chat takes at most {_size(limit)}.",
            )
    raise TooLarge(f"The pictures cannot be made as small as {limit} bytes.")


def fit_sheet(name: str, image: Image.Image, limit: int) -> EncodedImage:
    """Encode a drawn sheet as one file of at most `limit` bytes, without a note. Raises TooLarge."""
    if len(content := png(image)) <= limit:
        return EncodedImage(name=f"{name}.png", content=content)
    for _, content in _smaller_forms(image):
        if len(content) <= limit:
            return EncodedImage(name=f"{name}.webp", content=content)
    raise TooLarge(f"{name} cannot be made as small as {limit} bytes.")


def enlarge_preview(preview: bytes, side: int = 512) -> bytes:
    """Enlarge a preview to about the size of a picture in a chat, so that the card does not jump."""
    image = open_image(preview)
    scale = side / max(image.size)
    if scale > 1:
        size = (round(image.width * scale), round(image.height * scale))
        image = image.resize(size, Image.Resampling.BICUBIC)
    return _encode(lambda file: image.save(file, "JPEG", quality=85))


def thumbnail(content: bytes, side: int = 256) -> bytes:
    """A small JPEG of a picture, at most `side` pixels wide and high. Raises OSError."""
    image = open_image(content)
    image.thumbnail((side, side))
    return _encode(lambda file: image.save(file, "JPEG", quality=90))


def png(image: Image.Image) -> bytes:
    """The picture as a PNG."""
    return _encode(lambda file: image.save(file, "PNG"))


def _smaller_forms(image: Image.Image) -> Iterator[tuple[float, bytes]]:
    """The image as WebP, smaller each time, with the scale of its sides."""
    for scale in SMALLER:
        if scale < 1.0 and max(image.size) * scale < SMALLEST:
            return
        size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        shown = image if scale == 1.0 else image.resize(size, Image.Resampling.LANCZOS)
        yield scale, _webp(shown)


def _webp(image: Image.Image) -> bytes:
    return _encode(lambda file: image.save(file, "WEBP", quality=QUALITY))


def _encode(save: Callable[[io.BytesIO], None]) -> bytes:
    file = io.BytesIO()
    save(file)
    return file.getvalue()


def _suffix(content: bytes) -> str:
    return "png" if content.startswith(b"\x89PNG") else "webp" if content[8:12] == b"WEBP" else "jpg"


def _size(limit: int) -> str:
    return f"{limit / MB:.0f} MB" if limit >= MB else f"{max(1, round(limit / 1024))} KB"
