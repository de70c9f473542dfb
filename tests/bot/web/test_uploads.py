"""Pictures that people send: what is taken, what is refused, and what is left of them."""

import io
import json
import resource
import struct
import zlib
from pathlib import Path

import pytest
from PIL import Image, PngImagePlugin

from bot.config import AdminSettings
from engine.messages import Sha256
from tests.bot.web.page_client import PageClient, Place, a_place


def encoded(picture: Image.Image, kind: str, **how: object) -> bytes:
    out = io.BytesIO()
    picture.save(out, kind, **how)
    return out.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def bomb(width: int, height: int) -> bytes:
    """A PNG of few bytes that says it has so many pixels."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0))
    rows = zlib.compress(bytes((width // 8 + 2) * min(height, 4096)), 9)
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def moving_bomb() -> bytes:
    """A WEBP of few bytes whose canvas is as large as the format allows."""
    frame = encoded(Image.new("RGB", (8, 8), "red"), "WEBP", lossless=True)[12:]
    side = (16_383 - 1).to_bytes(3, "little")
    place = bytes(6) + (7).to_bytes(3, "little") * 2 + (10).to_bytes(3, "little") + b"\0"
    body = b"".join(
        kind + struct.pack("<I", len(data)) + data
        for kind, data in (
            (b"VP8X", b"\x02\0\0\0" + side * 2),
            (b"ANIM", bytes(6)),
            (b"ANMF", place + frame),
        )
    )
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


async def kept(place: Place, client: PageClient, content: bytes) -> Image.Image:
    """What the store has after this was sent."""
    status, text = await client.post("/uploads", content)
    assert status == 200, text
    told = json.loads(text)["pictures"][0]
    picture = Image.open(io.BytesIO(await place.bot.files.get(Sha256(told["sha256"]))))
    assert (told["width"], told["height"]) == picture.size
    return picture


@pytest.mark.parametrize(("kind", "becomes"), [("PNG", "PNG"), ("JPEG", "JPEG"), ("WEBP", "PNG")])
async def test_three_kinds_of_pictures_are_taken(place: Place, kind: str, becomes: str) -> None:
    ana = await place.comes()

    picture = await kept(place, ana, encoded(Image.new("RGB", (60, 40), "red"), kind))

    assert picture.format == becomes
    assert picture.size == (60, 40)
    red = picture.convert("RGB").getpixel((30, 20))
    assert isinstance(red, tuple)
    assert red[0] > 240 and max(red[1:]) < 20


async def test_nothing_travels_on_but_the_pixels(place: Place) -> None:
    ana = await place.comes()
    exif = Image.Exif()
    exif[0x010E] = "a secret place"
    exif[0x0112] = 6  # lies on its side
    texts = PngImagePlugin.PngInfo()
    texts.add_text("Comment", "a secret place")
    picture = Image.new("RGB", (60, 40), "red")

    for content in (encoded(picture, "JPEG", exif=exif), encoded(picture, "PNG", exif=exif, pnginfo=texts)):
        made = await kept(place, ana, content)
        assert made.size == (40, 60)
        assert not made.getexif()
        assert "Comment" not in made.info
        assert b"secret" not in await place.bot.files.get(Sha256(await hash_of(ana, content)))
        assert b"secret" not in b"".join(path.read_bytes() for path in stored(place))


async def test_clear_pixels_stay_clear_and_sixteen_bits_become_eight(place: Place) -> None:
    ana = await place.comes()
    clear = Image.new("RGBA", (8, 8), (255, 0, 0, 0))
    deep = Image.new("I;16", (8, 8), 32768)
    moving = encoded(
        Image.new("RGB", (8, 8), "red"),
        "WEBP",
        save_all=True,
        lossless=True,
        append_images=[Image.new("RGB", (8, 8), "blue")],
    )

    assert (await kept(place, ana, encoded(clear, "PNG"))).getpixel((1, 1)) == (255, 0, 0, 0)
    assert (await kept(place, ana, encoded(deep, "PNG"))).getpixel((1, 1)) == (128, 128, 128)
    assert (await kept(place, ana, moving)).getpixel((1, 1)) == (255, 0, 0)
    gif = encoded(
        Image.new("RGB", (8, 8), "red"),
        "GIF",
        save_all=True,
        append_images=[Image.new("RGB", (8, 8), "blue")],
    )
    assert (await kept(place, ana, gif)).convert("RGB").getpixel((1, 1)) == (255, 0, 0)
    _, told = await ana.post("/uploads?name=fox.gif", gif)
    assert [picture["note"] for picture in json.loads(told)["pictures"]] == [
        "The picture moves. Its first frame is taken."
    ]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "This is not a picture that can be read. Send a PNG, JPEG or WebP."),
        (b"GIF89a" + bytes(100), "This is not a picture that can be read. Send a PNG, JPEG or WebP."),
        (b"<svg onload='alert(1)'/>", "This is not a picture that can be read. Send a PNG, JPEG or WebP."),
        (b"%!PS-Adobe-3.0 EPSF-3.0", "This is not a picture that can be read. Send a PNG, JPEG or WebP."),
        (
            encoded(Image.new("RGB", (60, 40)), "PNG")[:-30],
            "This is not a picture that can be read. Send a PNG, JPEG or WebP.",
        ),
        (
            encoded(Image.new("RGB", (60, 40)), "BMP"),
            "This is not a picture that can be read. Send a PNG, JPEG or WebP.",
        ),
        (
            bomb(8200, 10),
            "The picture has 8200 x 10 pixels. At most 32 megapixels and 8,192 pixels a side are allowed.",
        ),
        (
            bomb(8000, 8000),
            "The picture has 8000 x 8000 pixels. At most 32 megapixels and 8,192 pixels a side are allowed.",
        ),
        (
            bomb(13_000, 13_000),
            "The picture has far too many pixels. At most 32 megapixels are allowed.",
        ),
        (
            bomb(60_000, 60_000),
            "The picture has far too many pixels. At most 32 megapixels are allowed.",
        ),
    ],
)
async def test_what_is_no_allowed_picture_gets_one_sentence(
    place: Place, content: bytes, sentence: str
) -> None:
    ana = await place.comes()
    before = stored(place)

    assert await ana.post("/uploads", content) == (422, sentence)
    assert stored(place) == before


async def test_a_bomb_fills_no_memory(place: Place) -> None:
    ana = await place.comes()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    for content in (bomb(13_000, 13_000), bomb(8000, 8000), moving_bomb()):
        assert (await ana.post("/uploads", content))[0] == 422

    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # kilobytes


async def test_more_than_twenty_megabytes_are_not_read(place: Place) -> None:
    ana = await place.comes()

    status, text = await ana.post("/uploads", bytes(21 * 2**20))

    assert status == 413
    assert text == "The picture is larger than 20 MB. Send a smaller one."
    assert (await ana.says("/help"))["ok"]


async def test_who_is_blocked_sends_nothing_and_keeps_their_name(tmp_path: Path) -> None:
    async with a_place(tmp_path, admins=AdminSettings(local=("ana",))) as place:
        ana, ben = await place.comes(), await place.comes()
        await ana.ask(name="ana")
        await ben.ask(name="ben")
        picture = encoded(Image.new("RGB", (60, 40), "red"), "PNG")
        assert (await ben.post("/uploads?channel=general", picture))[0] == 200

        assert (await ana.says("/admin people ben --block"))["ok"]

        blocked = (422, "An admin has blocked you here. Ask one of them about it.")
        assert await ben.post("/uploads?channel=general", picture) == blocked
        assert await ben.post("/uploads", picture) == blocked
        assert await ben.post("/lora-files?channel=general", picture) == blocked
        assert (await ben.post("/uploads?channel=ideas", picture))[0] == 200
        assert await ben.post("/uploads?channel=nowhere", picture) == (422, "There is no such channel.")
        assert (await ben.ask(name="carl"))["error"] == (
            "An admin has blocked you here. Your name stays as it is."
        )


async def hash_of(client: PageClient, content: bytes) -> str:
    sha256: str = json.loads((await client.post("/uploads", content))[1])["pictures"][0]["sha256"]
    return sha256


def stored(place: Place) -> list[Path]:
    folder = Path(place.bot.config.engine.files)
    return sorted(path for path in folder.rglob("*") if path.is_file())


async def test_the_recipe_that_a_picture_carries_opens_the_form(place: Place) -> None:
    told = PngImagePlugin.PngInfo()
    told.add_text("parameters", "a fox <lora:none>\nNegative prompt: hat\nSteps: 3, Seed: 5, Clip skip: 2")
    ana = await place.comes()
    status, text = await ana.post("/uploads", encoded(Image.new("RGB", (8, 8)), "PNG", pnginfo=told))
    assert status == 200, text

    (sent,) = json.loads(text)["pictures"]
    reply = (await ana.ask(recipe=sent["recipe"]))["reply"]

    assert reply["form"]["command"] == "imagine"
    values = reply["form"]["values"]
    assert {name: values[name] for name in ("prompt", "no", "steps", "seed")} == {
        "prompt": "a fox",
        "no": "hat",
        "steps": "3",
        "seed": "5",
    }
    assert reply["text"] == "Left out, because it is not known here: Clip skip: 2, the LoRA none."
    assert not (await ana.ask(recipe="just words"))["reply"]["ok"]


async def test_a_picture_without_a_recipe_or_with_far_too_long_a_one_is_just_a_picture(place: Place) -> None:
    told = PngImagePlugin.PngInfo()
    told.add_text("parameters", "x" * 50_000)
    ana = await place.comes()

    for how in ({}, {"pnginfo": told}):
        _, text = await ana.post("/uploads", encoded(Image.new("RGB", (8, 8)), "PNG", **how))
        assert json.loads(text)["pictures"][0]["recipe"] == ""
