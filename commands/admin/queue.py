"""/admin queue: what waits in a space, and whether it moves."""

from typing import Annotated

from commands.admin.records import record
from commands.answers import Text, UpdateCards
from commands.context import ChatContext
from commands.help import align
from commands.job_lookup import find_job, read_job_id
from commands.syntax.numbers import ordinal, pluralize
from commands.syntax.spec import Option, admin_command
from engine.messages import InvalidRequest, JobId
from storage import jobs, queue_overrides, space_settings
from storage.space_settings import QueueState
from storage.views import JobView, views

SHOWN = 40
STATE_TEXT: dict[QueueState, str] = {
    "": "the queue moves.",
    "paused": "the queue is paused: jobs are filed, and wait until --resume.",
    "draining": "the queue runs empty: nothing new is taken until --resume.",
}


@admin_command
async def admin_queue(
    context: ChatContext,
    *,
    pause: Annotated[bool, Option("let what waits here wait, also over restarts")] = False,
    resume: Annotated[bool, Option("let it move again")] = False,
    drain: Annotated[bool, Option("take nothing new, and let what waits end")] = False,
    up: Annotated[
        JobId | None,
        Option("the job that is to be the next one of this space", read=read_job_id, otherwise="none"),
    ] = None,
) -> Text | UpdateCards:
    """Show what waits here; pause, resume or drain it, or put a job first."""
    if sum((pause, resume, drain, up is not None)) > 1:
        raise InvalidRequest("say one thing at a time: --pause, --resume, --drain or --up.")
    if up is not None:
        return await _move_up(context, await find_job(context, up))
    if pause or resume or drain:
        return await _set_state(context, "paused" if pause else "draining" if drain else "")
    return Text(text=await _list(context))


async def _set_state(context: ChatContext, queue: QueueState) -> UpdateCards:
    before = context.space_settings.queue
    if before == queue:
        raise InvalidRequest(f"so it is already: {STATE_TEXT[queue]}")
    await space_settings.set_queue_state(context.session, context.space.id, queue)
    moves = "moving"
    await record(context, "queue", "queue", {"queue": before or moves}, {"queue": queue or moves})
    waiting = await jobs.list_queued(context.session, context.space.id, SHOWN)
    return UpdateCards(jobs=tuple(waiting), text=STATE_TEXT[queue])


async def _move_up(context: ChatContext, job: JobView) -> UpdateCards:
    if job.state != "queued":
        raise InvalidRequest(f"job {job.id} does not wait: only what waits can go first.")
    await queue_overrides.move_up(context.session, job.number, context.now)
    await record(context, "up", f"job {job.id}", None, {"first": True})
    return UpdateCards(jobs=(job.id,), text=f"job {job.id} is the next one of this space.")


async def _list(context: ChatContext) -> str:
    waiting = await views(context.session, await jobs.list_queued(context.session, context.space.id, SHOWN))
    running = [job for job in await jobs.list_running(context.session) if job.space_id == context.space.id]
    places = dict(await jobs.positions(context.session)) | dict(
        await jobs.training_positions(context.session)
    )
    shown = [(job.id, f"{_position_text(job, places)}: {job.person}") for job in waiting]
    head = f"{STATE_TEXT[context.space_settings.queue]} {pluralize(len(running), 'job')} of this space run"
    return "\n".join([f"{head}, {len(waiting)}{'+' if len(waiting) == SHOWN else ''} wait:", *align(shown)])


def _position_text(job: JobView, places: dict[JobId, int]) -> str:
    kind = "a training" if job.kind == "train" else "pictures"
    return f"{kind}, {ordinal(places[job.id])} in line" if job.id in places else f"{kind}, waits"
