"""Reports of pictures: reactions that only admins see, without the names of those who report."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from engine.messages import JobId
from storage.job_conditions import of_space
from storage.pictures import HIDDEN
from storage.tables import Audit, Job, Person, Picture, Vote

REPORT, SETTLED = "\U0001f6a9", "\U0001f3f3"  # as reactions: one of each person and picture
ACTION = "report"  # in the audit log


@dataclass(frozen=True, kw_only=True)
class ReportedPicture:
    """A picture that was reported, whose it is, by how many, and when first."""

    job: JobId
    place: int
    person: str
    count: int
    at: float


async def add(session: AsyncSession, picture_id: int, person_id: int, now: float) -> bool:
    """Report the picture for this person. False: they did before."""
    for emoji in (REPORT, SETTLED):
        if await session.get(Vote, (picture_id, person_id, emoji)) is not None:
            return False
    session.add(Vote(picture_id=picture_id, person_id=person_id, emoji=REPORT, created_at=now))
    await session.flush()
    return True


async def is_reported(session: AsyncSession, picture_id: int) -> bool:
    """Whether admins have yet to decide about this picture."""
    reports = select(Vote.person_id).where(Vote.picture_id == picture_id, Vote.emoji == REPORT)
    return await session.scalar(reports.limit(1)) is not None


async def list_open(session: AsyncSession, space_id: int, limit: int) -> list[ReportedPicture]:
    """The pictures of the space that were reported, the oldest report first."""
    query = (
        select(Job.id, Picture.place, Person.name, func.count(), func.min(Vote.created_at).label("first"))
        .join(Picture, Picture.id == Vote.picture_id)
        .join(Job, Job.number == Picture.job_number)
        .join(Person, Person.id == Job.person_id)
        .where(Vote.emoji == REPORT, of_space(space_id), Job.deleted_at.is_(None))
        .group_by(Job.id, Picture.place, Person.name)
        .order_by("first")
        .limit(limit)
    )
    return [
        ReportedPicture(job=JobId(job), place=place, person=name, count=count, at=at)
        for job, place, name, count, at in await session.execute(query)
    ]


async def settle(session: AsyncSession, picture_id: int) -> bool:
    """Close the reports of a picture. False: there are none."""
    reports = Vote.picture_id == picture_id, Vote.emoji == REPORT
    closed = update(Vote).where(*reports).values(emoji=SETTLED).returning(Vote.person_id)
    return bool((await session.scalars(closed)).all())


async def hide(session: AsyncSession, space_id: int, sha256: str) -> list[JobId]:
    """Hide the picture with this file in all jobs of the space, and give it to nobody who asks for the same.

    Returns the jobs.
    """
    query = select(Job, Picture.place).join(Picture, Picture.job_number == Job.number)
    rows = (await session.execute(query.where(Picture.sha256 == sha256, of_space(space_id)))).all()
    for job, place in rows:
        job.request = {**job.request, HIDDEN: sorted({*job.request.get(HIDDEN, ()), place})}
        job.recipe = None
        job.revision += 1
    await session.flush()
    return [JobId(job.id) for job, _ in rows]


async def count(session: AsyncSession, space_id: int, since: float) -> Mapping[str, int]:
    """How many reported pictures are open now, and how many were kept, hidden or deleted since then."""
    numbers = Counter({"open": len(await list_open(session, space_id, 1000))})
    decided = Audit.space_id == space_id, Audit.action == ACTION, Audit.at >= since
    for after in await session.scalars(select(Audit.after).where(*decided)):
        numbers[str((after or {}).get("picture", ""))] += 1
    return numbers
