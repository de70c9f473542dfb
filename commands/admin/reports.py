"""/admin reports: pictures that were reported, and what becomes of them."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Annotated

from commands.admin.people import block_person
from commands.admin.records import record
from commands.answers import Notice, Text, UpdateCards
from commands.context import ChatContext
from commands.help import align
from commands.job_lookup import find_job
from commands.syntax.numbers import pluralize
from commands.syntax.parser import join_list
from commands.syntax.picture_reference import PictureReference, read_picture_reference
from commands.syntax.spec import Option, admin_command
from engine.messages import InvalidRequest
from storage import jobs, reports
from storage.tables import Person
from storage.views import JobView, PictureView

SHOWN = 25
Decision = Callable[[ChatContext, JobView, PictureView], Awaitable[Text | UpdateCards]]


@admin_command
async def admin_reports(
    context: ChatContext,
    picture: Annotated[
        PictureReference | None,
        Option("One of them, such as k3f9qa:2", read=read_picture_reference, otherwise="all"),
    ] = None,
    keep: Annotated[bool, Option("It may stay")] = False,
    hide: Annotated[bool, Option("Hide it until somebody opens it")] = False,
    delete: Annotated[bool, Option("Delete its job with all pictures")] = False,
    block: Annotated[bool, Option("Block who painted it")] = False,
) -> Text | UpdateCards:
    """List the pictures that were reported here, or keep, hide or delete one."""
    wanted: Mapping[str, Decision | None] = {
        "--keep": _keep if keep else None,
        "--hide": _hide if hide else None,
        "--delete": _delete if delete else None,
        "--block": _block if block else None,
    }
    decisions = [decision for decision in wanted.values() if decision is not None]
    if len(decisions) > 1:
        raise InvalidRequest(f"Use only one of {join_list(list(wanted), 'or')}.")
    if picture is None:
        if decisions:
            raise InvalidRequest("Say which picture. /admin reports lists them.")
        return await _list(context)
    if picture.job is None:
        raise InvalidRequest("Say which picture by its job, such as k3f9qa:2.")
    view = await find_job(context, picture.job)
    chosen = next((item for item in view.pictures if item.place == (picture.place or 1)), None)
    if chosen is None or not await reports.is_reported(context.session, chosen.id):
        raise InvalidRequest(f"Nobody reported {picture}. /admin reports lists what was reported.")
    if not decisions:
        raise InvalidRequest(f"Say what becomes of {picture}: {join_list(list(wanted), 'or')}.")
    return await decisions[0](context, view, chosen)


async def _list(context: ChatContext) -> Text:
    reported = await reports.list_open(context.session, context.space.id, SHOWN)
    rows = align(
        [
            (
                f"{item.job}:{item.place}",
                f"by {item.person}, {pluralize(item.count, 'report')} since "
                f"{datetime.fromtimestamp(item.at, UTC):%Y-%m-%d %H:%M}",
            )
            for item in reported
        ]
    )
    return Text(text="\n".join(["Reported pictures here, oldest first (UTC):", *(rows or ["  none"])]))


async def _keep(context: ChatContext, view: JobView, picture: PictureView) -> Text:
    await reports.settle(context.session, picture.id)
    await _record(context, view, picture, "kept")
    return Text(text=f"{view.id}:{picture.place} stays as it is.")


async def _hide(context: ChatContext, view: JobView, picture: PictureView) -> UpdateCards:
    await reports.settle(context.session, picture.id)
    touched = await reports.hide(context.session, context.space.id, picture.sha256)
    await _record(context, view, picture, "hidden")
    text = f"An admin has hidden picture {picture.place} of your job {view.id} after a report."
    return UpdateCards(
        jobs=tuple(touched),
        text=f"{view.id}:{picture.place} is hidden until somebody opens it.",
        notices=(Notice(job=view.id, person_key=view.person_key, text=text),),
    )


async def _delete(context: ChatContext, view: JobView, picture: PictureView) -> UpdateCards:
    unneeded = await jobs.delete(context.session, view.number, context.now)
    await _record(context, view, picture, "deleted")
    text = f"An admin has deleted your job {view.id} after a report."
    return UpdateCards(
        jobs=(view.id,),
        text=f"Job {view.id} is deleted.",
        unneeded=tuple(unneeded),
        notices=(Notice(job=view.id, person_key=view.person_key, text=text),),
    )


async def _block(context: ChatContext, view: JobView, picture: PictureView) -> Text:
    blocked = await block_person(context, await context.session.get_one(Person, view.person_id))
    return Text(text=f"{blocked.text} The picture is still reported.")


async def _record(context: ChatContext, view: JobView, picture: PictureView, state: str) -> None:
    subject = f"job {view.id}:{picture.place}"
    await record(context, reports.ACTION, subject, {"picture": "reported"}, {"picture": state})
