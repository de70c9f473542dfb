"""The recipe that a PNG carries is found in its first bytes, and nothing else is."""

import io
import struct
import zlib

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from bot.uploads.png_text import HEAD, recipe_in

RECIPE = "a fox\nSteps: 3, Seed: 5, CFG scale: 4"
SIGNATURE = b"\x89PNG\r\n\x1a\n"


def png(**texts: str) -> bytes:
    chunks = PngInfo()
    for name, text in texts.items():
        chunks.add_text(name, text)
    out = io.BytesIO()
    Image.new("RGB", (64, 64), "red").save(out, "PNG", pnginfo=chunks)
    return out.getvalue()


def part(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


@pytest.mark.parametrize("recipe", [RECIPE, f"ein Fuchs \U0001f98a {RECIPE}"])
def test_the_text_of_a1111_and_our_own_are_found_though_the_file_is_cut(recipe: str) -> None:
    assert recipe_in(png(Title="x", parameters=recipe)) == recipe
    assert recipe_in(png(parameters=recipe)[:-60]) == recipe
    assert recipe_in(png(parameters=recipe, recipe='{"prompt": "x"}')) == '{"prompt": "x"}'


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no picture",
        SIGNATURE,
        png(),
        png(parameters="x" * 10_001),
        png()[:20],
        SIGNATURE + struct.pack(">I", 2**31) + b"tEXtparameters\0x",
        SIGNATURE + part(b"tEXt", b"parameters") + part(b"iTXt", b"parameters\0"),
        SIGNATURE + part(b"iTXt", b"parameters\0\1\0\0\0" + zlib.compress(b"x" * 10_000)),
        SIGNATURE + part(b"IDAT", b"") + part(b"tEXt", b"parameters\0late"),
        SIGNATURE + part(b"", b"")[:0] + part(b"tIME", b"") * (HEAD // 12),
    ],
)
def test_a_file_without_one_or_with_a_strange_one_has_none(content: bytes) -> None:
    assert recipe_in(content) == ""
