"""/report: a picture that should not be here, for the admins to decide about."""

from collections.abc import Collection
from typing import Annotated

from commands.answers import Notice, UpdateCards
from commands.context import ChatContext
from commands.job_lookup import find_job
from commands.source_pictures import resolve_picture
from commands.syntax.picture_reference import PictureReference, read_picture_reference
from commands.syntax.spec import Option, command
from engine.messages import InvalidRequest, JobId
from storage import people, reports
from storage.views import JobView

ONLY_SENT = "Only pictures that were painted here can be reported. Name one, such as k3f9qa:2."
REPORTED = "The admins here can see your report. Nobody is told who made it."


@command
async def report(
    context: ChatContext,
    picture: Annotated[
        PictureReference, Option("Which picture, such as k3f9qa:2", read=read_picture_reference)
    ],
) -> UpdateCards:
    """Report a picture to the admins here."""
    chosen = await resolve_picture(context, picture)
    if not chosen.job:
        raise InvalidRequest(ONLY_SENT)
    return await report_pictures(context, await find_job(context, JobId(chosen.job)), [chosen.place])


async def report_pictures(context: ChatContext, view: JobView, places: Collection[int]) -> UpdateCards:
    """Report these pictures of a job; the admins whom the operator names are told of each once."""
    if view.person_id == context.person.id:
        raise InvalidRequest("This picture is yours. Delete it if it should not be here.")
    added: list[int] = []
    news: list[int] = []
    for picture in view.pictures:
        if picture.place in places:
            is_first = not await reports.is_reported(context.session, picture.id)
            if await reports.add(context.session, picture.id, context.person.id, context.now):
                added.append(picture.place)
                news += [picture.place] if is_first else []
    if not added:
        raise InvalidRequest("You have already reported this picture.")
    return UpdateCards(jobs=(), text=REPORTED, notices=await _notices(context, view, news))


async def _notices(context: ChatContext, view: JobView, places: Collection[int]) -> tuple[Notice, ...]:
    if not places:
        return ()
    names = ", ".join(f"{view.id}:{place}" for place in places)
    text = f"{names} by {view.person} was reported. /admin reports {view.id}:{min(places)} decides about it."
    chat = context.space.chat
    keys = await people.keys_of(
        context.session, chat, context.admins.named.get(chat, ()), by_name=chat in context.admins.by_name
    )
    return tuple(Notice(job=view.id, person_key=key, text=text) for key in keys)
