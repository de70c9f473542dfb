"""Captions of training pictures by the captioner, in steps: for those that are used and have none."""

import logging
from collections.abc import Generator
from contextlib import suppress

import torch
from PIL import Image

from engine.vision.captioner import Captioner

log = logging.getLogger(__name__)


class Descriptions:
    """The captions that the captioner makes. `captions` has one of each picture that was taken, "" where it
    made none; `failed` counts those that it could not describe."""

    def __init__(self, captioner: Captioner) -> None:
        self._captioner = captioner
        self.captions: list[str] = []
        self.failed = 0

    def take(self, picture: Image.Image | None) -> Generator[None]:
        """Describe the next picture, with a pause between steps; None has no caption."""
        caption = ""
        if picture is not None:
            try:
                caption = yield from self._captioner.caption(picture)
            except (torch.AcceleratorError, torch.OutOfMemoryError):
                raise
            except Exception:
                log.exception("A picture could not be described")
                self.failed += 1
        self.captions.append(caption)

    @property
    def problems(self) -> list[str]:
        """A sentence about pictures that it could not describe."""
        if not self.failed:
            return []
        pictures = "1 picture" if self.failed == 1 else f"{self.failed:,} pictures"
        return [f"The captioner could not describe {pictures}. The log has the error."]


def finish_step(steps: Generator[None]) -> bool:
    """Take the next step of a generator. Returns whether it was the last."""
    with suppress(StopIteration):
        next(steps)
        return False
    return True
