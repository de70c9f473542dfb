"""Jobs by their ids, and who may change them."""

import re

from commands.context import ChatContext
from commands.syntax.parser import shorten
from engine.messages import InvalidRequest, JobId
from storage import audit
from storage.job_conditions import State
from storage.views import JobView, view

ID = re.compile(r"[0-9a-z]{6}", re.ASCII)
OPEN: tuple[State, ...] = ("queued", "running")  # what has not ended


def read_job_id(text: str) -> JobId:
    """The job id that this text is. Raises InvalidRequest."""
    name = text.strip().lower()
    if not ID.fullmatch(name):
        raise InvalidRequest(
            f"{shorten(text)!r} is not a job. A job has six letters and digits, such as k3f9qa."
        )
    return JobId(name)


async def find_job(context: ChatContext, job: JobId) -> JobView:
    """The job, if the person may see it here and it was not deleted. Raises InvalidRequest."""
    seen = await view(
        context.session, context.space.id, job, person_id=context.person.id, direct=context.direct
    )
    if seen is None:
        raise InvalidRequest(f"There is no job {job} here.")
    check_not_deleted(seen)
    return seen


def check_not_deleted(job: JobView) -> None:
    """Raise InvalidRequest when the job was deleted."""
    if job.deleted:
        raise InvalidRequest(f"Job {job.id} was deleted.")


def check_owner(context: ChatContext, job: JobView, verb: str) -> None:
    """Raise InvalidRequest unless the job is this person's or the person is an admin."""
    if job.person_id != context.person.id and not context.admin:
        raise InvalidRequest(f"Only {job.person} or an admin can {verb} job {job.id}.")


async def record_change(context: ChatContext, job: JobView, verb: str, after: str) -> None:
    """Record that an admin changed somebody else's job."""
    if job.person_id == context.person.id:
        return
    await audit.record(
        context.session,
        space_id=context.space.id,
        person_id=context.person.id,
        action=verb,
        subject=f"job {job.id}",
        before={"state": job.state},
        after={"state": after},
        now=context.now,
    )
