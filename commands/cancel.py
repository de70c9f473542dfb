"""/cancel: a job that waits or runs is cancelled."""

from typing import Annotated

from commands.answers import CancelJob, UpdateCards
from commands.context import ChatContext
from commands.job_lookup import OPEN, check_owner, find_job, read_job_id, record_change
from commands.syntax.spec import Option, command
from engine.messages import InvalidRequest, JobId
from storage import jobs, pictures
from storage.views import JobView, views


@command
async def cancel(
    context: ChatContext,
    job: Annotated[
        JobId | None, Option("Which job, such as k3f9qa", read=read_job_id, otherwise="your newest")
    ] = None,
) -> UpdateCards | CancelJob:
    """Cancel one of your jobs that waits or runs."""
    return await cancel_job(context, await _newest(context) if job is None else await find_job(context, job))


async def cancel_job(context: ChatContext, job: JobView) -> UpdateCards | CancelJob:
    """Cancel a job that waits, or have the engine stop it. Raises InvalidRequest."""
    check_owner(context, job, "cancel")
    if job.state not in (*OPEN, "draft"):
        raise InvalidRequest(f"Job {job.id} has already ended.")
    await record_change(context, job, "cancel", "cancelled")
    if job.state == "running":
        return CancelJob(job=job.id, text=f"Job {job.id} is being stopped.")
    await jobs.finish(context.session, job.number, state="cancelled", seconds=0.0, now=context.now)
    unneeded = await pictures.find_unneeded_adapters(context.session, job.request)
    return UpdateCards(jobs=(job.id,), text=f"Job {job.id} is cancelled.", unneeded=tuple(unneeded))


async def _newest(context: ChatContext) -> JobView:
    mine = await jobs.list_of_person(context.session, context.space.id, context.person.id, OPEN)
    open_jobs = await views(context.session, mine)
    if not open_jobs:
        raise InvalidRequest("You have no job here that waits or runs.")
    return max(open_jobs, key=lambda job: job.number)
