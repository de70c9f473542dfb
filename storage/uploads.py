"""Files that people uploaded: whose they are, and which are too old."""

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Any

from sqlalchemy import delete, select, union
from sqlalchemy.ext.asyncio import AsyncSession

from engine.messages import Sha256
from storage.pictures import find_unneeded
from storage.tables import Job, JobSource, TrainingPicture, Upload

NO_SIZES: Mapping[Sha256, tuple[int, int]] = MappingProxyType({})
NO_ORIGINS: Mapping[Sha256, dict[str, Any]] = MappingProxyType({})


async def record(
    session: AsyncSession,
    person_id: int,
    hashes: Collection[Sha256],
    now: float,
    space_id: int | None = None,
    sizes: Mapping[Sha256, tuple[int, int]] = NO_SIZES,
    origins: Mapping[Sha256, dict[str, Any]] = NO_ORIGINS,
) -> None:
    """Store that the person sent these files, from this space if from any.

    `sizes` are those of pictures, `origins` what their own files said, as a FileOrigin's fields.
    """
    theirs = select(Upload).where(Upload.person_id == person_id, Upload.sha256.in_(hashes))
    rows = {Sha256(row.sha256): row for row in await session.scalars(theirs)}
    for sha256 in dict.fromkeys(hashes):
        if (row := rows.get(sha256)) is None:
            row = Upload(person_id=person_id, sha256=sha256)
            session.add(row)
        row.at, row.space_id = now, space_id or row.space_id
        row.width, row.height = sizes.get(sha256, (row.width or 0, row.height or 0))
        row.origin = origins.get(sha256, row.origin)
    await session.flush()


async def own(session: AsyncSession, person_id: int, hashes: Collection[Sha256]) -> set[Sha256]:
    """Those of the files that the person sent lately, or that a job of theirs has."""
    sent = select(Upload.sha256).where(
        Upload.person_id == person_id, Upload.sha256.in_(hashes), Upload.at > 0
    )
    learned = (
        select(TrainingPicture.sha256)
        .join(Job, Job.number == TrainingPicture.job_number)
        .where(Job.person_id == person_id, TrainingPicture.sha256.in_(hashes))
    )
    started = (
        select(JobSource.sha256)
        .join(Job, Job.number == JobSource.job_number)
        .where(Job.person_id == person_id, JobSource.sha256.in_(hashes))
    )
    return {Sha256(sha256) for sha256 in await session.scalars(union(sent, learned, started))}


async def size_of(session: AsyncSession, sha256: Sha256) -> tuple[int, int]:
    """The (width, height) of a picture that somebody sent lately; (0, 0) of any other."""
    sizes = select(Upload.width, Upload.height).where(Upload.sha256 == sha256, Upload.width > 0).limit(1)
    row = (await session.execute(sizes)).first()
    return (0, 0) if row is None else (row[0], row[1])


async def delete_old(session: AsyncSession, before: float) -> list[Sha256]:
    """Delete uploads from before this time. Returns the files that nothing needs any more."""
    old = await session.scalars(delete(Upload).where(Upload.at < before).returning(Upload.sha256))
    return await find_unneeded(session, [Sha256(sha256) for sha256 in old])
