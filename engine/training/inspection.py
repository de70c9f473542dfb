"""A look at the pictures of a training before any of the GPU is used: the report that people start from."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from engine.messages import Inspect, Inspected, JobId, PictureNote, Sha256
from engine.training.contact_sheet import Grid, contact_sheet, thumbnail
from engine.training.dataset import Examiner, Item, planned_steps
from engine.training.optimizers import odd_rate
from engine.vision.safety import Flags


class Inspection:
    """One picture a step, then the report.

    `side` is the model's native side in pixels, `rate` tells the seconds of training that a picture of a
    (width, height) takes here. Raises InvalidRequest when this model has no such resolution.
    """

    kind = "looking"
    untold: tuple[Sha256, ...] = ()  # it puts nothing into the store

    def __init__(
        self,
        request: Inspect,
        folder: Path,
        side: int,
        rate: Callable[[tuple[int, int]], float],
        flags: Flags | None = None,
    ) -> None:
        self._training = request.training
        self._examiner = Examiner(request.training, folder, side, flags)
        self._rate = rate
        self._grid = Grid.of(len(request.training.examples))
        self._thumbnails: dict[Sha256, Image.Image] = {}

    @property
    def job(self) -> JobId:
        return self._training.job

    def step(self) -> Inspected | None:
        """Look at the next picture; once all are seen, tell what they would become."""
        if self._examiner.done:
            return self._inspected()
        example = self._training.examples[len(self._examiner.notes)]
        picture = self._examiner.step()
        if picture is not None:
            self._thumbnails[example.sha256] = thumbnail(picture, self._grid.cell)
        return None

    def _inspected(self) -> Inspected:
        settings, items = self._training.settings, self._examiner.items
        notes = tuple(self._examiner.notes)
        steps = planned_steps(settings, len(items)) if items else 0
        return Inspected(
            job=self.job,
            sheet=self._sheet(notes),
            notes=notes,
            problems=(*self._examiner.problems, *filter(None, [odd_rate(settings)])),
            steps=steps,
            seconds=steps * settings.batch * settings.accumulation * self._seconds(items),
        )

    def _seconds(self, items: list[Item]) -> float:
        """Of one picture in training; buckets have nearly the same area, so the usual one speaks for all."""
        sizes = Counter(item.size for item in items)
        return self._rate(sizes.most_common(1)[0][0]) if sizes else 0.0

    def _sheet(self, notes: tuple[PictureNote, ...]) -> bytes:
        thumbnails = [self._thumbnails.get(example.sha256) for example in self._training.examples]
        return contact_sheet(notes, thumbnails, self._grid)
