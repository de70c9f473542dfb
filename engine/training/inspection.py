"""The inspection of a training's pictures: the report that people see before they start the training."""

from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from PIL import Image

from engine.messages import Inspect, Inspected, JobId, Part, PartNumber, PictureNote, Sha256
from engine.training.contact_sheet import Grid, contact_sheet, thumbnail
from engine.training.dataset import Item, PictureInspector, open_examples, planned_steps
from engine.training.optimizers import rate_warning
from engine.vision.safety import FlagCheck


class Inspection:
    """Checks one picture a step, then returns the report.

    side: the model's native side in pixels. rate: returns the seconds of training for a picture of a (width,
    height). parameters: how many would be trained. Raises InvalidRequest where the model cannot be trained at
    the resolution.
    """

    kind = "inspection"
    unreported: tuple[Sha256, ...] = ()  # it puts nothing into the store

    def __init__(
        self,
        request: Inspect,
        folder: Path,
        side: int,
        rate: Callable[[tuple[int, int]], float],
        flags: FlagCheck | None = None,
        parameters: Mapping[Part, int] = MappingProxyType({}),
    ) -> None:
        self._training = request.training
        self._examples = open_examples(request.training, folder)
        self._inspector = PictureInspector(request.training, folder, side, flags)
        self._rate = rate
        self._parameters = parameters
        self._grid = Grid.of(request.training.pictures)
        self._thumbnails: dict[Sha256, Image.Image] = {}

    @property
    def job(self) -> JobId:
        return self._training.job

    def step(self) -> Inspected | None:
        """Check the next picture. Returns the report once all are checked."""
        if self._inspector.done:
            return self._report()
        example = self._examples[len(self._inspector.notes)]
        picture = self._inspector.step()
        if picture is not None:
            self._thumbnails[example.sha256] = thumbnail(picture, self._grid.cell)
        return None

    def _report(self) -> Inspected:
        settings, items = self._training.settings, self._inspector.items
        notes = tuple(self._inspector.notes)
        steps = planned_steps(settings, len(items)) if items else 0
        return Inspected(
            job=self.job,
            sheet=self._sheet(notes),
            notes=notes,
            problems=(*self._inspector.problems, *filter(None, [rate_warning(settings)])),
            steps=steps,
            seconds=steps * settings.batch * settings.accumulation * self._seconds(items),
            parameters=tuple(PartNumber(part=part, number=count) for part, count in self._parameters.items()),
        )

    def _seconds(self, items: list[Item]) -> float:
        """Seconds of training for one picture: of the commonest bucket, as all have nearly the same area."""
        sizes = Counter(item.size for item in items)
        return self._rate(sizes.most_common(1)[0][0]) if sizes else 0.0

    def _sheet(self, notes: tuple[PictureNote, ...]) -> bytes:
        thumbnails = [self._thumbnails.get(example.sha256) for example in self._examples]
        return contact_sheet(notes, thumbnails, self._grid)
