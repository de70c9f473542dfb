"""Pictures that nobody sends by accident."""

import io
import random
import re
import struct
import zlib
from collections.abc import Iterator, Sequence

from PIL import Image

from tests.bot.uploads import icc

TURNED = (0x0112, 3, 1, struct.pack("<H", 6))  # a picture that lies on its side
MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7]")


def many_scans(count: int, size: tuple[int, int] = (800, 600)) -> bytes:
    """A progressive JPEG whose last scan comes again and again."""
    out = io.BytesIO()
    Image.new("L", size, 90).save(out, "JPEG", progressive=True)
    whole = out.getvalue()
    start = whole.rindex(b"\xff\xda")
    following = MARKER.search(whole, start + 4 + int.from_bytes(whole[start + 2 : start + 4], "big") - 2)
    assert following is not None
    scan = whole[start : following.start()]
    return whole[:start] + scan * count + whole[following.start() :]


def large_png(size: tuple[int, int], shade: int) -> bytes:
    """A grey PNG of so many pixels, made row by row: whoever makes it needs no memory for them."""
    packing, (width, height) = zlib.compressobj(1), size
    rows = b"".join(packing.compress(b"\0" + bytes([shade]) * 3 * width) for _ in range(height))
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = (b"IHDR", head), (b"IDAT", rows + packing.flush()), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


def many_chunks(count: int) -> bytes:
    """A PNG with so many chunks that nobody else knows."""
    out = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(out, "PNG")
    whole, private = out.getvalue(), struct.pack(">I4sI", 0, b"prVt", zlib.crc32(b"prVt"))
    return whole[:33] + private * count + whole[33:]


def odd_exif() -> dict[str, bytes]:
    """JPEGs of 60 x 40 pixels that lie on their sides, by EXIF with something odd in it."""
    texts = (0x011A, 2, 3, b"72\0"), (0x0128, 2, 2, b"a\0")
    pictures = {
        "a resolution in words": (TURNED, texts[0]),
        "a resolution in words and no unit": (TURNED, *texts),
        "a unit in words": (TURNED, (0x011A, 5, 1, struct.pack("<II", 72, 0)), texts[1]),
        "an offset beyond everything": (TURNED, (0x8769, 16, 1, struct.pack("<Q", 2**64 - 1))),
        "places in words": (TURNED, (0x8825, 2, 5, b"text\0")),
    }
    return {name: jpeg(_exif(*entries)) for name, entries in pictures.items()}


def jpeg(exif: bytes = b"", colour: str = "red") -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (60, 40), colour).save(out, "JPEG", exif=exif)
    return out.getvalue()


def mutants(count: int, seed: int) -> Iterator[bytes]:
    """Pictures of all kinds with some bytes changed, cut out or doubled."""
    whole = [*odd_exif().values(), many_scans(3, (40, 30)), many_chunks(3)]
    for kind, mode in (("PNG", "RGB"), ("PNG", "P"), ("PNG", "LA"), ("WEBP", "RGBA"), ("JPEG", "CMYK")):
        out = io.BytesIO()
        Image.new(mode, (24, 17), 3).save(out, kind, icc_profile=icc.display_p3())
        whole.append(out.getvalue())
    yield from mutate(whole, count, seed)


def mutate(whole: Sequence[bytes], count: int, seed: int) -> Iterator[bytes]:
    """One of these files at a time, with some bytes changed, cut out or doubled."""
    chance = random.Random(seed)
    for _ in range(count):
        content = bytearray(chance.choice(whole))
        for _ in range(chance.randint(1, 6)):
            place = chance.randrange(len(content))
            match chance.randrange(4):
                case 0:
                    content[place] = chance.randrange(256)
                case 1:
                    content[place : place + 4] = chance.choice((b"\xff" * 4, bytes(4), b"\0\0\0\1", b"\x7f"))
                case 2:
                    del content[place : place + chance.randint(1, 9)]
                case 3:
                    content[place:place] = content[max(0, place - 20) : place]
            content = content or bytearray(b"\0")
        yield bytes(content)


def _exif(*entries: tuple[int, int, int, bytes]) -> bytes:
    """Tags, each with its type, count and value."""
    body, beside = struct.pack("<H", len(entries)), b""
    for tag, kind, count, value in entries:
        place = struct.pack("<I", 8 + 2 + 12 * len(entries) + 4 + len(beside))
        body += struct.pack("<HHI", tag, kind, count) + (value.ljust(4, b"\0") if len(value) <= 4 else place)
        beside += value if len(value) > 4 else b""
    return b"Exif\0\0II*\0" + struct.pack("<I", 8) + body + bytes(4) + beside
