"""A job under way in the engine: its pictures, how far they are, and what they cost."""

import time
from collections.abc import Sequence
from concurrent.futures import Future

import torch
from torch import Tensor

from engine.messages import JobId, Paint, Painted, Picture, Progress
from engine.sdxl.painting import Painting, Stage
from engine.sdxl.preview import Preview
from engine.vision.safety import blotted

PROGRESS_SECONDS = 0.25  # at most so often: chats cannot show more, and a preview costs a little


class Job:
    """The paintings of one request."""

    def __init__(self, request: Paint, paintings: Sequence[Painting], *, blotted: bool = False) -> None:
        """`blotted`: nothing can be made out on the previews."""
        self.request = request
        self._blotted = blotted
        self.paintings = paintings
        self.seconds = 0.0
        self._reported = 0.0

    @property
    def id(self) -> JobId:
        return self.request.job

    @property
    def unfinished(self) -> list[Painting]:
        return [painting for painting in self.paintings if painting.stage is not Stage.DONE]

    @property
    def files(self) -> list[Future[Picture]]:
        """The files of the pictures that are decoded, in the order of their seeds."""
        return [painting.picture for painting in self.paintings if painting.picture is not None]

    @property
    def written(self) -> bool:
        """Whether all of these are there."""
        return all(file.done() for file in self.files)

    def result(self) -> Painted:
        """The finished pictures, in the order of their seeds; waits for their files."""
        pictures = tuple(file.result() for file in self.files)
        return Painted(job=self.id, pictures=pictures, seconds=self.seconds)

    def progress(self, preview: Preview) -> Progress | None:
        """How far it is with what can be seen, or None when that was told a moment ago."""
        now = time.monotonic()
        if now - self._reported < PROGRESS_SECONDS:
            return None
        glimpses = [painting.glimpse() for painting in self.paintings]
        seen = [glimpse for glimpse in glimpses if glimpse is not None]
        if not seen:
            return None
        self._reported = now
        sheet = tiled([torch.zeros_like(seen[0]) if glimpse is None else glimpse for glimpse in glimpses])
        glimpse = preview.jpeg(sheet)
        return Progress(
            job=self.id,
            step=sum(painting.step for painting in self.paintings),
            steps=sum(painting.steps for painting in self.paintings),
            preview=blotted(glimpse) if self._blotted else glimpse,
        )


def tiled(latents: Sequence[Tensor]) -> Tensor:
    """Latents of equal shape (1, 4, h, w) side by side, in two rows when there are more than two."""
    if len(latents) <= 2:
        return torch.cat(list(latents), dim=-1)
    padded = [*latents, *[torch.zeros_like(latents[0])] * (len(latents) % 2)]
    half = len(padded) // 2
    return torch.cat([torch.cat(padded[:half], dim=-1), torch.cat(padded[half:], dim=-1)], dim=-2)
