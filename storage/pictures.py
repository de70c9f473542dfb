"""Finished pictures: stars, the gallery, and which stored files are still needed."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, and_, exists, or_, select, union
from sqlalchemy.ext.asyncio import AsyncSession

from engine.messages import JobId, JobRequest, Paint, Sha256, Train
from storage.job_conditions import of_space
from storage.tables import (
    Adapter,
    Checkpoint,
    Job,
    JobLora,
    JobSource,
    LoraVote,
    Picture,
    Sample,
    Space,
    Training,
    TrainingPicture,
    Upload,
    Vote,
)

STAR = "⭐"
HIDDEN = "hidden"  # in a job's request: the places of pictures that are not seen at once
HASHES_PER_QUERY = 1000  # hashes in one question
NEEDED: tuple[tuple[Any, ...], ...] = (  # every column that names a stored file, and when it needs it
    (Picture.sha256,),
    (Adapter.sha256, Adapter.deleted_at.is_(None)),
    (Adapter.thumbnail, Adapter.deleted_at.is_(None)),
    (Adapter.sheet, Adapter.deleted_at.is_(None)),
    (JobSource.sha256,),
    (TrainingPicture.sha256,),
    (Training.sheet,),
    (Training.manifest,),
    (Training.state_sha256,),
    (Checkpoint.sha256,),
    (Sample.sha256,),
    (Upload.sha256, Upload.at > 0),  # the others are on their way out: storage/privacy.py
)


@dataclass(frozen=True, kw_only=True)
class GalleryPicture:
    """A picture in a gallery. `starred`: by the person who looks."""

    id: int
    job: JobId
    number: int  # of the job, in the order of filing
    place: int
    sha256: Sha256
    seed: int
    width: int
    height: int
    space: str  # its key
    prompt: str
    starred: bool
    hidden: bool = False
    adult: bool = False  # painted where only adults are


async def toggle_star(session: AsyncSession, picture_id: int, person_id: int, now: float) -> bool:
    """Star the picture, or take the star back. Returns whether it is starred now."""
    starred = await session.get(Vote, (picture_id, person_id, STAR)) is None
    await set_starred(session, [picture_id], person_id, starred, now)
    return starred


async def set_starred(
    session: AsyncSession, picture_ids: Collection[int], person_id: int, starred: bool, now: float
) -> bool:
    """Star these pictures for the person, or take the stars back. Returns whether anything changed."""
    votes = {id: await session.get(Vote, (id, person_id, STAR)) for id in picture_ids}
    changing = [id for id, vote in votes.items() if (vote is None) == starred]
    for id in changing:
        if (vote := votes[id]) is None:
            session.add(Vote(picture_id=id, person_id=person_id, emoji=STAR, created_at=now))
        else:
            await session.delete(vote)
    await session.flush()
    if starred and changing:
        await _count_for_loras(session, changing, person_id)
    return bool(changing)


async def _count_for_loras(session: AsyncSession, picture_ids: Collection[int], person_id: int) -> None:
    """Write down that the person keeps what these pictures' LoRAs painted: storage/votes.py counts it."""
    painted = select(Picture.id, Job.space_id, Job.request).join(Job, Job.number == Picture.job_number)
    rows = await session.execute(painted.where(Picture.id.in_(picture_ids)))
    session.add_all(
        LoraVote(picture_id=picture, person_id=person_id, emoji=STAR, sha256=sha256, space_id=space)
        for picture, space, request in rows
        for sha256 in sorted({use["sha256"] for use in request.get("adapters", ())})
    )
    await session.flush()


