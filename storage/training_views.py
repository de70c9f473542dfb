"""What a training's card shows beside its job."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from engine.messages import PartNumber, PictureNote, Sha256
from storage.curves import downsample
from storage.requests import count_pictures
from storage.tables import Adapter, Checkpoint, Job, Sample, Training


@dataclass(frozen=True, kw_only=True)
class CheckpointView:
    """A LoRA on its way, after `step` steps; at step 0 the model without it.

    `sha256` is its file as long as it can be chosen or is being compared, `place` its number among the
    candidates, 1 to 4 in the order of their steps, and 0 for all others.
    """

    step: int
    sha256: Sha256 | None
    validation: float | None
    samples: tuple[Sha256, ...]
    candidate: bool
    place: int


@dataclass(frozen=True, kw_only=True)
class TrainingView:
    """A training at one moment.

    `notes`, `problems`, `parameters` and the estimates are from the report on its pictures: empty and 0
    before there is one. `losses` are at most 300 steps with the mean since the step before. `adapter` is the
    name of its LoRA, unless there is none or it was deleted. `describable` is how many pictures have no
    caption that the captioner could describe.
    """

    name: str
    trigger: str
    phrase: str
    preset: str
    pictures: int
    sheet: Sha256 | None
    notes: tuple[PictureNote, ...]
    used: int  # pictures that can be used
    problems: tuple[str, ...]
    estimate_steps: int
    estimate_seconds: float
    parameters: tuple[PartNumber, ...]
    checkpoints: tuple[CheckpointView, ...]
    losses: tuple[tuple[int, float], ...]
    best: int | None
    chosen: int | None
    note: str
    adapter: str | None
    describable: int = 0

    @property
    def reported(self) -> bool:
        """Whether the pictures have been checked."""
        return self.sheet is not None

    @property
    def usable(self) -> bool:
        """Whether at least one picture can be used, as far as is known."""
        return self.used > 0


async def training_views(session: AsyncSession, jobs: Collection[Job]) -> dict[int, TrainingView]:
    """Views of these trainings by their jobs' numbers, without deleted ones."""
    numbers = [job.number for job in jobs]
    rows = await session.execute(
        select(Training, Adapter.name)
        .outerjoin(Adapter, (Adapter.id == Training.adapter_id) & Adapter.deleted_at.is_(None))
        .where(Training.job_number.in_(numbers))
    )
    trainings = {row.job_number: (row, adapter) for row, adapter in rows}
    checkpoints = await _checkpoints(session, numbers)
    return {
        job.number: _view(job.request, *trainings[job.number], checkpoints[job.number])
        for job in jobs
        if job.number in trainings
    }


async def _checkpoints(session: AsyncSession, numbers: Collection[int]) -> Mapping[int, list[CheckpointView]]:
    """The checkpoints of these trainings, in the order of their steps."""
    samples: defaultdict[tuple[int, int], list[Sha256]] = defaultdict(list)
    pictures = select(Sample).where(Sample.job_number.in_(numbers)).order_by(Sample.place)
    for sample in await session.scalars(pictures):
        samples[sample.job_number, sample.step].append(Sha256(sample.sha256))
    places: defaultdict[int, int] = defaultdict(int)
    checkpoints: defaultdict[int, list[CheckpointView]] = defaultdict(list)
    rows = select(Checkpoint).where(Checkpoint.job_number.in_(numbers)).order_by(Checkpoint.step)
    for row in await session.scalars(rows):
        places[row.job_number] += row.candidate
        checkpoints[row.job_number].append(
            CheckpointView(
                step=row.step,
                sha256=None if row.sha256 is None else Sha256(row.sha256),
                validation=row.validation,
                samples=tuple(samples[row.job_number, row.step]),
                candidate=row.candidate,
                place=places[row.job_number] if row.candidate else 0,
            )
        )
    return checkpoints


def _view(
    request: Mapping[str, Any], row: Training, adapter: str | None, checkpoints: Sequence[CheckpointView]
) -> TrainingView:
    report = row.report or {}
    notes = tuple(_note(values) for values in report.get("notes", ()))
    used = report.get("used")
    return TrainingView(
        name=row.name,
        trigger=row.trigger,
        phrase=f"{row.trigger} {request.get('subject', '')}".strip(),
        preset=str(request.get("preset", "")),
        pictures=count_pictures(request),
        sheet=None if row.sheet is None else Sha256(row.sheet),
        notes=notes,
        used=sum(note.used for note in notes) if used is None else int(used),
        problems=tuple(report.get("problems", ())),
        estimate_steps=int(report.get("steps", 0)),
        estimate_seconds=float(report.get("seconds", 0.0)),
        parameters=tuple(PartNumber(**values) for values in report.get("parameters", ())),
        checkpoints=tuple(checkpoints),
        losses=downsample(row.curve),
        best=row.best,
        chosen=row.chosen,
        note=row.note,
        adapter=adapter,
        describable=int(report.get("describable", 0)),
    )


def _note(values: Mapping[str, Any]) -> PictureNote:
    left, top, across, down = values["crop"]
    width, height = values["size"]
    return PictureNote(
        name=values["name"],
        width=values["width"],
        height=values["height"],
        crop=(left, top, across, down),
        size=(width, height),
        problems=tuple(values["problems"]),
        used=values["used"],
    )
