"""/show: a job's card again, as a new message."""

from typing import Annotated

from commands.answers import ShowCard
from commands.context import ChatContext
from commands.job_lookup import find_job, read_job_id
from commands.source_pictures import chain_text
from commands.syntax.spec import Option, command
from engine.messages import InvalidRequest, JobId


@command
async def show(
    context: ChatContext, job: Annotated[JobId, Option("Which job, such as k3f9qa", read=read_job_id)]
) -> ShowCard:
    """Show a job's card again, with buttons that work."""
    view = await find_job(context, job)
    if view.adult and not (context.adult or context.direct):
        raise InvalidRequest(f"Job {job} is from a channel for adults and is only shown in such a channel.")
    return ShowCard(job=view.id, text=await chain_text(context, view))
