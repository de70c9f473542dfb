"""Statistics of a space: work by day and person, failures and refusals."""

from dataclasses import dataclass

from sqlalchemy import Integer, case, cast, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from storage import space_settings
from storage.member_stats import DAY, MemberStats, failures, jobs_since, member_stats
from storage.tables import Job, Person, Picture


@dataclass(frozen=True, kw_only=True)
class DayShare:
    """What one person did on one day, counted from 1970, of jobs that succeeded."""

    day: int
    person: str
    pictures: int
    trainings: int
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Statistics:
    """Statistics of `days` days up to `last`; refusals are who, why, and how often."""

    last: int
    days: int
    shares: tuple[DayShare, ...]
    people: tuple[MemberStats, ...]
    failures: tuple[tuple[str, int], ...]
    refusals: tuple[tuple[str, str, int], ...]


async def statistics(session: AsyncSession, space_id: int, last: int, days: int, limit: int) -> Statistics:
    """Statistics of these days up to `last`, with at most `limit` people, reasons and refusals."""
    since = (last - days + 1) * DAY
    return Statistics(
        last=last,
        days=days,
        shares=tuple(await _shares(session, space_id, since)),
        people=tuple(await member_stats(session, space_id, since, limit=limit)),
        failures=tuple((await failures(session, space_id, since))[:limit]),
        refusals=tuple((await space_settings.refusals(session, space_id, since))[:limit]),
    )


async def _shares(session: AsyncSession, space_id: int, since: float) -> list[DayShare]:
    """Each person's share of each day, the busiest first."""
    day, seconds = cast(Job.created_at / DAY, Integer), func.sum(Job.charged)
    many = select(func.count()).select_from(Picture).where(Picture.job_number == Job.number).scalar_subquery()
    query = (
        select(day, Person.name, func.sum(many), func.sum(case((Job.kind == "train", 1), else_=0)), seconds)
        .join(Person, Person.id == Job.person_id)
        .where(*jobs_since(space_id, since), Job.state == "succeeded")
        .group_by(day, Person.id, Person.name)
        .order_by(day, seconds.desc(), Person.id)
    )
    return [
        DayShare(day=date, person=person, pictures=pictures or 0, trainings=trainings, seconds=used or 0.0)
        for date, person, pictures, trainings, used in await session.execute(query)
    ]