async def gallery(
    session: AsyncSession,
    person_id: int,
    space_id: int | None,
    starred: bool,
    before: int | None,
    limit: int,
    skip: int = 0,
) -> list[GalleryPicture]:
    """The pictures that the person made or starred, the newest job first, without the first `skip`.

    `before`: the id of a picture; only those that come after it.
    """
    keeps = exists().where(Vote.picture_id == Picture.id, Vote.person_id == person_id, Vote.emoji == STAR)
    starred_ids = select(Vote.picture_id).where(Vote.person_id == person_id, Vote.emoji == STAR)
    query = (
        select(Picture, Job.id, Job.number, Job.request, Job.adult, Space.key, keeps)
        .join(Job, Job.number == Picture.job_number)
        .join(Space, Space.id == Job.space_id)
        .where(
            Picture.id.in_(starred_ids) if starred else Job.person_id == person_id, Job.deleted_at.is_(None)
        )
    )
    if space_id is not None:
        query = query.where(of_space(space_id))
    if before is not None:
        query = await _page_after(session, query, before)
    rows = await session.execute(query.order_by(Job.number.desc(), Picture.place).offset(skip).limit(limit))
    return [
        GalleryPicture(
            id=picture.id,
            job=JobId(job),
            number=number,
            place=picture.place,
            sha256=Sha256(picture.sha256),
            seed=picture.seed,
            width=picture.width,
            height=picture.height,
            space=key,
            prompt=str(request.get("prompt", "")),
            starred=bool(is_starred),
            hidden=picture.place in request.get(HIDDEN, ()),
            adult=adult,
        )
        for picture, job, number, request, adult, key, is_starred in rows
    ]


async def of_job(session: AsyncSession, space_id: int, job: JobId, place: int) -> Picture | None:
    """The job's picture at this place, if the job is of this space."""
    return await session.scalar(
        select(Picture)
        .join(Job, Job.number == Picture.job_number)
        .where(Job.id == job, Job.space_id == space_id, Picture.place == place)
    )


async def find_unneeded(session: AsyncSession, hashes: Collection[Sha256]) -> list[Sha256]:
    """Those of the hashes that no row needs, so that their files can go."""
    distinct = list(dict.fromkeys(hashes))
    in_rows: set[str] = set()
    for first in range(0, len(distinct), HASHES_PER_QUERY):
        some = distinct[first : first + HASHES_PER_QUERY]
        needed = union(*(select(column).where(column.in_(some), *when) for column, *when in NEEDED))
        in_rows |= set((await session.execute(needed)).scalars())
    rest = [sha256 for sha256 in distinct if sha256 not in in_rows]
    in_jobs = await find_in_use(session, rest) if rest else set()
    return [sha256 for sha256 in rest if sha256 not in in_jobs]


async def find_unneeded_adapters(session: AsyncSession, request: JobRequest | None) -> list[Sha256]:
    """The files of a request's LoRAs that were deleted while it was under way and that nothing needs now."""
    adapters = request.adapters if isinstance(request, Paint) else ()
    if isinstance(request, Train) and request.start is not None:
        adapters = (request.start,)
    return await find_unneeded(session, [use.sha256 for use in adapters])


async def find_in_use(session: AsyncSession, hashes: Collection[Sha256]) -> set[Sha256]:
    """Those of the hashes that are LoRAs, maybe deleted ones, of jobs that wait or run."""
    hashes_list = list(hashes)
    in_use: set[Sha256] = set()
    for first in range(0, len(hashes_list), HASHES_PER_QUERY):
        some = JobLora.sha256.in_(hashes_list[first : first + HASHES_PER_QUERY])
        used = await session.scalars(select(JobLora.sha256).where(some).distinct())
        in_use |= {Sha256(sha256) for sha256 in used}
    return in_use


async def _page_after(session: AsyncSession, query: Select[Any], before: int) -> Select[Any]:
    """Only what comes after this picture, in the gallery's order."""
    last = await session.get(Picture, before)
    if last is None:  # deleted since the page was made
        return query.where(Picture.id < before)
    same_job = and_(Job.number == last.job_number, Picture.place > last.place)
    return query.where(or_(Job.number < last.job_number, same_job))
