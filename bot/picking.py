"""The next jobs from the table, by fair share, as many as fit into the engine."""

import time
from dataclasses import dataclass

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from bot.pace import Pace
from bot.running import Running
from engine.messages import InvalidRequest, JobId
from storage import jobs, requests
from storage.tables import Job

log = structlog.get_logger(__name__)

UNREADABLE = "this version of the bot cannot read the request: please say it again."


@dataclass(frozen=True, kw_only=True)
class Picked:
    """Jobs that are running now, and those that could not be read and failed."""

    taken: tuple[Running, ...]
    unreadable: tuple[JobId, ...]


async def pick(session: AsyncSession, room: int, largest: int, pace: Pace, lease: float) -> Picked:
    """Take jobs while their pictures fit into the room; an empty engine's is the largest batch.

    A job that should run alone, or is larger than that, waits for an empty engine, and nobody overtakes it.
    """
    taken: list[Running] = []
    unreadable: list[JobId] = []
    while room > 0 and (job := await jobs.next_queued(session)) is not None:
        running = _read(job, pace)
        if running is None:
            await jobs.finish(
                session, job.number, state="failed", reason=UNREADABLE, seconds=0.0, now=time.time()
            )
            unreadable.append(JobId(job.id))
            continue
        pictures = largest if running.solo else min(running.request.count, largest)
        if pictures > room:
            break
        now = time.time()
        await jobs.start(session, job.number, expected=running.expected, lease_until=now + lease, now=now)
        taken.append(running)
        room -= pictures
    return Picked(taken=tuple(taken), unreadable=tuple(unreadable))


def _read(job: Job, pace: Pace) -> Running | None:
    """A queued row as something to run; None when it cannot be read, and would block the queue."""
    try:
        request = requests.from_json(JobId(job.id), job.request)
    except (InvalidRequest, KeyError, TypeError, ValueError) as error:
        log.error("a request cannot be read", job=job.id, kind=type(error).__name__)
        return None
    return Running(
        number=job.number,
        request=request,
        expected=pace.seconds(request),
        solo=job.suspect or job.deaths > 0,
        strikes=job.deaths + job.suspect,
        filed_at=job.created_at,
    )
