"""Rows of trainings: the report on the pictures, the loss curve, checkpoints, and the finished LoRA."""

from collections.abc import Collection, Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from engine.messages import (
    CheckpointSaved,
    Example,
    JobId,
    PartNumber,
    PictureNote,
    Sha256,
    Train,
    Trained,
)
from storage.adapters import free_name
from storage.curves import downsample
from storage.job_conditions import IN_ORDER, is_open_training, makes, of_space
from storage.lora_approval import initial_approval
from storage.pictures import find_unneeded
from storage.requests import count_pictures, from_json
from storage.tables import Adapter, Checkpoint, Job, Sample, Training, TrainingPicture

TRAINS = makes("train")


async def create(
    session: AsyncSession,
    number: int,
    request: Train,
    consent_at: float,
    examples: Sequence[Example] = (),
) -> None:
    """Add the rows that a new training has beside its job. examples: those of its manifest, if it has one.

    Masks have rows as pictures have, after all of them.
    """
    manifest = None if request.manifest is None else request.manifest.sha256
    session.add(
        Training(
            job_number=number,
            name=request.name,
            trigger=request.trigger,
            consent_at=consent_at,
            manifest=manifest,
        )
    )
    pictures = request.examples or examples
    masks = [example.mask for example in pictures if example.mask is not None]
    session.add_all(
        TrainingPicture(job_number=number, place=place, sha256=sha256)
        for place, sha256 in enumerate([*(example.sha256 for example in pictures), *masks])
    )
    await session.flush()


async def drafts_without_report(session: AsyncSession) -> list[Job]:
    """The drafts whose pictures have not been checked, oldest first."""
    waiting = (
        select(Job)
        .join(Training, Training.job_number == Job.number)
        .where(*is_open_training(), Job.state == "draft", Training.sheet.is_(None))
    )
    return list(await session.scalars(waiting.order_by(IN_ORDER)))


async def list_of_person(session: AsyncSession, space_id: int, person_id: int, limit: int) -> list[JobId]:
    """The person's trainings in this space that were not deleted, newest first."""
    theirs = (
        select(Job.id)
        .where(
            TRAINS,
            Job.person_id == person_id,
            of_space(space_id),
            Job.deleted_at.is_(None),
        )
        .order_by(Job.number.desc())
        .limit(limit)
    )
    return [JobId(id) for id in await session.scalars(theirs)]


async def count_open(session: AsyncSession, person_id: int) -> int:
    """How many open trainings this person has, in all spaces."""
    theirs = select(Job.id).where(*is_open_training(), Job.person_id + 0 == person_id)
    return len((await session.scalars(theirs)).all())


async def save_report(
    session: AsyncSession,
    number: int,
    *,
    notes: Sequence[PictureNote],
    problems: Sequence[str],
    steps: int,
    seconds: float,
    sheet: Sha256,
    parameters: Sequence[PartNumber] = (),
    describable: int = 0,
    used: int | None = None,
) -> list[Sha256]:
    """Store the engine's report on a draft's pictures. Returns the files that nothing needs any more.

    That is the sheet, when the draft was deleted meanwhile.
    """
    row = await _get_in_state(session, number, "draft")
    if row is None:
        return await find_unneeded(session, [sheet])
    before = [Sha256(row.sheet)] if row.sheet else []
    row.sheet = sheet
    row.report = {
        "notes": [asdict(note) for note in notes],
        "problems": list(problems),
        "steps": steps,
        "seconds": seconds,
        "parameters": [asdict(number) for number in parameters],
        "describable": describable,
        "used": used,
    }
    await _touch_card(session, number)
    return await find_unneeded(session, before)


