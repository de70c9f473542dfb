"""/show: an older card comes back, as a new message."""

from typing import Annotated

from commands.answers import Shown
from commands.context import ChatContext
from commands.jobs import job_here, job_id
from commands.spec import Option, command
from engine.messages import JobId


@command
async def show(
    context: ChatContext, job: Annotated[JobId, Option("which job, such as k3f9qa", read=job_id)]
) -> Shown:
    """Bring a job's card back, with buttons that work."""
    return Shown(job=(await job_here(context, job)).id)
