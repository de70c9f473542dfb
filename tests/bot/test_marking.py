"""Finished pictures are marked: what is set in, what survives, and what nobody else can make."""

import io
import stat
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from bot.provenance.claims import read_claim
from bot.provenance.marking import Marker
from bot.provenance.pixels import TOO_SMALL, MarkedPicture
from bot.provenance.watermark import embed_watermark, read_watermark
from engine.messages import JobId, Paint, Size
from engine.sdxl.png_file import Recipe, encode_png

SECRET = b"a secret of ours"
NUMBER = 0xC0FFEE42


def drawing(side: int) -> Image.Image:
    """Flat shapes, as the model that ships draws them."""
    picture = Image.new("RGB", (side, side), (235, 225, 200))
    draw = ImageDraw.Draw(picture)
    draw.ellipse((side // 8, side // 8, side // 2, side // 2), fill=(200, 30, 40))
    draw.rectangle((side // 2, side // 2, side * 7 // 8, side * 3 // 4), fill=(30, 60, 190))
    return picture


def painted(side: int, prompt: str = "a red circle") -> bytes:
    """A PNG as the engine makes it."""
    request = Paint(job=JobId("k3f9qa"), prompt=prompt, seed=7)
    recipe = Recipe(request=request, seed=7, size=Size(width=side, height=side), model="demo")
    return encode_png(drawing(side), recipe)


def saved(picture: Image.Image, kind: str, quality: int) -> Image.Image:
    file = io.BytesIO()
    picture.save(file, kind, quality=quality)
    return Image.open(file).convert("RGB")


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"), np.int16)


@pytest.fixture(scope="module")
def marked() -> Image.Image:
    return embed_watermark(drawing(512), NUMBER, SECRET)


@pytest.mark.parametrize(
    "change",
    [
        lambda picture: saved(picture, "JPEG", 85),
        lambda picture: saved(picture, "WEBP", 80),
        lambda picture: picture.resize((256, 256)),
        lambda picture: picture.crop((20, 6, 506, 492)),
    ],
    ids=["JPEG 85", "WebP 80", "half the size", "crop of 5%"],
)
def test_a_watermark_is_read_after_what_chats_do(
    marked: Image.Image, change: Callable[[Image.Image], Image.Image]
) -> None:
    assert read_watermark(change(marked), SECRET) == NUMBER


def test_nobody_reads_a_watermark_without_its_secret(marked: Image.Image) -> None:
    assert read_watermark(marked, b"another secret") is None
    assert read_watermark(drawing(512), SECRET) is None


def test_a_watermark_is_hardly_seen(marked: Image.Image) -> None:
    gaps = np.abs(np.asarray(marked, np.float64) - np.asarray(drawing(512)))

    assert 0 < np.sqrt((gaps**2).mean()) < 2.5  # 40 dB


@pytest.fixture(scope="module")
def marker(tmp_path_factory: pytest.TempPathFactory) -> Marker:
    return Marker(tmp_path_factory.mktemp("bot") / "files", watermark=True, credentials=True)


async def test_the_same_recipe_gives_the_same_pixels_again_and_another_others(marker: Marker) -> None:
    first, again = [await marker.mark(painted(256), f"k3f9q{place}-1") for place in "ab"]
    other = await marker.mark(painted(256, "a blue star"), "k3f9qc-1")

    assert (pixels(first.png) == pixels(again.png)).all()
    assert first.marks == again.marks
    assert other.marks.watermark != first.marks.watermark
    assert not (pixels(other.png) == pixels(first.png)).all()


async def test_a_picture_says_that_a_model_made_it_signed_with_our_key(marker: Marker) -> None:
    png = (await marker.mark(painted(256), "k3f9qa-1")).png

    claim = read_claim(png, "PNG", marker.chain)
    assert claim == {
        "valid": True,
        "ours": True,
        "signer": "Atelier",
        "software": "Atelier",
        "title": "k3f9qa-1",
    }
    assert b"trainedAlgorithmicMedia" in png
    assert "a red circle" in Image.open(io.BytesIO(png)).text["parameters"]  # type: ignore[attr-defined]


async def test_what_another_installation_signed_is_valid_but_not_ours(marker: Marker, tmp_path: Path) -> None:
    other = Marker(tmp_path / "files", watermark=False, credentials=True)
    png = (await other.mark(painted(128), "k3f9qa-1")).png

    claim = read_claim(png, "PNG", marker.chain)
    assert claim is not None
    assert (claim["valid"], claim["ours"], claim["signer"]) == (True, False, "Atelier")


async def test_a_picture_that_was_changed_after_it_was_signed_is_not_valid(marker: Marker) -> None:
    png = bytearray((await marker.mark(painted(128), "k3f9qa-1")).png)
    png[png.rindex(b"IDAT") + 40] ^= 1

    claim = read_claim(bytes(png), "PNG", marker.chain)
    assert claim is not None
    assert not claim["valid"]
    assert not claim["ours"]


async def test_a_small_picture_is_left_as_it_is_and_its_recipe_says_so(tmp_path: Path) -> None:
    marker = Marker(tmp_path / "files", watermark=True, credentials=False)

    small = await marker.mark(painted(128), "k3f9qa-1")

    assert small.marks.watermark is None
    assert (pixels(small.png) == np.asarray(drawing(128))).all()
    assert TOO_SMALL in Image.open(io.BytesIO(small.png)).text["recipe"]  # type: ignore[attr-defined]


async def test_an_operator_switches_marks_off(tmp_path: Path) -> None:
    marker = Marker(tmp_path / "files", watermark=False, credentials=False)

    plain: MarkedPicture = await marker.mark(painted(256), "k3f9qa-1")

    assert plain.png == painted(256)
    assert plain.marks.watermark is None


def test_only_its_own_user_reads_the_keys_and_a_restart_has_the_same(marker: Marker) -> None:
    folder = marker.chain.parent
    keys = {path.name: path.read_bytes() for path in folder.iterdir()}

    assert len(keys) == 3
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    again = Marker(folder.parent / "files", watermark=True, credentials=True)
    assert again.chain == marker.chain
    assert keys == {path.name: path.read_bytes() for path in folder.iterdir()}
