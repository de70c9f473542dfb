"""What admins change about the queue: paused spaces, and jobs that go first."""

from collections import defaultdict, deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import literal, select, union_all, update
from sqlalchemy.ext.asyncio import AsyncSession

from engine.messages import JobId
from storage.job_conditions import IN_ORDER, is_in
from storage.tables import Job, SpaceConfig

# Made once: it is asked whenever a job is taken, and hardly ever finds anything.
PAUSED = select(literal("paused"), SpaceConfig.space_id).where(SpaceConfig.queue == "paused")
UP = select(literal("up"), Job.space_id).where(Job.up.is_not(None), Job.state == "queued")
OVERRIDES = union_all(PAUSED, UP)


@dataclass(frozen=True, kw_only=True)
class Overrides:
    """The paused spaces, and the spaces with jobs that go first."""

    paused: tuple[int, ...]
    up: frozenset[int]


async def overrides(session: AsyncSession) -> Overrides:
    """The present changes to the queue."""
    rows = (await (await session.connection()).execute(OVERRIDES)).all()
    return Overrides(
        paused=tuple(space for what, space in rows if what == "paused"),
        up=frozenset(space for what, space in rows if what == "up"),
    )


async def list_held(session: AsyncSession, limit: int) -> list[JobId]:
    """The queued jobs of paused spaces, oldest first."""
    spaces = (await overrides(session)).paused
    if not spaces:
        return []
    waiting = select(Job.id).where(is_in("queued"), (Job.space_id + 0).in_(spaces)).order_by(IN_ORDER)
    return [JobId(id) for id in await session.scalars(waiting.limit(limit))]


async def move_up(session: AsyncSession, number: int, now: float) -> None:
    """Put the job before the others of its space, after those that were put there before."""
    await session.execute(update(Job).where(Job.number == number).values(up=now, revision=Job.revision + 1))


async def first_of_its_space(session: AsyncSession, job: Job | None, up: Collection[int]) -> Job | None:
    """The job that runs when it is this one's turn: one of its space and kind may go before it.

    So nobody of another space waits any longer for it. `up`: the spaces in which jobs did.
    """
    if job is None or job.space_id not in up:
        return job
    others = select(Job).where(
        Job.space_id == job.space_id, Job.up.is_not(None), Job.state == "queued", Job.kind == job.kind
    )
    return await session.scalar(others.order_by(Job.up, Job.number).limit(1)) or job


async def rearrange(session: AsyncSession, order: Sequence[JobId]) -> list[JobId]:
    """The order of jobs of one kind, with those that went up first among the jobs of their spaces."""
    query = select(Job.id, Job.space_id, Job.up).where(Job.up.is_not(None), Job.state == "queued")
    ups = (await session.execute(query.order_by(Job.up, Job.number))).all()
    queued = set(order)
    first: defaultdict[int, deque[JobId]] = defaultdict(deque)
    for id, space, _ in ups:
        if id in queued:
            first[space].append(JobId(id))
    if not first:
        return list(order)
    of = {
        JobId(id): space
        for id, space in await session.execute(select(Job.id, Job.space_id).where(Job.id.in_(order)))
    }
    for space in first:
        moved_up = set(first[space])
        first[space].extend(id for id in order if of[id] == space and id not in moved_up)
    return [first[of[id]].popleft() if of[id] in first else id for id in order]
