"""Checks and steps that a training's buttons and commands share: start, finish, edit."""

from commands.answers import FinishTraining, Form, SendCaptions, UpdateCards
from commands.context import ChatContext
from commands.job_lookup import check_owner, record_change
from commands.train import form_texts, train
from engine.messages import InvalidRequest, Train
from storage import adapters, trainings
from storage.training_captions import ask_description
from storage.views import JobView


def check_start(job: JobView) -> None:
    """Raise InvalidRequest unless this is a draft with a usable picture."""
    if job.state != "draft":
        raise InvalidRequest(f"Job {job.id} has already started.")
    if job.training is None or not job.training.reported:
        raise InvalidRequest("The pictures are still being checked. Wait a moment.")
    if not job.training.usable:
        raise InvalidRequest("None of the pictures can be used. Change them first.")


async def check_start_lora(context: ChatContext, job: JobView) -> None:
    """Raise InvalidRequest when the LoRA that the training goes on from was deleted or unshared meanwhile."""
    if not isinstance(job.request, Train) or job.request.start is None:
        return
    hashes = [job.request.start.sha256]
    if await adapters.forbidden_names(context.session, context.space.id, context.person.id, hashes):
        raise InvalidRequest(
            f"The LoRA {job.request.start.name}, from which it goes on, is not shared with you, or was "
            "retired or deleted."
        )


async def finish(context: ChatContext, job: JobView) -> FinishTraining:
    """Have the engine end the training with what it has learned. Raises InvalidRequest."""
    check_owner(context, job, "finish")
    if job.state != "running":
        raise InvalidRequest(f"Job {job.id} is not running, so there is nothing to keep.")
    await trainings.finish_early(context.session, job.number)
    await record_change(context, job, "finish", "finishing")
    return FinishTraining(job=job.id, text=f"Job {job.id} ends now and keeps what it has learned.")


async def describe(context: ChatContext, job: JobView) -> UpdateCards:
    """Have the pictures without a caption described. Raises InvalidRequest."""
    if job.state != "draft":
        raise InvalidRequest(f"Job {job.id} has already started.")
    if job.training is None or not job.training.reported:
        raise InvalidRequest("The pictures are still being checked. Wait a moment.")
    if not job.training.describable:
        raise InvalidRequest("There is no picture here that could be described.")
    await record_change(context, job, "describe", "describing")
    unneeded = await ask_description(context.session, job.number)
    return UpdateCards(jobs=(job.id,), unneeded=tuple(unneeded))


def send_captions(context: ChatContext, job: JobView) -> SendCaptions:
    """The captions of the training's pictures as a file, for its own person. Raises InvalidRequest."""
    if job.person_id != context.person.id:
        raise InvalidRequest(f"Only {job.person} can read the captions of job {job.id}.")
    if not isinstance(job.request, Train):
        raise InvalidRequest(f"The settings of job {job.id} are no longer allowed.")
    text = "Change the captions in this file, press ✏️ under the training and send the file with the form."
    return SendCaptions(name=f"{job.request.name}-captions.csv", training=job.request, text=text)


async def edit(context: ChatContext, job: JobView) -> Form:
    """The form of the training; if its LoRA exists, with a new name and no trigger.

    Only its own person has the pictures. Raises InvalidRequest.
    """
    if job.person_id != context.person.id:
        raise InvalidRequest(f"Only {job.person} can change job {job.id}.")
    if not isinstance(job.request, Train):  # bounds may have become narrower since
        raise InvalidRequest(f"The settings of job {job.id} are no longer allowed.")
    values = form_texts(job.request, small=context.small)
    if job.state == "draft":
        return Form(command=train.name, values=values | {"draft": job.id})
    name = await adapters.free_name(context.session, context.space.id, job.request.name)
    if job.training is not None and job.training.adapter is not None:
        values["trigger"] = ""
    return Form(command=train.name, values=values | {"name": name})
