"""The inspection of a training's pictures: the report that people see before they start the training."""

import time
from collections import Counter
from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from types import MappingProxyType

from PIL import Image

from engine.messages import (
    Example,
    Inspect,
    Inspected,
    InvalidRequest,
    JobId,
    Part,
    PartNumber,
    Sha256,
    TrainingProgress,
)
from engine.sdxl.prompts import WINDOW, WINDOWS
from engine.training.contact_sheet import Grid, contact_sheet, thumbnail
from engine.training.dataset import PictureInspector, planned_steps
from engine.training.description import Descriptions, finish_step
from engine.training.optimizers import rate_warning
from engine.training.pictures.items import Items, open_examples
from engine.training.pictures.notes import SHOWN
from engine.vision.captioner import Captioner
from engine.vision.safety import FlagCheck

NO_CAPTIONER = "There is no captioner here. The operator can name one in config.toml as [training] captioner."

PROGRESS_SECONDS = 1.0  # between two events of how many are checked

MOST_TOKENS = WINDOW * WINDOWS  # of a caption that are read, as of a prompt


class Inspection:
    """Checks one picture a step, then returns the report.

    side: the model's native side in pixels. rate: returns the seconds of training for a picture of a (width,
    height). parameters: how many would be trained. captioner: describes pictures without a caption where the
    training asks for it. count_tokens: of a text. Raises InvalidRequest where the model cannot be trained at
    the resolution, or has no captioner.
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
        captioner: Captioner | None = None,
        count_tokens: Callable[[str], int] = len,
    ) -> None:
        if request.training.describe and captioner is None:
            raise InvalidRequest(NO_CAPTIONER)
        self._training = request.training
        self._inspector = PictureInspector(request.training, folder, side, flags)
        self._rate = rate
        self._parameters = parameters
        self._examples = open_examples(request.training, folder)
        self._grid = Grid.of(min(request.training.pictures, 2 * SHOWN))
        self._thumbnails: dict[int, Image.Image] = {}  # by the pictures' places
        self._captioner = captioner
        self._without_caption = 0
        self._count_tokens = count_tokens
        self._describing: Generator[None] | None = None
        described = captioner is not None and request.training.describe
        self._descriptions = Descriptions(captioner) if captioner is not None and described else None
        self._told_at = time.monotonic()

    @property
    def job(self) -> JobId:
        return self._training.job

    def step(self) -> Inspected | TrainingProgress | None:
        """Check the next picture, or describe it.

        Returns the report once all are checked, and how many are each second until then.
        """
        if self._describing is not None:
            if finish_step(self._describing):
                self._describing = None
            return None
        if self._inspector.done:
            return self._report()
        self._check()
        return self._progress()

    def _check(self) -> None:
        """Check the next picture, and begin to describe it where that is wanted."""
        place = self._inspector.notes.checked
        picture = self._inspector.step()
        if picture is not None and self._inspector.notes.last_shown:
            self._thumbnails[place] = thumbnail(picture, self._grid.cell)
        self._note_long_caption()
        self._describe(self._examples[place], picture)

    def _progress(self) -> TrainingProgress | None:
        """How many pictures are checked, if it was not told in the last second."""
        if time.monotonic() - self._told_at < PROGRESS_SECONDS:
            return None
        self._told_at = time.monotonic()
        checked, pictures = self._inspector.notes.checked, self._training.pictures
        return TrainingProgress(job=self.job, step=checked, steps=pictures, phase="checking the pictures")

    def _note_long_caption(self) -> None:
        """Add to the last picture's note that not all of its caption is read."""
        notes, items = self._inspector.notes, self._inspector.items
        if notes.last is None or not notes.last.used:
            return
        tokens = self._count_tokens(items[-1].caption)
        if tokens > MOST_TOKENS:
            notes.add_problem(
                f"Its caption has {tokens:,} tokens, of which the first {MOST_TOKENS:,} are learned."
            )

    def _describe(self, example: Example, picture: Image.Image | None) -> None:
        """Count a used picture without a caption, and begin to describe it where that is wanted."""
        note = self._inspector.notes.last
        used = note is not None and note.used
        wanted = picture if used and not example.caption.strip() else None
        self._without_caption += wanted is not None
        if self._descriptions is not None:
            self._describing = self._descriptions.take(wanted)

    def _report(self) -> Inspected:
        settings, items = self._training.settings, self._inspector.items
        steps = planned_steps(settings, len(items), items.shown) if items else 0
        return Inspected(
            job=self.job,
            sheet=self._sheet(),
            notes=tuple(self._inspector.notes.shown),
            used=len(items),
            problems=self._problems(),
            steps=steps,
            seconds=steps * settings.batch * settings.accumulation * self._seconds(items),
            parameters=tuple(PartNumber(part=part, number=count) for part, count in self._parameters.items()),
            captions=() if self._descriptions is None else tuple(self._descriptions.captions),
            describable=self._without_caption if self._captioner and not self._descriptions else 0,
        )

    def _problems(self) -> tuple[str, ...]:
        failed = [] if self._descriptions is None else self._descriptions.problems
        warning = rate_warning(self._training.settings)
        return (*self._inspector.problems, *filter(None, [warning]), *failed)

    def _seconds(self, items: Items) -> float:
        """Seconds of training for one picture: of the commonest bucket, as all have nearly the same area."""
        sizes = Counter(map(items.size, range(len(items))))
        return self._rate(sizes.most_common(1)[0][0]) if sizes else 0.0

    def _sheet(self) -> bytes:
        notes = self._inspector.notes
        thumbnails = [self._thumbnails.get(place) for place in notes.places]
        return contact_sheet(notes.shown, notes.places, thumbnails, self._grid)
