"""Jobs with all that their cards show, as values apart from the database."""

from collections import defaultdict
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, replace

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from engine.messages import InvalidRequest, JobId, JobRequest, Paint, Sha256
from storage.pictures import HIDDEN, STAR
from storage.requests import Kind, from_json
from storage.tables import Job, Person, Picture, Space, Vote
from storage.training_views import TrainingView, training_views


@dataclass(frozen=True, kw_only=True)
class PictureView:
    """A finished picture; `stars` is how many people keep it, `hidden` that it is not to be seen at once."""

    id: int
    place: int
    sha256: Sha256
    seed: int
    width: int
    height: int
    stars: int
    hidden: bool = False


@dataclass(frozen=True, kw_only=True)
class OriginView:
    """A job whose picture another one starts from: where its card is, as far as that may be told."""

    job: JobId
    space: str  # its key
    message: str | None


@dataclass(frozen=True, kw_only=True)
class JobView:
    """A job at one moment. `request` is None when it was deleted, or is refused by the engine of today.

    `training` is there unless it paints or was deleted.
    """

    number: int
    id: JobId
    chat: str
    space: str  # its key
    space_id: int
    channel: str
    message: str | None
    person: str  # their name
    person_key: str
    person_id: int
    parent: JobId | None
    kind: Kind
    request: JobRequest | None
    state: str
    reason: str | None
    step: int
    steps: int
    deaths: int
    suspect: bool
    created_at: float
    started_at: float | None
    ended_at: float | None
    deleted: bool
    revision: int
    shown: int
    charged: float
    pictures: tuple[PictureView, ...]
    training: TrainingView | None = None
    adult: bool = False
    private: bool = False
    origins: tuple[OriginView, ...] = ()


async def views(session: AsyncSession, ids: Collection[JobId]) -> list[JobView]:
    """The jobs with these ids, in this order, by a fixed number of queries."""
    rows = await session.execute(
        select(Job, Space, Person)
        .join(Space, Space.id == Job.space_id)
        .join(Person, Person.id == Job.person_id)
        .where(Job.id.in_(ids))
    )
    jobs = {job.id: (job, space, person) for job, space, person in rows}
    pictures = await _pictures(session, [job.number for job, _, _ in jobs.values()])
    learning = [job for job, _, _ in jobs.values() if job.kind == "train"]
    trainings = await training_views(session, learning) if learning else {}
    shown = [
        _view(*jobs[id], pictures[number], trainings.get(number))
        for id in ids
        if id in jobs and (number := jobs[id][0].number)
    ]
    return await _add_origins(session, shown)


async def read_requests(session: AsyncSession, ids: Collection[JobId]) -> dict[JobId, JobRequest]:
    """What these jobs ask for, without all else that their cards show; none that is refused today."""
    requests: dict[JobId, JobRequest] = {}
    query = select(Job.id, Job.request).where(Job.id.in_(ids), Job.deleted_at.is_(None))
    for id, request in await session.execute(query):
        with suppress(InvalidRequest):
            requests[JobId(id)] = from_json(JobId(id), request)
    return requests


async def view(
    session: AsyncSession,
    space_id: int | None,
    id: JobId,
    *,
    person_id: int | None = None,
    direct: bool = False,
) -> JobView | None:
    """The job with this id, if this person may see it in this space.

    What is private is its person's alone. `direct`: only this person listens; their own jobs are here then,
    those of other spaces, too, and nobody else's.
    """
    jobs = await views(session, [id])
    return next((job for job in jobs if _is_here(job, space_id, person_id, direct)), None)


async def of_message(
    session: AsyncSession,
    space_id: int | None,
    message: str,
    *,
    person_id: int | None = None,
    direct: bool = False,
) -> JobView | None:
    """The job whose card is in this message, under the same rules."""
    ids = await session.scalars(select(Job.id).where(Job.message == message).order_by(Job.number.desc()))
    jobs = await views(session, [JobId(id) for id in ids])
    return next((job for job in jobs if _is_here(job, space_id, person_id, direct)), None)


