"""Captions in text files beside pictures, as the trainers of the world write them."""

import codecs
import unicodedata
from collections.abc import Iterable
from pathlib import PurePosixPath

from engine.messages import CAPTION_CHARACTERS, InvalidRequest, check_text

ENDINGS = (".txt", ".caption")  # where a picture has both, the first is taken
LARGEST = 4 * CAPTION_CHARACTERS + 3  # bytes: of UTF-8, with its mark; other ways need no more
UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read_caption(content: bytes) -> str:
    """What stands in a caption's file. Raises InvalidRequest with one sentence."""
    if len(content) > LARGEST:
        raise InvalidRequest(f"Its caption has more than {CAPTION_CHARACTERS:,} characters.")
    text = _decoded(content).strip()
    if len(text) > CAPTION_CHARACTERS:
        raise InvalidRequest(
            f"Its caption has {len(text):,} characters. At most {CAPTION_CHARACTERS:,} are allowed."
        )
    check_text("Its caption", text)
    return text


def names(picture: PurePosixPath) -> Iterable[PurePosixPath]:
    """What the caption of a.png may be called, the likeliest first: a.txt, a.caption, a.png.txt."""
    for beside in (picture.with_suffix(""), picture):
        for ending in ENDINGS:
            yield beside.with_name(beside.name + ending)


def folded(path: PurePosixPath) -> str:
    """A name in whichever case and form of Unicode somebody's file system has it."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", str(path)).casefold())


def _decoded(content: bytes) -> str:
    """UTF-8, UTF-16 as Windows writes it, or what Western editors wrote before those."""
    for encoding in _encodings(content):
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise InvalidRequest("Its caption is not text in UTF-8, UTF-16 or Windows-1252.")


def _encodings(content: bytes) -> tuple[str, ...]:
    """Those that it can be in, by its mark, or else by the zeros that letters of UTF-16 have beside them."""
    if content.startswith(UTF_16):
        return ("utf-16",)
    if 0 in content[:2]:
        return ("utf-16-be",) if content[0] == 0 else ("utf-16-le",)
    return "utf-8-sig", "cp1252"
