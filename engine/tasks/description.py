"""Descriptions of a picture: what a captioner sees in the whole, in its mirror image and in parts."""

from collections.abc import Generator, Iterator
from pathlib import Path

from PIL import Image, ImageOps

from engine.messages import (
    SUGGESTIONS,
    Described,
    DescribePicture,
    InvalidRequest,
    JobId,
    Sha256,
    stored_path,
)
from engine.vision.captioner import Captioner

NO_CAPTIONER = "There is no captioner here. The operator can name one in config.toml as [training] captioner."
GONE = "The picture is gone. Send it again."
MARGINS = (0.08, 0.16)  # shares of each side that are cut off for a closer look


class PictureDescription:
    """A description under way. A captioner says the same of the same picture, so it is shown several."""

    kind = "description"
    unreported: tuple[Sha256, ...] = ()  # it puts nothing into the store

    def __init__(self, request: DescribePicture, captioner: Captioner | None, folder: Path) -> None:
        """Raises InvalidRequest where there is no captioner."""
        if captioner is None:
            raise InvalidRequest(NO_CAPTIONER)
        self.job: JobId = request.job
        self._captioner = captioner
        self._path = stored_path(folder, request.picture)
        self._steps = self._describe()

    def step(self) -> Described | None:
        """Take the next step. Returns the descriptions once it is done. Raises InvalidRequest."""
        try:
            next(self._steps)
        except StopIteration as end:
            result: Described = end.value
            return result
        return None

    def _describe(self) -> Generator[None, None, Described]:
        try:
            with Image.open(self._path) as file:
                picture = file.convert("RGB")
        except FileNotFoundError as error:
            raise InvalidRequest(GONE) from error
        captions: dict[str, None] = {}
        for view in _views(picture):
            yield
            caption = yield from self._captioner.caption(view)
            if caption.strip():
                captions[caption.strip()] = None
            if len(captions) == SUGGESTIONS:
                break
        return Described(job=self.job, captions=tuple(captions))


def _views(picture: Image.Image) -> Iterator[Image.Image]:
    yield picture
    yield ImageOps.mirror(picture)
    for share in MARGINS:
        across, down = (round(share * side) for side in picture.size)
        yield picture.crop((across, down, picture.width - across, picture.height - down))
    yield ImageOps.autocontrast(picture)
