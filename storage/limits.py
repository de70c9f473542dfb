"""Limits of a space, and what each person has used of them.

Nothing is booked twice, for nothing is booked: the use is a sum over the rows of jobs. One that waits counts
with what it is expected to take, one that runs or succeeded with what it was charged, and one that failed or
was cancelled not at all. So a refund needs nothing, and a bot that is killed gives back what did not end.
What has no row of a job (a LoRA brought or merged) is added to the day's use when it succeeded.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from sqlalchemy import BindParameter, bindparam, case, func, select, union, update
from sqlalchemy.ext.asyncio import AsyncSession

from engine.messages import Sha256
from storage.job_conditions import is_in, makes, of_space
from storage.pictures import NEEDED
from storage.tables import Adapter, Job, JobSource, Member, Person, Picture, Upload

DAY = 86400.0  # seconds


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one person may use of a space; None is no limit. `total`: what all of them may together."""

    seconds: int | None = None  # of the engine, a day
    trainings: int | None = None  # a day
    queued: int | None = None  # jobs at a time
    pictures: int | None = None  # kept
    total: int | None = None  # engine seconds, a day
    megabytes: int | None = None  # kept: pictures, LoRAs, what trainings have, and what was sent

    def over(self, usual: "Limits") -> "Limits":
        """These limits, with the usual ones where these have none."""
        limited = {name: limit for name, limit in asdict(self).items() if limit is not None}
        return Limits(**{**asdict(usual), **limited})

    def best(self, other: "Limits") -> "Limits":
        """The wider limit of each kind where both have one, else the only one."""
        mine, theirs = asdict(self), asdict(other)
        both = {name: [limit for limit in (mine[name], theirs[name]) if limit is not None] for name in mine}
        return Limits(**{name: max(limits, default=None) for name, limits in both.items()})

    @property
    def any(self) -> bool:
        """Whether anything is limited."""
        return self != NO_LIMITS


NO_LIMITS = Limits()

# Made once, for they are asked with every job of a space that has limits, and cost more to make than to ask.
SPACE: BindParameter[int] = bindparam("space")
PERSON: BindParameter[int] = bindparam("person")
SINCE: BindParameter[float] = bindparam("since")
COUNTED = case(
    (Job.state == "queued", Job.expected),
    (Job.state.in_(("running", "succeeded")), Job.charged),
    else_=0.0,
)
TRAINS = (Job.kind == "train") & Job.state.in_(("queued", "running", "succeeded"))
# Engine seconds and trainings of the person, and the engine seconds of all in the space. Found by their day:
# all that the person ever filed may be far more.
USED_BY_JOBS = select(
    func.coalesce(func.sum(case((Job.person_id == PERSON, COUNTED), else_=0.0)), 0.0),
    func.coalesce(func.sum(case(((Job.person_id == PERSON) & TRAINS, 1), else_=0)), 0),
    func.coalesce(func.sum(COUNTED), 0.0),
).where(Job.space_id == SPACE, Job.counted_at >= SINCE)
KEY = select(Person.key).where(Person.id == PERSON).scalar_subquery()
THEIRS = of_space(SPACE), Job.person_id == PERSON
QUEUED = select(func.count()).select_from(Job).where(*THEIRS, is_in("queued"))
# The same of what has no job any more, and how many jobs of the person wait.
USED_BESIDE_JOBS = select(
    func.coalesce(func.sum(case((Member.key == KEY, Member.seconds), else_=0.0)), 0.0),
    func.coalesce(func.sum(case((Member.key == KEY, Member.trainings), else_=0)), 0),
    func.coalesce(func.sum(Member.seconds), 0.0),
    QUEUED.scalar_subquery(),
).where(Member.space_id == SPACE, Member.day == SINCE)
COMING = select(func.sum(Job.request["count"].as_integer())).where(*THEIRS, makes("paint"))
# Pictures that are stored, and pictures that wait or are being painted.
PICTURES = select(
    select(func.count())
    .select_from(Picture)
    .join(Job, Job.number == Picture.job_number)
    .where(*THEIRS)
    .scalar_subquery()
    + func.coalesce(COMING.where(is_in("queued")).scalar_subquery(), 0)
    + func.coalesce(COMING.where(is_in("running")).scalar_subquery(), 0)
)


@dataclass(frozen=True, kw_only=True)
class Usage:
    """What somebody has used today and has stored here now."""

    seconds: float = 0.0
    trainings: int = 0
    queued: int = 0
    pictures: int = 0
    total: float = 0.0
    megabytes: float = 0.0  # the rows do not know it: whoever asks for it weighs files()


