"""Captions in text files beside pictures, as training tools write them, and in the names of their folders."""

import codecs
import re
import unicodedata
from collections.abc import Iterable
from pathlib import PurePosixPath

from engine.messages import CAPTION_CHARACTERS, REPEATS, InvalidRequest, check_text

ENDINGS = (".txt", ".caption")  # where a picture has both, the first is used
LARGEST = 4 * CAPTION_CHARACTERS + 3  # bytes: of UTF-8 with its mark; other encodings need no more
UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
REGULARIZATION = ("reg", "regularization", "regularisation")  # names of folders, in lower case
FOLDER = re.compile(r"(\d{1,4})_(.*\S)")  # of kohya's sd-scripts: "10_ohwx woman"


def read_caption(content: bytes) -> str:
    """The text of a caption file. Raises InvalidRequest with one sentence."""
    if len(content) > LARGEST:
        raise InvalidRequest(f"Its caption has more than {CAPTION_CHARACTERS:,} characters.")
    return check_caption(decode_text(content, "Its caption"))


def check_caption(text: str) -> str:
    """The caption without space around it. Raises InvalidRequest with one sentence."""
    caption = text.strip()
    check_text("Its caption", caption, CAPTION_CHARACTERS)
    return caption


def caption_names(picture: PurePosixPath) -> Iterable[PurePosixPath]:
    """Possible names of the caption of a.png, the likeliest first: a.txt, a.caption, a.png.txt."""
    for beside in (picture.with_suffix(""), picture):
        for ending in ENDINGS:
            yield beside.with_name(beside.name + ending)


def folder_caption(picture: PurePosixPath) -> tuple[str, int]:
    """The caption and the repeats that the nearest folder named like "10_ohwx woman" gives its pictures.

    Without such a folder there is no caption, and each picture counts once.
    """
    for folder in picture.parents:
        match = FOLDER.fullmatch(folder.name)
        if match and REPEATS[0] <= int(match[1]) <= REPEATS[1]:
            return match[2].strip(), int(match[1])
    return "", 1


def is_regularization(picture: PurePosixPath) -> bool:
    """Whether it lies in a folder of pictures of the class alone, such as "reg/1_woman"."""
    return any(folder.name.casefold() in REGULARIZATION for folder in picture.parents)


def normalize(path: PurePosixPath) -> str:
    """A name to compare by, whatever case and form of Unicode a file system has it in."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", str(path)).casefold())


def decode_text(content: bytes, name: str) -> str:
    """Decode UTF-8, UTF-16 as Windows writes it, or Windows-1252. `name` opens the sentence.

    Raises InvalidRequest.
    """
    for encoding in _encodings(content):
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise InvalidRequest(f"{name} is not text in UTF-8, UTF-16 or Windows-1252.")


def _encodings(content: bytes) -> tuple[str, ...]:
    """The encodings that it can have: by its mark, or by the zero bytes that UTF-16 has beside letters."""
    if content.startswith(UTF_16):
        return ("utf-16",)
    if 0 in content[:2]:
        return ("utf-16-be",) if content[0] == 0 else ("utf-16-le",)
    return "utf-8-sig", "cp1252"
