"""Colours of pictures that come in: what somebody saw is what is learned from, whatever it was written in."""

import io
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from PIL import Image

from bot.uploads.archive import check_file
from bot.uploads.image_check import ReencoderPool
from tests.bot.uploads import icc

RED = (220, 30, 30)
Seen = Callable[[Image.Image, str, bytes | None], Awaitable[Image.Image]]


@pytest.fixture
async def send_picture(tmp_path: Path) -> AsyncIterator[Seen]:
    """Somebody sends a picture with a profile; the picture that is kept of it."""
    async with ReencoderPool() as pool:

        async def send(picture: Image.Image, kind: str, profile: bytes | None) -> Image.Image:
            path = tmp_path / "came"
            how = {"quality": 100, "subsampling": 0} if kind == "JPEG" else {"lossless": True}
            picture.save(path, kind, icc_profile=profile, **how)
            async for checked in check_file(pool, "a", path):
                assert checked.image is not None, checked.reason
                image = Image.open(io.BytesIO(checked.image.path.read_bytes()))
                assert "icc_profile" not in image.info
                return image
            raise AssertionError("nothing came")

        yield send


def near(picture: Image.Image, wanted: tuple[int, ...], by: int = 3) -> bool:
    pixel = picture.getpixel((4, 4))
    assert isinstance(pixel, tuple)
    return len(pixel) == len(wanted) and all(
        abs(value - other) <= by for value, other in zip(pixel, wanted, strict=True)
    )


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize(
    ("profile", "numbers"),
    [(icc.display_p3(), (202, 54, 44)), (icc.prophoto(), (150, 64, 33)), (icc.adobe_rgb(), (189, 35, 35))],
    ids=["Display P3", "ProPhoto", "Adobe RGB"],
)
async def test_a_red_is_the_same_red_whatever_space_its_numbers_are_of(
    send_picture: Seen, profile: bytes, numbers: tuple[int, int, int], kind: str
) -> None:
    image = await send_picture(Image.new("RGB", (9, 9), numbers), kind, profile)

    assert near(image, RED), image.getpixel((4, 4))


async def test_what_is_clear_stays_clear_in_other_colours(send_picture: Seen) -> None:
    half = await send_picture(Image.new("RGBA", (9, 9), (202, 54, 44, 128)), "PNG", icc.display_p3())
    table = Image.new("P", (9, 9), 1)
    table.putpalette([0, 0, 0, 202, 54, 44])
    table.info["transparency"] = 0

    assert near(half, (*RED, 128))
    assert near(await send_picture(table, "PNG", icc.display_p3()), (*RED, 255))


async def test_greys_are_as_bright_as_their_profile_says(send_picture: Seen) -> None:
    linear = icc.grey(1.0)

    assert near(await send_picture(Image.new("L", (9, 9), 55), "PNG", linear), (128, 128, 128))
    assert near(await send_picture(Image.new("LA", (9, 9), (55, 9)), "PNG", linear), (128, 128, 128, 9))
    assert near(await send_picture(Image.new("I;16", (9, 9), 55 * 257), "PNG", linear), (128, 128, 128))
    assert near(await send_picture(Image.new("L", (9, 9), 55), "JPEG", None), (55, 55, 55))
    assert near(await send_picture(Image.new("L", (9, 9), 55), "JPEG", icc.display_p3()), (55, 55, 55))


async def test_inks_are_the_colours_that_their_press_prints(send_picture: Seen) -> None:
    inks = Image.new("CMYK", (9, 9), (0, 255, 255, 0))
    press = icc.cmyk({(0, 1, 1, 0): (50.0, 60.0, 40.0)})  # in sRGB about (208, 53, 57)

    assert near(await send_picture(inks, "JPEG", press), (208, 53, 57), by=6)
    assert near(await send_picture(inks, "JPEG", None), (255, 0, 0), by=6)


@pytest.mark.parametrize(
    "profile",
    [b"no profile", icc.display_p3()[:200], icc.display_p3()[:128] + bytes(400), icc.grey(1.0), icc.cmyk({})],
    ids=["words", "cut", "empty", "grey", "inks"],
)
async def test_a_profile_that_is_broken_or_of_other_colours_is_ignored(
    send_picture: Seen, profile: bytes
) -> None:
    assert near(await send_picture(Image.new("RGB", (9, 9), RED), "PNG", profile), RED, by=0)
