"""Has finished pictures marked, and marks read, in threads; numpy is loaded for the first of them."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from bot.provenance.keys import CHAIN, ProvenanceKeys, open_keys
from storage.provenance import PictureMarks

if TYPE_CHECKING:
    from bot.provenance.pixels import Difference, MarkedPicture

FOLDER = "provenance"  # beside the folder of files
THREADS = 2

log = structlog.get_logger(__name__)


def difference_text(largest: int) -> str:
    """The largest difference of two pictures, 0 to 255, in words."""
    return "Nothing differs." if not largest else f"The largest difference is {largest} of 255."


class Marker:
    """Marks pictures of this installation, as its operator wants."""

    def __init__(self, files: Path, *, watermark: bool, credentials: bool) -> None:
        """`files`: the folder of stored files. Where no keys can be made, the log says so."""
        self._folder = files.parent / FOLDER
        self._threads = ThreadPoolExecutor(THREADS, "marks")
        self._keys: ProvenanceKeys | None = None
        try:
            self._keys = open_keys(self._folder)
        except OSError as error:
            log.error("Pictures are not marked, since keys could not be made", reason=str(error))
        self._watermark = watermark
        self._credentials = credentials

    @property
    def chain(self) -> Path:
        """The file of the certificates by which our credentials are known."""
        return self._folder / CHAIN

    def close(self) -> None:
        """End the threads once they have nothing to do."""
        self._threads.shutdown(wait=False)

    async def mark(self, png: bytes, name: str, *, sheet: bool = False) -> "MarkedPicture":
        """Set the marks into a painted picture; a `sheet` of several pictures has no watermark."""
        watermark, credentials = self._watermark and not sheet, self._credentials

        def work() -> "MarkedPicture":
            from bot.provenance.pixels import mark_png

            return mark_png(png, name, self._keys, watermark=watermark, credentials=credentials)

        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    async def read(self, content: bytes) -> PictureMarks:
        """The marks of a picture that was made anew at the door. Raises OSError."""

        def work() -> PictureMarks:
            from bot.provenance.pixels import read_marks

            return read_marks(content, self._keys)

        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    async def compare(self, first: bytes, second: bytes) -> "Difference":
        """How two pictures differ. Raises OSError."""

        def work() -> "Difference":
            from bot.provenance.pixels import compare_pictures

            return compare_pictures(first, second)

        return await asyncio.get_running_loop().run_in_executor(self._threads, work)
