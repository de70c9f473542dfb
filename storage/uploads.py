"""Files that people uploaded: whose they are, and which are too old."""

from collections.abc import Collection

from sqlalchemy import delete, select, union
from sqlalchemy.ext.asyncio import AsyncSession

from engine.messages import Sha256
from storage.pictures import find_unneeded
from storage.tables import Job, TrainingPicture, Upload


async def record(
    session: AsyncSession,
    person_id: int,
    hashes: Collection[Sha256],
    now: float,
    space_id: int | None = None,
) -> None:
    """Store that the person sent these files, from this space if from any."""
    theirs = select(Upload).where(Upload.person_id == person_id, Upload.sha256.in_(hashes))
    rows = {Sha256(row.sha256): row for row in await session.scalars(theirs)}
    for sha256 in dict.fromkeys(hashes):
        if (row := rows.get(sha256)) is None:
            session.add(Upload(person_id=person_id, sha256=sha256, at=now, space_id=space_id))
        else:
            row.at, row.space_id = now, space_id or row.space_id
    await session.flush()


async def own(session: AsyncSession, person_id: int, hashes: Collection[Sha256]) -> set[Sha256]:
    """Those of the files that the person sent lately, or that a training of theirs has."""
    sent = select(Upload.sha256).where(
        Upload.person_id == person_id, Upload.sha256.in_(hashes), Upload.at > 0
    )
    learned = (
        select(TrainingPicture.sha256)
        .join(Job, Job.number == TrainingPicture.job_number)
        .where(Job.person_id == person_id, TrainingPicture.sha256.in_(hashes))
    )
    return {Sha256(sha256) for sha256 in await session.scalars(union(sent, learned))}


async def delete_old(session: AsyncSession, before: float) -> list[Sha256]:
    """Delete uploads from before this time. Returns the files that nothing needs any more."""
    old = await session.scalars(delete(Upload).where(Upload.at < before).returning(Upload.sha256))
    return await find_unneeded(session, [Sha256(sha256) for sha256 in old])
