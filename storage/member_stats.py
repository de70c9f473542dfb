"""The people of a space, as its keepers see them: found by a name, and what each has done."""

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Integer, case, cast, func, or_, select, union
from sqlalchemy.ext.asyncio import AsyncSession

from storage.job_conditions import of_space
from storage.tables import Adapter, Job, Person, Picture, Space, Upload

DAY = 86400.0  # seconds
LONGEST_REASON = 60  # characters of why jobs failed, under which they are counted together


@dataclass(frozen=True, kw_only=True)
class Done:
    """What somebody did in some time: jobs that succeeded, failed or were cancelled, and engine seconds."""

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
class Day:
    """What all did on one day; `day` counts from 1970."""

    day: int
    jobs: int
    trainings: int
    seconds: float


async def found(session: AsyncSession, space_id: int, chat: str, words: str) -> list[Person]:
    """The people of this space whom these words mean: by key, or by name whatever its case."""
    asked = select(Job.person_id).where(Job.space_id == space_id)
    sent = select(Upload.person_id).where(Upload.space_id == space_id, Upload.at > 0)
    named = func.lower(Person.name) == words.strip().lower()
    who = select(Person).where(
        Person.chat == chat, or_(Person.key == words.strip(), named), Person.id.in_(union(asked, sent))
    )
    return list(await session.scalars(who.order_by(Person.id)))


async def filed_since(session: AsyncSession, space_id: int, since: float) -> tuple[ColumnElement[bool], ...]:
    """Whether a job was filed here since then, asked of those alone that may have been.

    No index knows when jobs were filed, but their numbers grow with time: the first is searched for, a day
    early for clocks that were set back.
    """
    low, high = 0, await session.scalar(select(func.max(Job.number))) or 0
    while low < high:
        middle = (low + high) // 2
        following = select(Job.created_at).where(Job.number > middle).order_by(Job.number).limit(1)
        filed = await session.scalar(following)
        low, high = (middle + 1, high) if filed is not None and filed < since - DAY else (low, middle)
    return of_space(space_id), Job.number > low, Job.created_at >= since


async def everybody(
    session: AsyncSession, space_id: int, since: float, person_id: int | None = None, limit: int = 60
) -> list[Done]:
    """What the people of the space did since then; those who used the engine most come first."""
    painted, seconds = _when(Job.kind == "paint", _succeeded()), func.sum(_charged())
    asked = (
        select(
            Person,
            painted,
            _when(Job.kind == "train", _succeeded()),
            _when(Job.state == "failed"),
            _when(Job.state == "cancelled"),
            _when(Job.state.in_(("draft", "queued", "running"))),
            seconds,
        )
        .join(Job, Job.person_id == Person.id)
        .where(*await filed_since(session, space_id, since))
        .group_by(Person.id)
        .order_by(seconds.desc(), Person.id)
        .limit(limit)
    )
    if person_id is not None:
        asked = asked.where(Person.id == person_id)
    sent = await _sent(session, space_id, person_id)
    done = [
        Done(
            person_id=person.id,
            key=person.key,
            name=person.name,
            paintings=paintings,
            trainings=trainings,
            failed=failed,
            cancelled=cancelled,
            open=open,
            seconds=used or 0.0,
            sent=sent.pop(person, 0),
        )
        for person, paintings, trainings, failed, cancelled, open, used in await session.execute(asked)
    ]
    return [*done, *(_only_sent(person, files) for person, files in sent.items())][:limit]


async def _sent(session: AsyncSession, space_id: int, person_id: int | None) -> dict[Person, int]:
    """Who has files here that they sent, and how many."""
    asked = select(Person, func.count()).join(Upload, Upload.person_id == Person.id)
    asked = asked.where(Upload.space_id == space_id, Upload.at > 0).group_by(Person.id).order_by(Person.id)
    if person_id is not None:
        asked = asked.where(Person.id == person_id)
    return {row[0]: row[1] for row in await session.execute(asked)}


def _only_sent(person: Person, files: int) -> Done:
    nothing = dict.fromkeys(("paintings", "trainings", "failed", "cancelled", "open"), 0)
    return Done(person_id=person.id, key=person.key, name=person.name, **nothing, seconds=0.0, sent=files)


async def days(session: AsyncSession, space_id: int, since: float) -> list[Day]:
    """What was done on each day since then, on which anything was."""
    day = cast(Job.created_at / DAY, Integer)
    asked = (
        select(day, func.count(), _when(Job.kind == "train"), func.sum(_charged()))
        .where(*await filed_since(session, space_id, since), _succeeded())
        .group_by(day)
        .order_by(day)
    )
    return [
        Day(day=one, jobs=jobs, trainings=trainings, seconds=seconds or 0.0)
        for one, jobs, trainings, seconds in await session.execute(asked)
    ]


async def failures(session: AsyncSession, space_id: int, since: float) -> list[tuple[str, int]]:
    """Why jobs failed since then, and how many; the most first."""
    why, often = func.substr(Job.reason, 1, LONGEST_REASON), func.count()
    asked = (
        select(why, often)
        .where(
            *await filed_since(session, space_id, since),
            Job.state == "failed",
            Job.reason.is_not(None),
        )
        .group_by(why)
        .order_by(often.desc(), why)
    )
    return [(reason, count) for reason, count in await session.execute(asked)]


async def pictures(session: AsyncSession, space_id: int, person_id: int) -> int:
    """How many pictures this person keeps here."""
    asked = select(func.count()).select_from(Picture).join(Job, Job.number == Picture.job_number)
    return await session.scalar(asked.where(of_space(space_id), Job.person_id == person_id)) or 0


async def loras(session: AsyncSession, space_id: int, person_id: int) -> int:
    """How many LoRAs are theirs here."""
    theirs = Adapter.space_id == space_id, Adapter.person_id == person_id, Adapter.deleted_at.is_(None)
    return await session.scalar(select(func.count()).select_from(Adapter).where(*theirs)) or 0


async def names(session: AsyncSession, space_id: int, keys: Collection[str]) -> dict[str, str]:
    """What the people with these keys are called, as far as they are known."""
    chat = select(Space.chat).where(Space.id == space_id).scalar_subquery()
    asked = select(Person.key, Person.name).where(Person.chat == chat, Person.key.in_(keys))
    return {row.key: row.name for row in await session.execute(asked)}


def _succeeded() -> ColumnElement[bool]:
    return Job.state == "succeeded"


def _charged() -> ColumnElement[float]:
    return case((Job.state.in_(("running", "succeeded")), Job.charged), else_=0.0)


def _when(*which: ColumnElement[bool]) -> ColumnElement[int]:
    """How many of the jobs are so."""
    wanted = which[0] if len(which) == 1 else which[0] & which[1]
    return func.sum(case((wanted, 1), else_=0))
