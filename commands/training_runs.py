"""/training: somebody's trainings, listed, shown again, finished early or cancelled."""

from collections.abc import Mapping
from typing import Annotated

from commands.answers import CancelJob, FinishTraining, ShowCard, Text, UpdateCards
from commands.cancel import cancel_job
from commands.context import ChatContext
from commands.help import align
from commands.job_lookup import find_job, read_job_id
from commands.syntax.numbers import ordinal
from commands.syntax.spec import Option, command
from commands.training_actions import finish as finished
from engine.messages import InvalidRequest, JobId
from storage import jobs, trainings
from storage.job_conditions import OPEN
from storage.views import JobView, views

NEWEST = 20


@command
async def training(
    context: ChatContext,
    job: Annotated[
        JobId | None, Option("Which one, such as k3f9qa", read=read_job_id, otherwise="all of yours")
    ] = None,
    finish: Annotated[bool, Option("End it now and keep what it has learned")] = False,
    cancel: Annotated[bool, Option("Cancel it")] = False,
) -> Text | ShowCard | FinishTraining | UpdateCards | CancelJob:
    """Show your trainings, or show one again, end it early or cancel it."""
    if finish and cancel:
        raise InvalidRequest("Use --finish or --cancel, not both.")
    if job is None and not finish and not cancel:
        return Text(text=await _list(context))
    view = await _newest_open(context) if job is None else await find_job(context, job)
    if view.kind != "train":
        raise InvalidRequest(f"Job {view.id} is not a training.")
    if finish:
        return await finished(context, view)
    return await cancel_job(context, view) if cancel else ShowCard(job=view.id)


async def _newest_open(context: ChatContext) -> JobView:
    """The person's running training, or their newest open one."""
    mine = [view for view in await _newest(context) if view.state in OPEN]
    if not mine:
        raise InvalidRequest("You have no training here that waits or runs.")
    return next((view for view in mine if view.state == "running"), mine[0])


async def _list(context: ChatContext) -> str:
    mine = await _newest(context)
    if not mine:
        return "You have no trainings here. Start one with /train NAME."
    places = dict(await jobs.training_positions(context.session))
    rows = align([(view.id, _row(view, places)) for view in mine])
    return "\n".join(["Your trainings here, newest first:", *rows])


async def _newest(context: ChatContext) -> list[JobView]:
    ids = await trainings.list_of_person(context.session, context.space.id, context.person.id, NEWEST)
    return await views(context.session, ids)


def _row(view: JobView, places: Mapping[JobId, int]) -> str:
    name = view.training.name if view.training is not None else ""
    return f"{name}: {state_text(view, places)}"


def state_text(view: JobView, places: Mapping[JobId, int]) -> str:
    """The progress of a training in a few words; `places` are of the queue of trainings."""
    match view.state:
        case "draft":
            reported = view.training is not None and view.training.reported
            return "a draft, waiting for you to start it" if reported else "its pictures are being checked"
        case "queued":
            return f"{ordinal(places[view.id])} in line to train" if view.id in places else "waits to train"
        case "running":
            return f"step {view.step} of {view.steps}" if view.steps else "starting"
        case "succeeded":
            adapter = view.training.adapter if view.training is not None else None
            return f"done, --lora {adapter}" if adapter else "done, its LoRA was deleted"
        case "failed":
            return view.reason or "it failed"
        case _:
            return "cancelled"
