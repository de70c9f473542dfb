"""Reads the kind of a picture, and how many parts it has, before anything of it is decoded."""

import re
from typing import Literal

MOST_SCANS = 100  # of a JPEG; programs write about ten, and each takes a pass over all pixels
MOST_PARTS = 20_000  # chunks of a PNG or WEBP, segments of a JPEG: 20 MB in pieces of a kilobyte
START = 12  # bytes that tell the kind
AVIF = (b"avif", b"avis")  # brands of a file
HEIF = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1")

# A JPEG's marker: within a scan, FF is followed by 00 or by a restart, which are none.
MARKER = re.compile(rb"\xff+([^\x00\x01\xff\xd0-\xd7])")
START_OF_IMAGE, END_OF_IMAGE, START_OF_SCAN = 0xD8, 0xD9, 0xDA


class PictureRefused(Exception):
    """Why a picture is refused, in one sentence."""


def kind_of(start: bytes) -> str:
    """The kind of a picture that starts with these bytes, at least START of them; "" for anything else."""
    if start.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if start.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if start[4:8] == b"ftyp":  # ISO/IEC 23008-12
        return "AVIF" if start[8:12] in AVIF else "HEIF" if start[8:12] in HEIF else ""
    return "WEBP" if start.startswith(b"RIFF") and start[8:12] == b"WEBP" else ""


def check_parts(content: bytes) -> None:
    """Raise PictureRefused when the picture has more parts than any program writes."""
    match kind_of(content[:START]):
        case "JPEG":
            _check_jpeg(content)
        case "PNG":
            _check_chunks(content, 8, "big", extra=4)
        case "WEBP":
            _check_chunks(content, START, "little", extra=0)


def _check_jpeg(content: bytes) -> None:
    scans = parts = 0
    place = 2
    while (marker := MARKER.search(content, place)) and marker[1][0] != END_OF_IMAGE:
        place, parts = marker.end(), parts + 1
        scans += marker[1][0] == START_OF_SCAN
        if scans > MOST_SCANS:
            raise PictureRefused(
                f"The picture has more than {MOST_SCANS} scans. Save it again and send that."
            )
        if parts > MOST_PARTS:
            raise PictureRefused(_many("segments"))
        if marker[1][0] != START_OF_IMAGE:
            place += int.from_bytes(content[place : place + 2], "big")


def _check_chunks(content: bytes, place: int, order: Literal["big", "little"], extra: int) -> None:
    """Chunks are a length and a kind, in either order, the content, and `extra` bytes."""
    parts = 0
    while place + 8 <= len(content):
        at = place if order == "big" else place + 4
        length = int.from_bytes(content[at : at + 4], order)
        place, parts = place + 8 + length + extra + (length % 2 if order == "little" else 0), parts + 1
        if parts > MOST_PARTS:
            raise PictureRefused(_many("chunks"))


def _many(what: str) -> str:
    return f"The picture has more than {MOST_PARTS:,} {what}. Save it again and send that."
