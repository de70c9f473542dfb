"""Everything that is stored about a person, as JSON and a list of files."""

import re
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from engine.messages import Sha256
from storage.privacy import FORGOTTEN
from storage.tables import (
    Adapter,
    Audit,
    Checkpoint,
    Job,
    JobSource,
    Person,
    Picture,
    Sample,
    Space,
    Training,
    TrainingPicture,
    Upload,
    Vote,
)

NamedFile = tuple[str, Sha256]
UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True, kw_only=True)
class PersonalData:
    """`data` can be written as JSON; `files` are the paths of an archive with what the store has there."""

    chat: str
    data: dict[str, Any]
    files: tuple[NamedFile, ...]


async def find_person(session: AsyncSession, person_id: int) -> Person | None:
    """The person, unless they were forgotten."""
    person = await session.get(Person, person_id)
    return None if person is None or person.key.startswith(FORGOTTEN) else person


async def collect(session: AsyncSession, person_id: int) -> PersonalData | None:
    """Everything that is stored about the person; None when they were forgotten."""
    person = await find_person(session, person_id)
    if person is None:
        return None
    jobs, files = await _jobs(session, person_id)
    adapters, their_files = await _adapters(session, person_id)
    data = {
        "person": {"chat": person.chat, "key": person.key, "name": person.name},
        "settings": person.settings,
        "engine_seconds_of_late": round(person.used, 2),
        "jobs": jobs,
        "loras": adapters,
        "kept_pictures": await _votes(session, person_id),
        "changes_as_admin": await _changes(session, person_id),
    }
    sent = await _uploads(session, person_id)
    return PersonalData(chat=person.chat, data=data, files=(*files, *their_files, *sent))


async def _jobs(session: AsyncSession, person_id: int) -> tuple[list[dict[str, Any]], list[NamedFile]]:
    rows = await session.execute(
        select(Job, Space.name)
        .join(Space, Space.id == Job.space_id)
        .where(Job.person_id == person_id, Job.deleted_at.is_(None))
        .order_by(Job.number)
    )
    jobs, files = [], []
    for job, space in rows.all():
        pictures = await _pictures(session, job)
        training = await _training(session, job) if job.kind == "train" else {}
        sources = await _sources(session, job)
        of_job = [*pictures, *sources, *(await _training_files(session, job) if training else [])]
        jobs.append(
            {
                "job": job.id,
                "kind": job.kind,
                "space": space,
                "channel": job.channel,
                "request": job.request,
                "state": job.state,
                "reason": job.reason,
                "engine_seconds": round(job.charged, 2),
                "filed_at": job.created_at,
                "ended_at": job.ended_at,
                "files": [name for name, _ in of_job],
                **training,
            }
        )
        files += of_job
    return jobs, files


async def _pictures(session: AsyncSession, job: Job) -> list[NamedFile]:
    rows = await session.execute(
        select(Picture.place, Picture.sha256).where(Picture.job_number == job.number).order_by(Picture.place)
    )
    return [(f"pictures/{job.id}-{place}.png", Sha256(sha256)) for place, sha256 in rows]


async def _sources(session: AsyncSession, job: Job) -> list[NamedFile]:
    """The pictures and masks that they sent for a job, without their type, which only the file knows."""
    hashes = await session.scalars(
        select(JobSource.sha256).where(JobSource.job_number == job.number).order_by(JobSource.sha256)
    )
    return [(f"sources/{job.id}-{sha256[:16]}", Sha256(sha256)) for sha256 in hashes]


async def _training(session: AsyncSession, job: Job) -> dict[str, Any]:
    """The columns of a training that are not in its request."""
    row = await session.get(Training, job.number)
    if row is None:
        return {}
    return {"consent_at": row.consent_at, "report": row.report, "losses": row.curve, "note": row.note}


async def _training_files(session: AsyncSession, job: Job) -> list[NamedFile]:
    """The pictures it learns from, the samples, and the checkpoints."""

    async def rows_of(*columns: Any) -> list[Any]:
        table = columns[-1].class_
        rows = select(*columns).where(table.job_number == job.number).order_by(*columns[:-1])
        return list((await session.execute(rows)).all())

    names = [str(example.get("name") or "") for example in job.request.get("examples", ())]
    at = f"trainings/{job.id}"
    examples = [
        (
            f"{at}/pictures/{place + 1:02d}-{safe_name(names[place] if place < len(names) else '')}",
            Sha256(sha256),
        )
        for place, sha256 in await rows_of(TrainingPicture.place, TrainingPicture.sha256)
    ]
    samples = [
        (f"{at}/samples/{step}-{place}.png", Sha256(sha256))
        for step, place, sha256 in await rows_of(Sample.step, Sample.place, Sample.sha256)
    ]
    checkpoints = [
        (f"{at}/checkpoints/{step}.safetensors", Sha256(sha256))
        for step, sha256 in await rows_of(Checkpoint.step, Checkpoint.sha256)
        if sha256 is not None
    ]
    manifests = select(Training.manifest).where(
        Training.job_number == job.number, Training.manifest.is_not(None)
    )
    lists = [(f"{at}/pictures.jsonl", Sha256(file)) for file in await session.scalars(manifests) if file]
    return [*examples, *lists, *samples, *checkpoints]


async def _adapters(session: AsyncSession, person_id: int) -> tuple[list[dict[str, Any]], list[NamedFile]]:
    rows = await session.execute(
        select(Adapter, Space.name)
        .outerjoin(Space, Space.id == Adapter.space_id)
        .where(Adapter.person_id == person_id, Adapter.deleted_at.is_(None))
        .order_by(Adapter.id)
    )
    adapters, files = [], []
    for row, space in rows.all():
        name = f"loras/{row.id}-{safe_name(row.name)}.safetensors"
        adapters.append(
            {
                "name": row.name,
                "space": space,
                "trigger": row.trigger,
                "phrase": row.phrase,
                "for": row.access,
                "uses": row.uses,
                "made_at": row.created_at,
                "how": row.info,
                "file": name,
            }
        )
        files.append((name, Sha256(row.sha256)))
    return adapters, files


async def _votes(session: AsyncSession, person_id: int) -> list[dict[str, Any]]:
    rows = await session.execute(
        select(Job.id, Picture.place, Vote.emoji, Vote.created_at)
        .join(Picture, Picture.id == Vote.picture_id)
        .join(Job, Job.number == Picture.job_number)
        .where(Vote.person_id == person_id)
        .order_by(Vote.created_at)
    )
    return [{"job": job, "picture": place, "emoji": emoji, "at": at} for job, place, emoji, at in rows]


async def _uploads(session: AsyncSession, person_id: int) -> list[NamedFile]:
    """Files that they sent lately, without their type, which only the file knows."""
    sent = select(Upload.sha256).where(Upload.person_id == person_id, Upload.at > 0)
    hashes = await session.scalars(sent.order_by(Upload.sha256))
    return [(f"sent/{sha256[:16]}", Sha256(sha256)) for sha256 in hashes]


async def _changes(session: AsyncSession, person_id: int) -> list[dict[str, Any]]:
    rows = await session.scalars(select(Audit).where(Audit.person_id == person_id).order_by(Audit.id))
    return [{"at": row.at, "action": row.action, "subject": row.subject} for row in rows]


def safe_name(name: str) -> str:
    """A file name without anything that could lead out of its folder."""
    return UNSAFE.sub("_", name).strip("._")[-80:] or "unnamed"
