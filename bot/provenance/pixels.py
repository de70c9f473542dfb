"""What becomes of pixels: marks are set into a PNG, read from a picture, and two pictures compared."""

import hmac
import io
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import structlog
from c2pa import C2paError
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from bot.provenance.credentials import sign_png
from bot.provenance.keys import ProvenanceKeys
from bot.provenance.watermark import PAYLOAD_BITS, SMALLEST, embed_watermark, read_watermark
from engine.vision.near_duplicates import fingerprint
from storage.provenance import PictureMarks

TOO_SMALL = f"left out: a side is shorter than {SMALLEST} pixels"
SMALLEST_READ = SMALLEST // 4  # pixels a side: what was marked may have been made smaller
BRIGHTEST = 255  # what the largest difference is shown as

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class MarkedPicture:
    """A PNG with its marks, and what it will be known by."""

    png: bytes
    marks: PictureMarks


@dataclass(frozen=True, kw_only=True)
class Difference:
    """The largest difference of a channel, 0 to 255, and a PNG of all, brighter where it is larger."""

    largest: int
    png: bytes


def mark_png(
    png: bytes, name: str, keys: ProvenanceKeys | None, *, watermark: bool, credentials: bool
) -> MarkedPicture:
    """Set the marks into a painted picture, called so."""
    with Image.open(io.BytesIO(png)) as opened:
        texts = {str(key): str(value) for key, value in getattr(opened, "text", {}).items()}
        picture = opened.convert("RGB")
    recipe = json.loads(texts.get("recipe") or "{}")
    number = None
    if keys is not None and watermark and min(picture.size) >= SMALLEST:
        number = _number(recipe, keys.secret)
        picture = embed_watermark(picture, number, keys.secret)
        png = _encode(picture, texts)
    elif keys is not None and watermark and recipe:
        texts["recipe"] = json.dumps({**recipe, "watermark": TOO_SMALL}, ensure_ascii=False)
        png = _encode(picture, texts)
    if keys is not None and credentials:
        try:
            png = sign_png(png, name, model_of(recipe), keys)
        except C2paError as error:  # the picture is worth more than its mark
            log.error("Content Credentials could not be set in", reason=str(error))
    return MarkedPicture(png=png, marks=_marks(picture, number, model_of(recipe)))


def read_marks(content: bytes, keys: ProvenanceKeys | None) -> PictureMarks:
    """The marks of a picture in a file. Raises OSError."""
    with Image.open(io.BytesIO(content)) as opened:
        picture = opened.convert("RGB")
    readable = keys is not None and min(picture.size) >= SMALLEST_READ
    return _marks(picture, read_watermark(picture, keys.secret) if keys and readable else None)


def compare_pictures(first: bytes, second: bytes) -> Difference:
    """How two pictures differ; the second is scaled where its size is another. Raises OSError."""
    with Image.open(io.BytesIO(first)) as opened, Image.open(io.BytesIO(second)) as other:
        before, after = opened.convert("RGB"), other.convert("RGB")
    if after.size != before.size:
        after = after.resize(before.size)
    gaps = np.abs(np.asarray(before, np.int16) - np.asarray(after, np.int16))
    largest = int(gaps.max())
    file = io.BytesIO()
    Image.fromarray((gaps * (BRIGHTEST // max(largest, 1))).astype(np.uint8)).save(file, "PNG")
    return Difference(largest=largest, png=file.getvalue())


def _number(recipe: object, secret: bytes) -> int:
    """The same number for the same recipe, so that it gives the same pixels again."""
    text = json.dumps(recipe, sort_keys=True).encode()
    return int.from_bytes(hmac.digest(secret, b"number" + text, "sha256")[: PAYLOAD_BITS // 8])


def model_of(recipe: Mapping[str, object]) -> str:
    """The model that a recipe names, or ""."""
    return str(recipe.get("model") or "")


def _marks(picture: Image.Image, number: int | None, model: str = "") -> PictureMarks:
    own = fingerprint(picture)
    bits = int.from_bytes(np.packbits(own.bits, bitorder="little").tobytes(), "little")
    return PictureMarks(watermark=number, bits=bits, colours=own.colours.tobytes(), model=model)


def _encode(picture: Image.Image, texts: dict[str, str]) -> bytes:
    """A PNG with these texts, packed as the engine packs it."""
    info = PngInfo()
    for name, text in texts.items():
        (info.add_itxt if name.startswith("XML:") else info.add_text)(name, text)
    file = io.BytesIO()
    picture.save(file, "PNG", pnginfo=info, compress_type=zlib.Z_RLE)
    return file.getvalue()
