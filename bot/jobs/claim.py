"""Claims the next queued jobs from the table, by fair share, as many as fit into the engine."""

import time
from dataclasses import dataclass, replace

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from bot.jobs.estimates import Estimates
from bot.jobs.running_job import RunningJob
from engine.messages import InvalidRequest, JobId, JobRequest, Paint, Train
from storage import jobs, requests, trainings, views
from storage.tables import Job

log = structlog.get_logger(__name__)

UNREADABLE = "This version of the bot cannot read the request. Send it again."


@dataclass(frozen=True, kw_only=True)
class ClaimedJobs:
    """Jobs that run from now on, and those that failed because they could not be read."""

    taken: tuple[RunningJob, ...]
    unreadable: tuple[JobId, ...]


async def claim_training(session: AsyncSession, lease: float) -> ClaimedJobs:
    """Claim the next training, if one waits. It resumes from its newest saved state."""
    unreadable: list[JobId] = []
    while (job := await jobs.next_training(session)) is not None:
        running = await _read_training(session, job)
        if running is not None:
            now = time.time()
            await jobs.start(session, job.number, expected=running.expected, lease_until=now + lease, now=now)
            return ClaimedJobs(taken=(running,), unreadable=tuple(unreadable))
        await _refuse(session, job)
        unreadable.append(JobId(job.id))
    return ClaimedJobs(taken=(), unreadable=tuple(unreadable))


async def claim_pictures(
    session: AsyncSession, room: int, largest: int, estimates: Estimates, lease: float
) -> ClaimedJobs:
    """Claim jobs while their pictures fit into `room`; an empty engine has room for `largest`.

    A job that must run alone, or is larger than that, waits for an empty engine. Nobody overtakes it.
    """
    taken: list[RunningJob] = []
    unreadable: list[JobId] = []
    while room > 0 and (job := await jobs.next_queued(session)) is not None:
        running = _read_pictures(job, estimates)
        if running is None:
            await _refuse(session, job)
            unreadable.append(JobId(job.id))
            continue
        pictures = largest if running.solo else min(running.pictures, largest)
        if pictures > room:
            break
        now = time.time()
        await jobs.start(session, job.number, expected=running.expected, lease_until=now + lease, now=now)
        taken.append(running)
        room -= pictures
    return ClaimedJobs(taken=tuple(taken), unreadable=tuple(unreadable))


def _read_pictures(job: Job, estimates: Estimates) -> RunningJob | None:
    """A queued row as pictures to paint; None when it cannot be read: it would block the queue."""
    try:
        request = requests.from_json(JobId(job.id), job.request)
    except (InvalidRequest, KeyError, TypeError, ValueError) as error:
        log.error("Request cannot be read", job=job.id, kind=type(error).__name__)
        return None
    if not isinstance(request, Paint):
        return None
    return _running_job(job, request, estimates.seconds(request), solo=job.suspect or job.deaths > 0)


async def _read_training(session: AsyncSession, job: Job) -> RunningJob | None:
    """A queued row as a training with its newest state; None when it cannot be read."""
    (view,) = await views.views(session, [JobId(job.id)])
    if not isinstance(view.request, Train) or view.training is None:
        log.error("Training cannot be read", job=job.id)
        return None
    state = await trainings.newest_state(session, job.number)
    request = replace(view.request, resume=state)
    running = _running_job(job, request, view.training.estimate_seconds, solo=False)
    running.finishing = await trainings.is_finishing(session, job.number)
    return running


def _running_job(job: Job, request: JobRequest, expected: float, *, solo: bool) -> RunningJob:
    return RunningJob(
        number=job.number,
        request=request,
        expected=expected,
        solo=solo,
        strikes=job.deaths + job.suspect,
        filed_at=job.created_at,
    )


async def _refuse(session: AsyncSession, job: Job) -> None:
    await jobs.finish(session, job.number, state="failed", reason=UNREADABLE, seconds=0.0, now=time.time())
