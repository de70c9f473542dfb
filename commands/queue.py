"""/queue: somebody's open jobs, their places in line and estimated waits."""

from collections.abc import Collection, Sequence

from commands.answers import Text
from commands.context import ChatContext
from commands.help import align
from commands.job_lookup import OPEN
from commands.syntax.numbers import duration, ordinal, pluralize
from commands.syntax.parser import shorten
from commands.syntax.spec import command
from commands.training_runs import state_text
from engine.messages import JobId, Paint
from storage import jobs
from storage.views import JobView, read_requests, views

PAUSED = "An admin has paused the queue here. Nothing runs until they resume it."


@command
async def queue(context: ChatContext) -> Text:
    """Show your jobs that wait or run, and how long they will take."""
    mine = await views(
        context.session, await jobs.list_of_person(context.session, context.space.id, context.person.id, OPEN)
    )
    line = await jobs.positions(context.session)
    places = dict(line)
    waits = await _estimate_waits(context, [job for job, _ in line], {job.id for job in mine})
    training_places = dict(await jobs.training_positions(context.session))
    rows = align(
        [
            _training_row(job, training_places) if job.kind == "train" else _row(job, places, waits)
            for job in sorted(mine, key=lambda job: job.number)
        ]
    )
    paused = [PAUSED] if context.space_settings.queue == "paused" else []
    head = (
        f"You have {pluralize(len(rows), 'job')} here:"
        if rows
        else "You have no job here that waits or runs."
    )
    waiting = await jobs.count_queued(context.session) + len(training_places)
    return Text(text="\n".join([head, *rows, *paused, f"{_waiting_text(waiting)}"]))


def _waiting_text(waiting: int) -> str:
    """How many jobs wait in all spaces together."""
    if not waiting:
        return "No jobs are waiting."
    return f"{pluralize(waiting, 'job')} {'is' if waiting == 1 else 'are'} waiting in all spaces together."


async def _estimate_waits(
    context: ChatContext, line: Sequence[JobId], mine: Collection[JobId]
) -> dict[JobId, float]:
    """About how many seconds until each job in the line is done, as far as the last of these jobs.

    It waits for everything before it, and takes its own time.
    """
    last = max((place for place, job in enumerate(line, start=1) if job in mine), default=0)
    if not last:
        return {}
    left = {
        JobId(job.id): 1 - job.step / job.steps if job.steps else 1.0
        for job in await jobs.list_running(context.session)
    }
    requests = await read_requests(context.session, [*left, *line[:last]])
    seconds = {
        job: context.estimates.seconds(request)
        for job, request in requests.items()
        if isinstance(request, Paint)  # a training runs beside pictures
    }
    total = sum(seconds.get(job, 0.0) * share for job, share in left.items())
    waits = {}
    for job in line[:last]:
        total += seconds.get(job, 0.0)
        waits[job] = total
    return waits


def _row(job: JobView, places: dict[JobId, int], waits: dict[JobId, float]) -> tuple[str, str]:
    prompt = shorten(" ".join(job.request.prompt.split())) if isinstance(job.request, Paint) else ""
    return job.id, f"{_progress_text(job, places, waits)}: {prompt}"


def _training_row(job: JobView, places: dict[JobId, int]) -> tuple[str, str]:
    name = job.training.name if job.training is not None else ""
    return job.id, f"{state_text(job, places)}: the LoRA {name}"


def _progress_text(job: JobView, places: dict[JobId, int], waits: dict[JobId, float]) -> str:
    if job.state == "running":
        return f"step {job.step} of {job.steps}" if job.steps else "being painted"
    if job.id not in places:
        return "far back in line"
    return f"{ordinal(places[job.id])} in line, about {duration(waits[job.id])}"