def _is_here(job: JobView, space_id: int | None, person_id: int | None, direct: bool) -> bool:
    if direct or job.private:
        return job.person_id == person_id and (direct or job.space_id == space_id)
    return job.space_id == space_id


async def _add_origins(session: AsyncSession, shown: list[JobView]) -> list[JobView]:
    """The jobs with those they start from, of the same space, and private ones in their channel alone."""
    named = {view.id: _origin_ids(view.request) for view in shown}
    wanted = {id for ids in named.values() for id in ids}
    if not wanted:
        return shown
    query = select(Job.id, Job.space_id, Job.channel, Job.private, Job.message, Space.key)
    query = query.join(Space, Space.id == Job.space_id).where(Job.id.in_(wanted), Job.deleted_at.is_(None))
    rows = {row.id: row for row in await session.execute(query)}
    return [
        replace(
            view,
            origins=tuple(
                OriginView(job=JobId(row.id), space=row.key, message=row.message)
                for row in (rows[id] for id in named[view.id] if id in rows)
                if row.space_id == view.space_id and (not row.private or row.channel == view.channel)
            ),
        )
        for view in shown
    ]


def _origin_ids(request: JobRequest | None) -> list[str]:
    """The jobs whose pictures a request starts from."""
    if not isinstance(request, Paint):
        return []
    starts = [start.job for start in (request.source, *request.blend) if start is not None]
    return [job for job in dict.fromkeys(starts) if job]


async def _pictures(session: AsyncSession, numbers: Collection[int]) -> defaultdict[int, list[PictureView]]:
    """The pictures of these jobs by the job's number, in their places."""
    stars = (
        select(func.count())
        .select_from(Vote)
        .where(Vote.picture_id == Picture.id, Vote.emoji == STAR)
        .scalar_subquery()
    )
    query = select(Picture, stars).where(Picture.job_number.in_(numbers))
    pictures: defaultdict[int, list[PictureView]] = defaultdict(list)
    for picture, count in await session.execute(query.order_by(Picture.job_number, Picture.place)):
        pictures[picture.job_number].append(
            PictureView(
                id=picture.id,
                place=picture.place,
                sha256=Sha256(picture.sha256),
                seed=picture.seed,
                width=picture.width,
                height=picture.height,
                stars=count,
            )
        )
    return pictures


def _view(
    job: Job,
    space: Space,
    person: Person,
    pictures: Collection[PictureView],
    training: TrainingView | None,
) -> JobView:
    return JobView(
        number=job.number,
        id=JobId(job.id),
        chat=space.chat,
        space=space.key,
        space_id=space.id,
        channel=job.channel,
        message=job.message,
        person=person.name,
        person_key=person.key,
        person_id=person.id,
        parent=JobId(job.parent) if job.parent else None,
        kind="train" if job.kind == "train" else "paint",
        request=_request(job),
        state=job.state,
        reason=job.reason,
        step=job.step,
        steps=job.steps,
        deaths=job.deaths,
        suspect=job.suspect,
        created_at=job.created_at,
        started_at=job.started_at,
        ended_at=job.ended_at,
        deleted=job.deleted_at is not None,
        revision=job.revision,
        shown=job.shown,
        charged=job.charged,
        pictures=tuple(_mark_hidden(job, pictures)),
        training=training,
        adult=job.adult,
        private=job.private,
    )


def _mark_hidden(job: Job, pictures: Collection[PictureView]) -> Collection[PictureView]:
    """The pictures, with those that are not shown at once marked as hidden."""
    places = job.request.get(HIDDEN, ())
    return [replace(picture, hidden=picture.place in places) for picture in pictures] if places else pictures


def _request(job: Job) -> JobRequest | None:
    if job.deleted_at is None:
        with suppress(InvalidRequest):  # bounds may have become narrower since it was created
            return from_json(JobId(job.id), job.request)
    return None