async def save_checkpoint(
    session: AsyncSession, number: int, saved: CheckpointSaved, samples: Sequence[Sha256]
) -> list[Sha256]:
    """Store a checkpoint's files. Returns the files that nothing needs any more, such as the last state.

    `samples` are the stored files of its pictures. When the training runs no longer nothing is written down,
    and all that the checkpoint made is unneeded. One that is reported again replaces the first.
    """
    row = await _get_in_state(session, number, "running")
    files = [sha256 for sha256 in (saved.adapter, saved.state, *samples) if sha256]
    if row is None:
        return await find_unneeded(session, files)
    before = await _checkpoint_files(session, number, [saved.step])
    if saved.state is not None:
        before += [Sha256(row.state_sha256)] if row.state_sha256 else []
        row.state_sha256 = saved.state
    row.curve = [*row.curve[: saved.step - len(saved.losses)], *saved.losses]
    await _delete_checkpoints(session, number, [saved.step])
    session.add(
        Checkpoint(job_number=number, step=saved.step, sha256=saved.adapter, validation=saved.validation)
    )
    session.add_all(
        Sample(job_number=number, step=saved.step, place=place, sha256=sha256)
        for place, sha256 in enumerate(samples, start=1)
    )
    await _touch_card(session, number)
    return await find_unneeded(session, before)


async def newest_state(session: AsyncSession, number: int) -> Sha256 | None:
    """The state from which a training resumes; None: it starts from the beginning."""
    state = await session.scalar(select(Training.state_sha256).where(Training.job_number == number))
    return None if state is None else Sha256(state)


async def finish_early(session: AsyncSession, number: int) -> None:
    """Have the training end as soon as the engine has it, with what it has learned."""
    await session.execute(update(Training).where(Training.job_number == number).values(finishing=True))


async def is_finishing(session: AsyncSession, number: int) -> bool:
    """Whether the training is to end early."""
    return bool(await session.scalar(select(Training.finishing).where(Training.job_number == number)))


async def complete(session: AsyncSession, number: int, trained: Trained, now: float) -> list[Sha256]:
    """Make the best checkpoint a LoRA. Returns the files that nothing needs any more.

    The job's row does not end by this. Of a training that runs no longer no LoRA is made.
    """
    row = await _get_in_state(session, number, "running")
    if row is None:
        return []
    job = await session.get_one(Job, number)
    request = from_json(JobId(job.id), job.request)
    best = await session.get_one(Checkpoint, (number, trained.best))
    assert isinstance(request, Train) and best.sha256 is not None
    candidates = {trained.best, *trained.candidates}
    adapter = Adapter(
        space_id=job.space_id,
        person_id=job.person_id,
        job_number=number,
        name=await free_name(session, job.space_id, request.name),
        sha256=best.sha256,
        trigger=request.trigger,
        phrase=request.phrase,
        preset=request.preset,
        access="me",
        thumbnail=await _first_sample(session, number, trained.best),
        tokens=trained.new_tokens,
        info=await _info(session, row, job, trained),
        paint=request.paint,
        standing=await initial_approval(session, job.space_id),
        created_at=now,
    )
    session.add(adapter)
    await session.flush()
    row.adapter_id, row.note = adapter.id, trained.note
    row.best = row.chosen = trained.best
    offered = update(Checkpoint).where(Checkpoint.job_number == number, Checkpoint.step.in_(candidates))
    await session.execute(offered.values(candidate=True))
    await _touch_card(session, number)
    return await drop_files(session, number, keep=candidates)


async def choose(session: AsyncSession, number: int, step: int) -> None:
    """Make the LoRA the checkpoint at this step, which must be a candidate."""
    row = await session.get_one(Training, number, with_for_update=True)
    checkpoint = await session.get_one(Checkpoint, (number, step))
    row.chosen = step
    values = {"sha256": checkpoint.sha256, "thumbnail": await _first_sample(session, number, step)}
    await session.execute(update(Adapter).where(Adapter.id == row.adapter_id).values(**values))
    await _touch_card(session, number)


