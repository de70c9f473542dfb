"""How often a watermark is read after what chats do to pictures, how often elsewhere, and what marks cost."""

import io
import statistics
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image
from PIL.Image import Resampling
from skimage import data
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from bench.measuring import seconds, table
from bot.provenance.keys import open_keys
from bot.provenance.pixels import mark_png
from bot.provenance.watermark import embed_watermark, read_watermark
from engine.demo.super_resolution import draw_pair
from engine.messages import JobId, Paint, Size
from engine.sdxl.png_file import Recipe, encode_png

SECRET = b"the secret of a bench"
NUMBER = 0xC0FFEE42
SIDES = (256, 512, 1024)
PICTURES = 24  # of each kind and size
FOREIGN_SIDE = 300  # pixels
ROUNDS = 9
PHOTOS = ("astronaut", "camera", "cat", "coffee", "coins", "rocket", "moon", "brick", "grass", "retina")
DISCORD, SLACK = 550, 720  # pixels of the longer side of what they show for a picture

Change = Callable[[Image.Image], Image.Image]


def save(picture: Image.Image, kind: str, quality: int) -> Image.Image:
    """The picture, saved so and read again."""
    file = io.BytesIO()
    picture.save(file, kind, quality=quality)
    return Image.open(file).convert("RGB")


def scale(picture: Image.Image, factor: float) -> Image.Image:
    """The picture, resized by at most 1."""
    factor = min(factor, 1.0)
    size = round(picture.width * factor), round(picture.height * factor)
    return picture.resize(size, Resampling.LANCZOS)


def crop(picture: Image.Image, share: float) -> Image.Image:
    """The picture without this share of its width and height, of both sides."""
    across, down = round(picture.width * share / 2), round(picture.height * share / 2)
    return picture.crop((across, down, picture.width - across, picture.height - down))


def discord(picture: Image.Image) -> Image.Image:
    """As Discord's preview: at most 550 pixels, WebP 80."""
    return save(scale(picture, DISCORD / max(picture.size)), "WEBP", 80)


def slack(picture: Image.Image) -> Image.Image:
    """As Slack's preview: at most 720 pixels, JPEG 80."""
    return save(scale(picture, SLACK / max(picture.size)), "JPEG", 80)


CHANGES: Mapping[str, Change] = {
    "as it is": lambda picture: picture,
    "JPEG 85": partial(save, kind="JPEG", quality=85),
    "WebP 80": partial(save, kind="WEBP", quality=80),
    "resized to 75%": partial(scale, factor=0.75),
    "resized to 50%": partial(scale, factor=0.5),
    "5% cropped": partial(crop, share=0.05),
    "as Discord shows it": discord,
    "as Slack shows it": slack,
    "cropped, 50%, JPEG 85": lambda picture: save(scale(crop(picture, 0.05), 0.5), "JPEG", 85),
}


def drawings(side: int, seed: int = 23) -> Iterator[Image.Image]:
    """Flat drawings of the world of the model that ships, drawn large."""
    rng = np.random.default_rng(seed)
    while True:
        yield Image.fromarray(draw_pair(rng, unseen=True)[1]).resize((side, side), Resampling.LANCZOS)


def photos(side: int, seed: int = 23) -> Iterator[Image.Image]:
    """Crops of scikit-image's photos, each at least half as wide as its photo."""
    rng = np.random.default_rng(seed)
    sources = [Image.fromarray(getattr(data, name)()).convert("RGB") for name in PHOTOS]
    while True:
        for source in sources:
            width = int(rng.integers(min(source.size) // 2, min(source.size)))
            left, top = (int(rng.integers(0, whole - width)) for whole in source.size)
            part = source.crop((left, top, left + width, top + width))
            yield part.resize((side, side), Resampling.LANCZOS)


def patterns(side: int, seed: int = 23) -> Iterator[Image.Image]:
    """Noise, gradients and tiles that repeat."""
    rng = np.random.default_rng(seed)
    while True:
        yield Image.fromarray(rng.integers(0, 256, (side, side, 3), np.uint8))
        ramp = np.linspace(0, 255, side)[:, None] * rng.random(3)
        yield Image.fromarray(np.repeat(ramp[:, None], side, 1).astype(np.uint8))
        tile = Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8)).resize((side // 8, side // 8))
        yield Image.fromarray(np.tile(np.asarray(tile), (8, 8, 1)))


def found_again() -> str:
    """The share of marked pictures whose number is read, and how far the mark changes the picture."""
    rows = []
    for name, pictures in (("drawings", drawings), ("photos", photos)):
        for side in SIDES:
            plain = list(islice(pictures(side), PICTURES))
            marked = [embed_watermark(picture, NUMBER, SECRET) for picture in plain]
            shares = [f"{_share_read(marked, change):.0%}" for change in CHANGES.values()]
            decibels, alike = (statistics.median(map(measure, plain, marked)) for measure in (psnr, ssim))
            rows.append([name, str(side), f"{decibels:.1f} dB", f"{alike:.3f}", *shares])
    return table(["", "side", "PSNR", "SSIM", *CHANGES], rows)


def _share_read(marked: Sequence[Image.Image], change: Change) -> float:
    return sum(read_watermark(change(picture), SECRET) == NUMBER for picture in marked) / len(marked)


FOREIGN = (("photos", photos, 400), ("drawings", drawings, 300), ("patterns", patterns, 300))


def read_elsewhere() -> str:
    """How many pictures of others a watermark is read from; the goal is none."""
    rows = []
    for name, pictures, count in (
        ("photos", photos, 400),
        ("drawings", drawings, 300),
        ("patterns", patterns, 300),
    ):
        foreign = islice(pictures(FOREIGN_SIDE, seed=5), count)
        read = sum(read_watermark(picture, SECRET) is not None for picture in foreign)
        rows.append([name, str(count), str(read)])
    return table(["not from here", "pictures", "with a watermark read"], rows)


def cost() -> str:
    """What marks cost a picture of 1024 x 1024, in a thread beside the steps."""
    request = Paint(job=JobId("k3f9qa"), prompt="a photo", seed=1)
    recipe = Recipe(request=request, seed=1, size=Size(width=1024, height=1024), model="demo")
    png = encode_png(next(photos(1024)), recipe)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        keys = open_keys(Path(folder))
        for name, watermark, credentials in (
            ("both", True, True),
            ("watermark", True, False),
            ("Content Credentials", False, True),
        ):
            mark = partial(mark_png, png, "k3f9qa-1", keys, watermark=watermark, credentials=credentials)
            mark()
            taken = statistics.median(seconds(mark) for _ in range(ROUNDS))
            grown = len(mark().png) - len(png)
            rows.append([name, f"{taken * 1000:.0f} ms", f"{grown:+,} of {len(png):,} bytes"])
    return table(["1024 x 1024", "time", "file"], rows)


def psnr(before: Image.Image, after: Image.Image) -> float:
    """The peak signal-to-noise ratio in dB."""
    return float(peak_signal_noise_ratio(np.asarray(before), np.asarray(after)))  # type: ignore[no-untyped-call]


def ssim(before: Image.Image, after: Image.Image) -> float:
    """The structural similarity of the luminance, 1 for the same."""
    gray = (np.asarray(picture.convert("L")) for picture in (before, after))
    return float(structural_similarity(*gray))  # type: ignore[no-untyped-call]
