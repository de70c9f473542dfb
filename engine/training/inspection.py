"""The inspection of a training's pictures: the report that people see before they start the training."""

from collections import Counter
from collections.abc import Callable, Generator, Mapping
from dataclasses import replace
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
    PictureNote,
    Sha256,
)
from engine.sdxl.prompts import WINDOW, WINDOWS
from engine.training.contact_sheet import Grid, contact_sheet, thumbnail
from engine.training.dataset import Item, PictureInspector, open_examples, planned_steps
from engine.training.description import Descriptions, finish_step
from engine.training.optimizers import rate_warning
from engine.vision.captioner import Captioner
from engine.vision.safety import FlagCheck

NO_CAPTIONER = "There is no captioner here. The operator can name one in config.toml as [training] captioner."

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
        self._examples = open_examples(request.training, folder)
        self._inspector = PictureInspector(request.training, folder, side, flags)
        self._rate = rate
        self._parameters = parameters
        self._grid = Grid.of(request.training.pictures)
        self._thumbnails: dict[Sha256, Image.Image] = {}
        self._captioner = captioner
        self._without_caption = 0
        self._count_tokens = count_tokens
        self._describing: Generator[None] | None = None
        described = captioner is not None and request.training.describe
        self._descriptions = Descriptions(captioner) if captioner is not None and described else None

    @property
    def job(self) -> JobId:
        return self._training.job

    def step(self) -> Inspected | None:
        """Check the next picture, or describe it. Returns the report once all are checked."""
        if self._describing is not None:
            if finish_step(self._describing):
                self._describing = None
            return None
        if self._inspector.done:
            return self._report()
        example = self._examples[len(self._inspector.notes)]
        picture = self._inspector.step()
        if picture is not None:
            self._thumbnails[example.sha256] = thumbnail(picture, self._grid.cell)
        self._note_long_caption()
        self._describe(example, picture)
        return None

    def _note_long_caption(self) -> None:
        """Add to the last picture's note that not all of its caption is read."""
        note, items = self._inspector.notes[-1], self._inspector.items
        if not note.used or not items:
            return
        tokens = self._count_tokens(items[-1].caption)
        if tokens > MOST_TOKENS:
            sentence = f"Its caption has {tokens:,} tokens, of which the first {MOST_TOKENS:,} are learned."
            self._inspector.notes[-1] = replace(note, problems=(*note.problems, sentence))

    def _describe(self, example: Example, picture: Image.Image | None) -> None:
        """Count a used picture without a caption, and begin to describe it where that is wanted."""
        wanted = picture if self._inspector.notes[-1].used and not example.caption.strip() else None
        self._without_caption += wanted is not None
        if self._descriptions is not None:
            self._describing = self._descriptions.take(wanted)

    def _report(self) -> Inspected:
        settings, items = self._training.settings, self._inspector.items
        notes = tuple(self._inspector.notes)
        steps = planned_steps(settings, len(items)) if items else 0
        return Inspected(
            job=self.job,
            sheet=self._sheet(notes),
            notes=notes,
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

    def _seconds(self, items: list[Item]) -> float:
        """Seconds of training for one picture: of the commonest bucket, as all have nearly the same area."""
        sizes = Counter(item.size for item in items)
        return self._rate(sizes.most_common(1)[0][0]) if sizes else 0.0

    def _sheet(self, notes: tuple[PictureNote, ...]) -> bytes:
        thumbnails = [self._thumbnails.get(example.sha256) for example in self._examples]
        return contact_sheet(notes, thumbnails, self._grid)
