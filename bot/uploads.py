"""Pictures that people send: judged by the header, decoded in a thread, made anew, the original forgotten."""

import asyncio
import io
from dataclasses import dataclass

from PIL import Image, ImageOps

from engine.messages import InvalidRequest

LARGEST_FILE = 20 * 2**20  # bytes
MOST_PIXELS = 32_000_000
LONGEST_SIDE = 8192  # pixels
FORMATS = ("PNG", "JPEG", "WEBP")
BOMBS = (Image.DecompressionBombError, Image.DecompressionBombWarning)
UNREADABLE = (OSError, SyntaxError, ValueError, EOFError)  # all that Pillow raises for broken files


@dataclass(frozen=True, kw_only=True)
class Upload:
    """A picture made anew: nothing of the file that came is in it but the pixels of its first frame."""

    content: bytes
    kind: str  # "png" or "jpeg"
    width: int
    height: int


class Uploads:
    """Decodes one picture at a time, so that many at once do not fill the memory."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()

    async def check(self, content: bytes) -> Upload:
        """The picture in this file. Raises InvalidRequest with one sentence."""
        if len(content) > LARGEST_FILE:
            raise InvalidRequest(
                f"the picture is larger than {LARGEST_FILE // 2**20} MB: send a smaller one."
            )
        async with self._turn:
            return await asyncio.to_thread(remade, content)


def remade(content: bytes) -> Upload:
    """The first frame, upright, in sRGB as PNG (or JPEG, if it came as one). Raises InvalidRequest."""
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as picture:
            _allow(picture.width, picture.height)
            return _encoded(_upright(picture), "JPEG" if picture.format == "JPEG" else "PNG")
    except BOMBS as error:
        raise InvalidRequest(
            "the picture has far too many pixels: at most 32 megapixels are allowed."
        ) from error
    except InvalidRequest:
        raise
    except UNREADABLE as error:
        raise InvalidRequest("this is no picture that can be read: send a PNG, JPEG or WEBP.") from error


def _allow(width: int, height: int) -> None:
    if max(width, height) > LONGEST_SIDE or width * height > MOST_PIXELS:
        raise InvalidRequest(
            f"the picture has {width} x {height} pixels, "
            "but at most 32 megapixels and 8,192 pixels a side are allowed."
        )


def _upright(picture: Image.Image) -> Image.Image:
    picture.seek(0)
    picture = ImageOps.exif_transpose(picture)
    if picture.mode.startswith("I"):  # 16 bits: converting would cut off, not scale
        picture = picture.point(lambda value: value * (1 / 256)).convert("L")
    clear = picture.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in picture.info
    return picture.convert("RGBA" if clear else "RGB")


def _encoded(picture: Image.Image, kind: str) -> Upload:
    picture.info = {}  # no profile, no place, no thumbnail travels on
    out = io.BytesIO()
    if kind == "JPEG":
        picture.save(out, "JPEG", quality=95, subsampling=0)
    else:
        picture.save(out, "PNG", compress_level=3)
    return Upload(content=out.getvalue(), kind=kind.lower(), width=picture.width, height=picture.height)
