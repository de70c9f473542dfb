"""Files on Discord: what people attach, what the bot uploads, and the address they are read from."""

import mimetypes
from dataclasses import dataclass
from io import BytesIO

from aiohttp import web
from PIL import Image, UnidentifiedImageError

from tests.fakes.discord.message import Upload
from tests.fakes.discord.rules import Refused
from tests.fakes.discord.world import MEGABYTE

WHOLE_REQUEST = 25 * MEGABYTE


@dataclass(frozen=True)
class Attached:
    """A file that a person attaches. `gone`: its address answers 404; `size`: what Discord claims of it."""

    name: str
    content: bytes
    content_type: str | None = None
    gone: bool = False
    size: int | None = None


class Uploads:
    """All files and their addresses."""

    def __init__(self) -> None:
        self.base = ""
        self._kept: dict[int, Upload] = {}

    def keep(self, file: Attached) -> Upload:
        """The file at an address of its own."""
        upload = Upload(
            name=file.name,
            content=file.content,
            url="",
            size=len(file.content) if file.size is None else file.size,
            content_type=file.content_type or mimetypes.guess_type(file.name)[0],
            pixels=pixels(file.content),
            gone=file.gone,
        )
        upload.url = f"{self.base}/cdn/{upload.id}/{file.name}"
        self._kept[upload.id] = upload
        return upload

    def keep_all(self, files: dict[str, bytes], limit: int) -> list[Upload]:
        """The files of one request; raises Refused when they are too large."""
        too_large = any(len(content) > limit for content in files.values())
        if too_large or sum(map(len, files.values())) > WHOLE_REQUEST:
            raise Refused(413, 40005, "Request entity too large")
        return [self.keep(Attached(name, content)) for name, content in files.items()]

    async def serve(self, request: web.Request) -> web.Response:
        """The bytes, to whoever has the address."""
        upload = self._kept.get(int(request.match_info["id"]))
        if upload is None or upload.gone:
            return web.Response(status=404, text="This content is no longer available.")
        return web.Response(
            body=upload.content, content_type=upload.content_type or "application/octet-stream"
        )


def pixels(content: bytes) -> tuple[int, int] | None:
    """Width and height, when it is a picture."""
    try:
        with Image.open(BytesIO(content)) as picture:
            return picture.size
    except (UnidentifiedImageError, OSError, ValueError):
        return None
