"""The description inside a picture's file, read in the process that may read hostile ones."""

import re
from collections.abc import Iterator

from PIL import Image

from bot.uploads.captions import check_caption
from engine.messages import InvalidRequest

NAMES = ("caption", "description", "comment", "parameters", "prompt")  # of a PNG's texts, the likeliest first
DESCRIPTION, EXIF, USER_COMMENT = 0x010E, 0x8769, 0x9286  # in EXIF (CIPA DC-008)
ENCODINGS = {  # the first eight bytes of a user comment, and how the rest can be written
    b"ASCII\0\0\0": ("utf-8",),
    b"UNICODE\0": ("utf-16-be", "utf-16-le"),
    b"\0\0\0\0\0\0\0\0": ("utf-8",),
}
RECIPE = re.compile(r"\s*\n(?:Negative prompt|Steps): ")  # behind the prompt, as A1111 writes it
CAMERAS = re.compile(r"(?i).*\b(?:digital (?:still )?camera|camera pictures|sony dsc)\b.*|dcim\W.*|[\W\d_]*")


def embedded_caption(picture: Image.Image) -> str:
    """What the file says is in the picture; "" where it says nothing, or what a camera writes by itself.

    Of a recipe it is the prompt. Raises whatever Pillow raises for a broken file.
    """
    for text in (*_png_texts(picture), *_exif_texts(picture)):
        caption = RECIPE.split(text, maxsplit=1)[0].strip()
        if caption.startswith("{") or CAMERAS.fullmatch(caption):
            continue
        try:
            return check_caption(caption)
        except InvalidRequest:
            continue
    return ""


def _png_texts(picture: Image.Image) -> Iterator[str]:
    texts = {str(name).lower(): text for name, text in picture.info.items() if isinstance(text, str)}
    yield from (texts[name] for name in NAMES if name in texts)


def _exif_texts(picture: Image.Image) -> Iterator[str]:
    exif = picture.getexif()
    description = exif.get(DESCRIPTION)
    if isinstance(description, bytes):
        description = description.decode("utf-8", errors="replace")
    if isinstance(description, str):
        yield _repair(description).strip("\0 ")
    comment = exif.get_ifd(EXIF).get(USER_COMMENT)
    if isinstance(comment, bytes):
        yield _user_comment(comment)


def _repair(text: str) -> str:
    """Text in UTF-8 that was read as Latin-1, as Pillow reads EXIF."""
    try:
        return text.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return text


def _user_comment(comment: bytes) -> str:
    """A user comment, in the encoding by which it has more of the letters that people write in ASCII."""
    read = []
    for encoding in ENCODINGS.get(comment[:8], ()):
        try:
            read.append(comment[8:].decode(encoding).strip("\0 "))
        except UnicodeDecodeError:
            continue
    return max(read, key=lambda text: sum(letter.isascii() for letter in text), default="")
