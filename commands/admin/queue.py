"""/admin queue: the queue of a space, paused, resumed, closed or reordered."""

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
    "": "The queue is running.",
    "paused": "The queue is paused. New jobs wait until --resume.",
    "draining": "The queue is closed. Nothing new is accepted until --resume.",
}


@admin_command
async def admin_queue(
    context: ChatContext,
    *,
    pause: Annotated[bool, Option("Hold what waits here, also over restarts")] = False,
    resume: Annotated[bool, Option("Let it run again")] = False,
    drain: Annotated[bool, Option("Accept nothing new, and finish what waits")] = False,
    up: Annotated[
        JobId | None,
        Option("The job to run next in this space", read=read_job_id, otherwise="none"),
    ] = None,
) -> Text | UpdateCards:
    """Show what waits here, pause, resume or drain it, or put a job first."""
    if sum((pause, resume, drain, up is not None)) > 1:
        raise InvalidRequest("Use only one of --pause, --resume, --drain and --up.")
    if up is not None:
        return await _move_up(context, await find_job(context, up))
    if pause or resume or drain:
        return await _set_state(context, "paused" if pause else "draining" if drain else "")
    return Text(text=await _list(context))


async def _set_state(context: ChatContext, queue: QueueState) -> UpdateCards:
    before = context.space_settings.queue
    if before == queue:
        raise InvalidRequest(f"Nothing changed. {STATE_TEXT[queue]}")
    await space_settings.set_queue_state(context.session, context.space.id, queue)
    moves = "moving"
    await record(context, "queue", "queue", {"queue": before or moves}, {"queue": queue or moves})
    waiting = await jobs.list_queued(context.session, context.space.id, SHOWN)
    return UpdateCards(jobs=tuple(waiting), text=STATE_TEXT[queue])


async def _move_up(context: ChatContext, job: JobView) -> UpdateCards:
    if job.state != "queued":
        raise InvalidRequest(f"Job {job.id} is not waiting. Only a waiting job can go first.")
    await queue_overrides.move_up(context.session, job.number, context.now)
    await record(context, "up", f"job {job.id}", None, {"first": True})
    return UpdateCards(jobs=(job.id,), text=f"Job {job.id} runs next in this space.")


async def _list(context: ChatContext) -> str:
    waiting = await views(context.session, await jobs.list_queued(context.session, context.space.id, SHOWN))
    running = [job for job in await jobs.list_running(context.session) if job.space_id == context.space.id]
    places = dict(await jobs.positions(context.session)) | dict(
        await jobs.training_positions(context.session)
    )
    shown = [(job.id, f"{_position_text(job, places)}: {job.person}") for job in waiting]
    state, more = STATE_TEXT[context.space_settings.queue], "+" if len(waiting) == SHOWN else ""
    head = f"{state} Here {pluralize(len(running), 'job')} running, {len(waiting)}{more} waiting:"
    return "\n".join([head, *align(shown)])


def _position_text(job: JobView, places: dict[JobId, int]) -> str:
    kind = "a training" if job.kind == "train" else "pictures"
    return f"{kind}, {ordinal(places[job.id])} in line" if job.id in places else f"{kind}, waits"