def limits_from_json(values: Mapping[str, Any]) -> Limits:
    """Limits from the JSON of a row."""
    names = {field.name for field in fields(Limits)}
    return Limits(**{name: limit for name, limit in values.items() if name in names})


def limits_to_json(limits: Limits) -> dict[str, Any]:
    """The limits that are set, as JSON for a row."""
    return {name: limit for name, limit in asdict(limits).items() if limit is not None}


def day_of(now: float) -> float:
    """When the day of this time began, in UTC."""
    return now - now % DAY


async def usage(
    session: AsyncSession, space_id: int, person_id: int, now: float, *, pictures: bool = True
) -> Usage:
    """What this person uses here; to count `pictures` is to look at all their jobs."""
    connection = await session.connection()
    whose = {"space": space_id, "person": person_id, "since": day_of(now)}
    seconds, trainings, total = (await connection.execute(USED_BY_JOBS, whose)).one()
    more_seconds, more_trainings, more_total, queued = (
        await connection.execute(USED_BESIDE_JOBS, whose)
    ).one()
    return Usage(
        seconds=seconds + more_seconds,
        trainings=trainings + more_trainings,
        queued=queued,
        pictures=(await connection.execute(PICTURES, whose)).scalar_one() if pictures else 0,
        total=total + more_total,
    )


async def files(session: AsyncSession, space_id: int, person_id: int) -> set[Sha256]:
    """Every stored file that this person's pictures, trainings and LoRAs here need, or which they sent."""
    columns = [column for column, *_ in NEEDED if column.class_ not in (Adapter, Upload)]
    theirs = of_space(space_id), Job.person_id == person_id
    queries = [
        select(column)
        .join(Job, Job.number == column.class_.job_number)
        .where(*theirs, *(() if column.class_ in (Picture, JobSource) else (makes("train"),)))
        for column in columns
    ]
    own = Adapter.space_id == space_id, Adapter.person_id == person_id
    queries += [select(column).where(*own, *when) for column, *when in NEEDED if column.class_ is Adapter]
    sent = Upload.space_id == space_id, Upload.person_id == person_id, Upload.at > 0
    queries.append(select(Upload.sha256).where(*sent))
    return {Sha256(sha256) for sha256 in await session.scalars(union(*queries)) if sha256 is not None}


async def charge(session: AsyncSession, space_id: int, key: str, seconds: float, now: float) -> None:
    """Count engine seconds that belong to no job."""
    _add(await get_member(session, space_id, key), seconds, 0, now)
    await session.flush()


async def reset(session: AsyncSession, space_id: int, person_id: int | None, now: float) -> None:
    """Start the day's count again for this person, or for everybody here."""
    whose = [Job.space_id == space_id, Job.counted_at >= day_of(now)]
    members = update(Member).where(Member.space_id == space_id)
    if person_id is not None:
        whose.append(Job.person_id == person_id)
        members = members.where(Member.key == _key_of(person_id))
    await session.execute(update(Job).where(*whose).values(counted_at=None))
    await session.execute(members.values(seconds=0.0, trainings=0))


async def keep_usage(session: AsyncSession, person_id: int, now: float) -> None:
    """Keep what somebody used today beyond the deletion of their jobs, so that deleting gains nothing.

    To be called before the person's key goes.
    """
    person = await session.get_one(Person, person_id)
    spaces = select(Job.space_id).where(Job.person_id == person_id, Job.counted_at >= day_of(now)).distinct()
    for space_id in list(await session.scalars(spaces)):
        whose = {"space": space_id, "person": person_id, "since": day_of(now)}
        seconds, trainings, _ = (await session.execute(USED_BY_JOBS, whose)).one()
        _add(await get_member(session, space_id, person.key), seconds, trainings, now)
    jobs = update(Job).where(Job.person_id == person_id, Job.counted_at >= day_of(now))
    await session.execute(jobs.values(counted_at=None))
    await session.flush()


async def get_member(session: AsyncSession, space_id: int, key: str) -> Member:
    """The row of this person in this space, made if needed."""
    row = await session.get(Member, (space_id, key))
    if row is None:
        row = Member(
            space_id=space_id, key=key, blocked_at=None, limits={}, day=0.0, seconds=0.0, trainings=0
        )
        session.add(row)
        await session.flush()
    return row


def _add(row: Member, seconds: float, trainings: int, now: float) -> None:
    if row.day != day_of(now):
        row.day, row.seconds, row.trainings = day_of(now), 0.0, 0
    row.seconds += seconds
    row.trainings += trainings


def _key_of(person_id: int) -> Any:
    return select(Person.key).where(Person.id == person_id).scalar_subquery()
