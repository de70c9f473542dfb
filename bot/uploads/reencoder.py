"""A program that re-encodes uploaded pictures; they may be hostile, so it can always be killed.

It loads Pillow and little else. For each line of JSON with a `source` and a `target` it answers with one: the
`kind`, `width` and `height` of what it wrote, the `recipe`, `caption` and `origin` of the file, whether it is
`animated`, or why it is `refused`. It is started by `bot/uploads/image_check.py`.
"""

import hashlib
import json
import resource
import signal
import sys
import warnings
from pathlib import Path
from typing import Any

from PIL import Image

from bot.uploads.embedded_caption import embedded_caption
from bot.uploads.picture_header import START, PictureRefused, check_parts, kind_of
from bot.uploads.png_text import HEAD, recipe_in
from bot.uploads.srgb import to_srgb

MOST_PIXELS = 32_000_000
LONGEST_SIDE = 8192  # pixels
SECONDS = 20.0  # of the processor, for one picture; the largest takes five
MEMORY = 1200 * 2**20  # bytes of address space: Pillow, and a few copies of the largest picture
LARGEST_MADE = 256 * 2**20  # bytes
FORMATS = ("PNG", "JPEG", "WEBP", "AVIF", "GIF", "HEIF")  # the last is not always there
ANIMATED = ("PNG", "WEBP", "AVIF", "GIF")  # the frames of others are no film
JPEGS = ("JPEG", "MPO")  # phones write the second kind: more pictures behind the first
ORIENTATION = 0x0112  # in EXIF
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
CREDENTIALS = b"c2pa"  # is in each file that has any
BOMBS = (Image.DecompressionBombError, Image.DecompressionBombWarning)
UNREADABLE = "This is not a picture that can be read. Send a PNG, JPEG or WebP."
NO_HEIF = "It is a HEIC, which cannot be read here. Send a PNG, JPEG or WebP."
MANY_PIXELS = "The picture has far too many pixels. At most 32 megapixels are allowed."
MUCH_MEMORY = "The picture takes too much memory to read. Save it again and send that."


def main() -> None:
    """Re-encode what standard input names, until it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal is the bot's to answer
    warnings.simplefilter("ignore")
    warnings.simplefilter("error", Image.DecompressionBombWarning)
    for kind, most in (
        (resource.RLIMIT_AS, MEMORY),
        (resource.RLIMIT_FSIZE, LARGEST_MADE),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(kind, (most, most))
    Image.init()
    for line in sys.stdin:
        asked = json.loads(line)
        signal.setitimer(signal.ITIMER_PROF, SECONDS)  # then SIGPROF ends this process, in whatever it is
        chain = Path(asked["chain"]) if asked.get("chain") else None
        answer = reencode_or_refuse(Path(asked["source"]), Path(asked["target"]), chain)
        signal.setitimer(signal.ITIMER_PROF, 0)
        sys.stdout.write(f"{json.dumps(answer)}\n")
        sys.stdout.flush()


def reencode_or_refuse(source: Path, target: Path, chain: Path | None = None) -> dict[str, Any]:
    """Re-encode this file, or say why it is refused."""
    try:
        return reencode(source, target, chain)
    except PictureRefused as refusal:
        return {"refused": str(refusal)}
    except BOMBS:
        return {"refused": MANY_PIXELS}
    except MemoryError:
        return {"refused": MUCH_MEMORY}
    except Exception:  # a hostile picture may make Pillow raise anything
        return {"refused": UNREADABLE}


def reencode(source: Path, target: Path, chain: Path | None = None) -> dict[str, Any]:
    """Write the first frame, upright, in sRGB, as PNG (or JPEG if it was one). Raises what Pillow raises.

    `chain`: the certificates by which our own credentials are known.
    """
    content = source.read_bytes()
    check_parts(content)
    if kind_of(content[:START]) == "HEIF":
        _open_heif()
    with Image.open(source, formats=FORMATS) as picture:
        _check_size(picture.width, picture.height)
        kind = "JPEG" if picture.format in JPEGS else "PNG"
        animated = picture.format in ANIMATED and bool(getattr(picture, "is_animated", False))
        claim = _claim(content, "JPEG" if kind == "JPEG" else str(picture.format), chain)
        made = to_srgb(_eight_bits(_upright(picture)))
        caption = _caption(picture)
    made.info = {}  # no profile, no location, no thumbnail
    if kind == "JPEG":
        made.save(target, kind, quality=95, subsampling=0)
    else:
        made.save(target, kind, compress_level=3)
    return {
        "kind": kind.lower(),
        "width": made.width,
        "height": made.height,
        "recipe": recipe_in(content[:HEAD]),
        "caption": caption,
        "animated": animated,
        "origin": {"sha256": hashlib.sha256(content).hexdigest(), "claim": claim},
    }


def _claim(content: bytes, kind: str, chain: Path | None) -> dict[str, Any] | None:
    """What the file's Content Credentials claim; None without any."""
    if CREDENTIALS not in content:
        return None
    try:
        from bot.provenance.claims import read_claim

        return read_claim(content, kind, chain)
    except Exception:  # as in reencode_or_refuse()
        return {"valid": False}


def _caption(picture: Image.Image) -> str:
    """What the file says is in the picture; "" where that cannot be read."""
    try:
        return embedded_caption(picture)
    except Exception:  # as in reencode_or_refuse()
        return ""


def _open_heif() -> None:
    """Have Pillow open HEIF, as phones write it. Raises PictureRefused where that is not installed."""
    try:
        from pillow_heif import register_heif_opener
    except ImportError as error:
        raise PictureRefused(NO_HEIF) from error
    register_heif_opener(thumbnails=False)


def _check_size(width: int, height: int) -> None:
    if max(width, height) > LONGEST_SIDE or width * height > MOST_PIXELS:
        raise PictureRefused(
            f"The picture has {width} x {height} pixels. "
            "At most 32 megapixels and 8,192 pixels a side are allowed."
        )


def _upright(picture: Image.Image) -> Image.Image:
    """The first frame, turned as EXIF says; EXIF that cannot be read is ignored."""
    picture.seek(0)
    picture.load()
    try:
        turn = picture.getexif().get(ORIENTATION)
    except Exception:  # as in reencode_or_refuse()
        return picture
    return picture.transpose(TURNS[turn]) if isinstance(turn, int) and turn in TURNS else picture


def _eight_bits(picture: Image.Image) -> Image.Image:
    """Grey of 16 bits in 8: Pillow's own conversion would clip, not scale."""
    if not picture.mode.startswith("I"):
        return picture
    grey = picture.point(lambda value: value * (1 / 256)).convert("L")
    grey.info.pop("transparency", None)  # it is in 16 bits
    return grey


if __name__ == "__main__":
    main()
