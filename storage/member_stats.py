"""The people of a space as its admins see them: found by name, with what each has done."""

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Integer, Select, case, cast, exists, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from storage.job_conditions import OPEN, of_space
from storage.tables import Adapter, Job, Person, Picture, Space, Upload

DAY = 86400.0  # seconds
LONGEST_REASON = 60  # characters of why jobs failed, under which they are counted together


@dataclass(frozen=True, kw_only=True)
class MemberStats:
    """What somebody did in a period: jobs that succeeded, failed or were cancelled, and engine seconds."""

    person_id: int
    key: str
    name: str
    paintings: int
    trainings: int
    failed: int
    cancelled: int
    open: int
    seconds: float
    sent: int = 0  # files, of late


@dataclass(frozen=True, kw_only=True)
class DayStats:
    """What everybody did on one day; `day` counts days since 1970."""

    day: int
    jobs: int
    trainings: int
    seconds: float


async def find_people(session: AsyncSession, space_id: int, chat: str, words: str) -> list[Person]:
    """The people of this space with this key, or with this name in any case."""
    paints_here = exists().where(Job.person_id == Person.id, of_space(space_id))
    sent_here = exists().where(Upload.person_id == Person.id, Upload.space_id == space_id, Upload.at > 0)
    has_name = func.lower(Person.name) == words.strip().lower()
    query = select(Person).where(
        Person.chat == chat,
        or_(Person.key == words.strip(), has_name),
        or_(paints_here, sent_here),
    )
    return list(await session.scalars(query.order_by(Person.id)))


def jobs_since(space_id: int, since: float) -> tuple[ColumnElement[bool], ...]:
    """Whether a job was filed here since then, of which there is an index."""
    return Job.space_id == space_id, Job.created_at >= since


async def member_stats(
    session: AsyncSession, space_id: int, since: float, person_id: int | None = None, limit: int = 60
) -> list[MemberStats]:
    """What each person of the space did since then, the largest engine time first."""
    theirs = jobs_since(space_id, since)
    if person_id is not None:
        theirs = of_space(space_id), Job.person_id == person_id, Job.created_at >= since
    done = _totals_by_person().where(*theirs).subquery()
    query = (
        select(Person, *(column for column in done.c if column.name != "person_id"))
        .join(done, done.c.person_id == Person.id)
        .order_by(done.c.seconds.desc(), Person.id)
        .limit(limit)
    )
    uploads = await _count_uploads(session, space_id, person_id)
    stats = [
        MemberStats(
            person_id=person.id,
            key=person.key,
            name=person.name,
            paintings=painted,
            trainings=trained,
            failed=failed,
            cancelled=cancelled,
            open=open,
            seconds=used or 0.0,
            sent=uploads.pop(person, 0),
        )
        for person, painted, trained, failed, cancelled, open, used in await session.execute(query)
    ]
    return [*stats, *(_stats_of_uploader(person, files) for person, files in uploads.items())][:limit]


def _totals_by_person() -> Select[int, int, int, int, int, int, float]:
    """What became of the jobs of each person, and the engine seconds that they took."""
    return select(
        Job.person_id,
        _count_where(Job.kind == "paint", _has_succeeded()).label("paintings"),
        _count_where(Job.kind == "train", _has_succeeded()).label("trainings"),
        _count_where(Job.state == "failed").label("failed"),
        _count_where(Job.state == "cancelled").label("cancelled"),
        _count_where(Job.state.in_(OPEN)).label("open"),
        func.sum(_engine_seconds()).label("seconds"),
    ).group_by(Job.person_id)


async def _count_uploads(session: AsyncSession, space_id: int, person_id: int | None) -> dict[Person, int]:
    """How many files each person has sent here."""
    query = select(Person, func.count()).join(Upload, Upload.person_id == Person.id)
    query = query.where(Upload.space_id == space_id, Upload.at > 0).group_by(Person.id).order_by(Person.id)
    if person_id is not None:
        query = query.where(Person.id == person_id)
    return {row[0]: row[1] for row in await session.execute(query)}


def _stats_of_uploader(person: Person, files: int) -> MemberStats:
    nothing = dict.fromkeys(("paintings", "trainings", "failed", "cancelled", "open"), 0)
    return MemberStats(
        person_id=person.id, key=person.key, name=person.name, **nothing, seconds=0.0, sent=files
    )


async def day_stats(session: AsyncSession, space_id: int, since: float) -> list[DayStats]:
    """What was done on each day since then, without empty days."""
    date = cast(Job.created_at / DAY, Integer)
    query = (
        select(date, func.count(), _count_where(Job.kind == "train"), func.sum(_engine_seconds()))
        .where(*jobs_since(space_id, since), _has_succeeded())
        .group_by(date)
        .order_by(date)
    )
    return [
        DayStats(day=date, jobs=jobs, trainings=trainings, seconds=seconds or 0.0)
        for date, jobs, trainings, seconds in await session.execute(query)
    ]


async def failures(session: AsyncSession, space_id: int, since: float) -> list[tuple[str, int]]:
    """Why jobs failed since then, and how often, the most frequent first."""
    why, often = func.substr(Job.reason, 1, LONGEST_REASON), func.count()
    query = (
        select(why, often)
        .where(
            *jobs_since(space_id, since),
            Job.state == "failed",
            Job.reason.is_not(None),
        )
        .group_by(why)
        .order_by(often.desc(), why)
    )
    return [(reason, count) for reason, count in await session.execute(query)]


async def count_pictures(session: AsyncSession, space_id: int, person_id: int) -> int:
    """How many pictures of this person are stored here."""
    query = select(func.count()).select_from(Picture).join(Job, Job.number == Picture.job_number)
    return await session.scalar(query.where(of_space(space_id), Job.person_id == person_id)) or 0


async def count_loras(session: AsyncSession, space_id: int, person_id: int) -> int:
    """How many LoRAs this person owns here."""
    theirs = Adapter.space_id == space_id, Adapter.person_id == person_id, Adapter.deleted_at.is_(None)
    return await session.scalar(select(func.count()).select_from(Adapter).where(*theirs)) or 0


async def names_by_key(session: AsyncSession, space_id: int, keys: Collection[str]) -> dict[str, str]:
    """What the people with these keys are called, as far as they are known."""
    chat = select(Space.chat).where(Space.id == space_id).scalar_subquery()
    query = select(Person.key, Person.name).where(Person.chat == chat, Person.key.in_(keys))
    return {row.key: row.name for row in await session.execute(query)}


def _has_succeeded() -> ColumnElement[bool]:
    return Job.state == "succeeded"


def _engine_seconds() -> ColumnElement[float]:
    return case((Job.state.in_(("running", "succeeded")), Job.charged), else_=0.0)


def _count_where(*which: ColumnElement[bool]) -> ColumnElement[int]:
    """A count of the jobs that meet all of these conditions."""
    condition = which[0] if len(which) == 1 else which[0] & which[1]
    return func.sum(case((condition, 1), else_=0))
