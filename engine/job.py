"""A job of pictures under way in the engine: its paintings, their progress and their engine time."""

import time
from collections.abc import Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor

from engine.messages import JobId, Paint, Painted, Picture, Progress
from engine.sdxl.host_copy import HostCopy, copy_to_host
from engine.sdxl.painting import Painting, Stage
from engine.sdxl.preview import Preview, encode_pictures
from engine.vision.safety import coarsen_preview

PROGRESS_SECONDS = 0.25  # between reports: chats cannot show more, and a preview costs a little


@dataclass(kw_only=True)
class PendingPreview:
    """A preview on its way: its latents to the host, then a JPEG made of them in a thread; or of pictures."""

    copy: HostCopy
    pictures: Sequence[Image.Image] = ()
    step: int
    steps: int
    jpeg: Future[bytes] | None = None


class Job:
    """The paintings of one request."""

    def __init__(self, request: Paint, paintings: Sequence[Painting], *, coarse: bool = False) -> None:
        """`coarse`: previews show colours alone, since the safety check comes at the end."""
        self.request = request
        self._coarse = coarse
        self.paintings = paintings
        self.seconds = 0.0
        self._reported = 0.0
        self._preview: PendingPreview | None = None

    @property
    def id(self) -> JobId:
        return self.request.job

    @property
    def all_paintings(self) -> list[Painting]:
        """Its paintings, and those that are parts of their finish."""
        return [item for painting in self.paintings for item in (painting, *painting.parts)]

    @property
    def unfinished(self) -> list[Painting]:
        return [painting for painting in self.all_paintings if painting.stage is not Stage.DONE]

    @property
    def files(self) -> list[Future[Picture]]:
        """The PNG files of the decoded pictures, in the order of their seeds."""
        return [painting.picture for painting in self.paintings if painting.picture is not None]

    @property
    def files_ready(self) -> bool:
        """Whether all of these are encoded."""
        return all(file.done() for file in self.files)

    def result(self) -> Painted:
        """The finished pictures, in the order of their seeds. Waits for their files."""
        pictures = tuple(file.result() for file in self.files)
        return Painted(job=self.id, pictures=pictures, seconds=self.seconds)

    def begin_preview(self) -> None:
        """Begin to copy a preview from the device, unless one was begun just now or nothing can be seen."""
        now = time.monotonic()
        if self._preview is not None or now - self._reported < PROGRESS_SECONDS:
            return
        pictures = [painting.image for painting in self.paintings if painting.image is not None]
        latents = None if len(pictures) == len(self.paintings) else self._estimate()
        if latents is None and not pictures:
            return
        self._reported = now
        self._preview = PendingPreview(
            copy=copy_to_host(torch.empty(0) if latents is None else latents),
            pictures=pictures if latents is None else (),
            step=sum(painting.step for painting in self.paintings),
            steps=sum(painting.steps for painting in self.paintings),
        )

    def _estimate(self) -> Tensor | None:
        """What its paintings will be, as latents side by side; None where nothing is known of it."""
        estimates = [painting.predict_x0() for painting in self.paintings]
        visible = [latents for latents in estimates if latents is not None]
        if not visible:
            return None
        empty = torch.zeros_like(visible[0])
        return tile([empty if latents is None else latents for latents in estimates])

    def take_progress(self, preview: Preview, threads: Executor) -> Progress | None:
        """How far it was when its last preview was begun; None where none has become a JPEG since."""
        pending = self._preview
        if pending is None or not pending.copy.ready:
            return None
        if pending.jpeg is None:
            (latents,) = pending.copy.wait()
            pending.jpeg = (
                threads.submit(self._shrink_pictures, pending.pictures)
                if pending.pictures
                else threads.submit(self._encode_preview, preview, latents)
            )
        if not pending.jpeg.done():
            return None
        self._preview = None
        return Progress(job=self.id, step=pending.step, steps=pending.steps, preview=pending.jpeg.result())

    def _encode_preview(self, preview: Preview, latents: Tensor) -> bytes:
        """A JPEG of these latents. Runs in a thread."""
        jpeg = preview.encode_jpeg(latents)
        return coarsen_preview(jpeg) if self._coarse else jpeg

    def _shrink_pictures(self, pictures: Sequence[Image.Image]) -> bytes:
        """A JPEG of these pictures, which are decoded and not finished. Runs in a thread."""
        jpeg = encode_pictures(pictures)
        return coarsen_preview(jpeg) if self._coarse else jpeg


def tile(latents: Sequence[Tensor]) -> Tensor:
    """Latents of equal shape (1, 4, h, w) side by side, in two rows where there are more than two."""
    if len(latents) <= 2:
        return torch.cat(list(latents), dim=-1)
    padded = [*latents, *[torch.zeros_like(latents[0])] * (len(latents) % 2)]
    half = len(padded) // 2
    return torch.cat([torch.cat(padded[:half], dim=-1), torch.cat(padded[half:], dim=-1)], dim=-2)