async def drop_files(session: AsyncSession, number: int, keep: Collection[int] = ()) -> list[Sha256]:
    """Let go of the state and of all checkpoints' LoRAs but those at these steps; where some are kept, also
    of the others' samples. The files that nothing needs any more; the curve stays.
    """
    row = await session.get(Training, number)
    if row is None:
        return []
    others = (Checkpoint.job_number == number, Checkpoint.step.not_in(keep))
    files = [row.state_sha256, *await session.scalars(select(Checkpoint.sha256).where(*others))]
    row.state_sha256 = None
    await session.execute(update(Checkpoint).where(*others).values(sha256=None))
    if keep:
        unseen = (Sample.job_number == number, Sample.step.not_in([0, *keep]))
        files += await session.scalars(delete(Sample).where(*unseen).returning(Sample.sha256))
    await session.flush()
    return await find_unneeded(session, [Sha256(sha256) for sha256 in files if sha256])


async def delete_rows(session: AsyncSession, number: int) -> list[Sha256]:
    """Delete the training's pictures, samples and states but not its LoRA. Returns all files it had."""
    row = await session.get(Training, number)
    if row is None:
        return []
    steps = list(await session.scalars(select(Checkpoint.step).where(Checkpoint.job_number == number)))
    files = await _checkpoint_files(session, number, steps)
    files += [Sha256(sha256) for sha256 in (row.sheet, row.state_sha256, row.manifest) if sha256]
    examples = delete(TrainingPicture).where(TrainingPicture.job_number == number)
    files += [Sha256(sha256) for sha256 in await session.scalars(examples.returning(TrainingPicture.sha256))]
    await _delete_checkpoints(session, number, steps)
    await session.delete(row)
    await session.flush()
    return files


async def _get_in_state(session: AsyncSession, number: int, state: str) -> Training | None:
    """The training, if its job is in this state."""
    return await session.scalar(
        select(Training)
        .join(Job, Job.number == Training.job_number)
        .where(Training.job_number == number, Job.state == state)
        .with_for_update()
    )


async def _checkpoint_files(session: AsyncSession, number: int, steps: Collection[int]) -> list[Sha256]:
    """The LoRAs and samples of the checkpoints at these steps."""
    adapters = select(Checkpoint.sha256).where(
        Checkpoint.job_number == number, Checkpoint.step.in_(steps), Checkpoint.sha256.is_not(None)
    )
    samples = select(Sample.sha256).where(Sample.job_number == number, Sample.step.in_(steps))
    return [
        Sha256(sha256) for query in (adapters, samples) for sha256 in await session.scalars(query) if sha256
    ]


async def _delete_checkpoints(session: AsyncSession, number: int, steps: Collection[int]) -> None:
    """Delete these checkpoints and their samples from the tables."""
    for table in (Checkpoint, Sample):
        await session.execute(delete(table).where(table.job_number == number, table.step.in_(steps)))


async def _first_sample(session: AsyncSession, number: int, step: int) -> str | None:
    of_it = select(Sample.sha256).where(Sample.job_number == number, Sample.step == step)
    return await session.scalar(of_it.order_by(Sample.place).limit(1))


async def _info(session: AsyncSession, row: Training, job: Job, trained: Trained) -> dict[str, Any]:
    """How a LoRA was made, kept with it when its training is deleted: LoraView says what is in it."""
    measured = await session.execute(
        select(Checkpoint.step, Checkpoint.validation)
        .where(Checkpoint.job_number == row.job_number, Checkpoint.validation.is_not(None))
        .order_by(Checkpoint.step)
    )
    return {
        "settings": job.request["settings"],
        "pictures": count_pictures(job.request),
        "steps": trained.step,
        "best": trained.best,
        "seconds": trained.seconds,
        "losses": [list(point) for point in downsample(row.curve)],
        "validation": [[step, value] for step, value in measured],
    }


async def _touch_card(session: AsyncSession, number: int) -> None:
    """Have the card drawn again."""
    await session.flush()
    await session.execute(update(Job).where(Job.number == number).values(revision=Job.revision + 1))
