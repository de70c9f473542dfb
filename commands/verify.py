"""/verify: whether a picture was painted here, when, where and with what, and how sure that is."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Annotated

from commands.answers import CreateJob, Form, PictureDifference, ReadMarks, RunTask, Text
from commands.context import ChatContext
from commands.job_lookup import find_job
from commands.loras_in_use import check_adapters
from commands.recipe_text import single_picture
from commands.source_pictures import resolve_picture
from commands.syntax.picture_reference import PictureReference, read_picture_reference
from commands.syntax.spec import Option, form_command
from engine.messages import InvalidRequest, JobId, Paint, Sha256
from storage import provenance, uploads, views
from storage.provenance import ContentClaim, FileOrigin, PictureMarks, Place
from storage.tables import Space
from storage.views import JobView, PictureView

READABLE = 128  # pixels a side of what was made half as large, from which a watermark is read
BY_JOB = "You named it by its job."
BY_FILE = "It is the very file, byte for byte. That is certain."
BY_CREDENTIALS = "Its Content Credentials are whole, and signed here. That is certain."
BY_WATERMARK = "It carries the watermark of here, with this picture's number. That is as good as certain."
BY_LIKENESS = "It looks the same, but carries no mark. That is likely, not certain."
ELSEWHERE = "It was painted here, but in a place that you do not see."
GONE = "It was painted here. The picture is not here any more, so nothing else is known of it."
FOREIGN = "It is not from here, as far as can be told."
NOT_SEEN = "Only a picture that was painted here, and that you may see, can be painted again."


@form_command("Verify")
async def verify(
    context: ChatContext,
    image: Annotated[
        PictureReference | None,
        Option(
            "The picture, sent or by its job",
            kind="image",
            read=read_picture_reference,
            main=True,
            needed=True,
            otherwise="a form asks for it",
        ),
    ] = None,
    repaint: Annotated[bool, Option("Paint it again, and show the difference")] = False,
) -> RunTask | Text | CreateJob | PictureDifference | Form:
    """Tell whether a picture was painted here."""
    if image is None:
        return Form(command=verify.name, values={"repaint": "true"} if repaint else {})
    picture = await resolve_picture(context, image)
    if not picture.job or image.sha256 is not None:
        return RunTask(
            request=ReadMarks(sha256=picture.sha256),
            finish=partial(_finish, sha256=picture.sha256, repaint=repaint),
        )
    view = await find_job(context, JobId(picture.job))
    if repaint:
        return await _paint_again(context, view, picture.place)
    text = await _describe(context, view, picture.place, BY_JOB)
    first = await _find_original(context, view)
    if first is None:
        return Text(text=text)
    return PictureDifference(before=first.sha256, after=picture.sha256, text=text)


async def _finish(
    context: ChatContext, result: PictureMarks, *, sha256: Sha256, repaint: bool
) -> Text | CreateJob:
    """What the marks of a picture that was sent say, with what its file said."""
    origin = await provenance.find_origin(context.session, context.person.id, sha256)
    claim = None if origin is None else origin.claim
    traces = await _find_traces(context, origin, sha256, result)
    for evidence, places in traces:
        for job, place in places:
            view = await _find_seen(context, job)
            if view is None or all(place != picture.place for picture in view.pictures):
                continue
            if repaint:
                return await _paint_again(context, view, place)
            return Text(text=await _describe(context, view, place, evidence))
    if repaint:
        raise InvalidRequest(NOT_SEEN)
    certain = [evidence for evidence, _ in traces if evidence != BY_LIKENESS]
    if any(places for evidence, places in traces if evidence != BY_LIKENESS):
        return Text(text=f"{ELSEWHERE} {certain[0]}")
    if certain:
        return Text(text=f"{GONE} {certain[0]}")
    return Text(text=await _describe_foreign(context, sha256, claim))


async def _find_traces(
    context: ChatContext, origin: FileOrigin | None, sha256: Sha256, marks: PictureMarks
) -> list[tuple[str, Sequence[Place]]]:
    """What speaks for its being from here, the surest first, with the pictures that it may be."""
    session = context.session
    traces: list[tuple[str, Sequence[Place]]] = []
    hashes = [sha256] if origin is None else [origin.sha256, sha256]
    if places := await provenance.find_files(session, hashes):
        traces.append((BY_FILE, places))
    if origin is not None and origin.claim is not None and origin.claim.ours:
        job, _, place = origin.claim.title.partition("-")
        named = [(JobId(job), int(place))] if place.isdecimal() else []
        traces.append((BY_CREDENTIALS, await provenance.find_places(session, named)))
    if marks.watermark is not None:
        traces.append((BY_WATERMARK, await provenance.find_watermark(session, marks)))
    if not traces:
        traces.append((BY_LIKENESS, await provenance.find_near_duplicates(session, marks)))
    return traces


async def _find_seen(context: ChatContext, job: JobId) -> JobView | None:
    """The job, if the person may see it: here, or one of their own."""
    view = next(iter(await views.views(context.session, [job])), None)
    if view is None or view.deleted:
        return None
    if view.person_id == context.person.id:
        return view
    here = await views.view(
        context.session, context.space.id, job, person_id=context.person.id, direct=context.direct
    )
    return None if here is None or (here.adult and not (context.adult or context.direct)) else here


async def _describe(context: ChatContext, view: JobView, place: int, evidence: str) -> str:
    """The picture, as far as this person may know it."""
    mine = view.person_id == context.person.id
    model = await provenance.find_model(context.session, view.number, place)
    at = datetime.fromtimestamp(view.ended_at or view.created_at, UTC)
    space = await context.session.get_one(Space, view.space_id)
    lines = [
        f"It was painted here. {evidence}",
        f"Job: {view.id}, picture {place}",
        f"Painted: {at:%Y-%m-%d %H:%M} UTC",
        f"Space: {'this one' if space.id == context.space.id else space.name}",
    ]
    if mine or (context.admin and view.space_id == context.space.id):
        lines.append(f"By: {'you' if mine else view.person}")
    if model:
        lines.append(f"Model: {model}")
    if isinstance(view.request, Paint) and view.request.adapters:
        uses = ", ".join(f"{use.name}:{use.weight:g}" for use in view.request.adapters)
        lines.append(f"LoRAs: {uses}")
    return "\n".join(lines)


async def _paint_again(context: ChatContext, view: JobView, place: int) -> CreateJob:
    """A job with the picture's own recipe and seed. Raises InvalidRequest."""
    if not isinstance(view.request, Paint):
        raise InvalidRequest(f"Job {view.id} has no recipe that can be painted again.")
    await check_adapters(context, view.request.adapters)
    again = replace(
        single_picture(view.request, place), job=context.job, repeats=f"{view.id}:{place}", note=""
    )
    text = f"It is painted again. The card then says how much differs, and /verify {context.job} shows it."
    return CreateJob(request=again, parent=view.id, text=text, fresh=True)


async def _find_original(context: ChatContext, view: JobView) -> PictureView | None:
    """The picture that this job painted again, if it is still to be seen."""
    if not isinstance(view.request, Paint) or not view.request.repeats:
        return None
    reference = read_picture_reference(view.request.repeats)
    first = await _find_seen(context, reference.job) if reference.job is not None else None
    pictures = () if first is None else first.pictures
    return next((picture for picture in pictures if picture.place == reference.place), None)


async def _describe_foreign(context: ChatContext, sha256: Sha256, claim: ContentClaim | None) -> str:
    lines = [FOREIGN]
    if claim is not None and not claim.valid:
        lines.append("Its Content Credentials do not fit it. They are forged, or it was changed after them.")
    elif claim is not None:
        by = claim.signer or "somebody without a name"
        made = f", made with {claim.software}" if claim.software else ""
        lines.append(f"Its Content Credentials are whole, and claim: signed by {by}{made}.")
    width, height = await uploads.size_of(context.session, sha256)
    if 0 < min(width, height) < READABLE:
        lines.append(f"It has {width}x{height} pixels, too few for a watermark to be read.")
    return " ".join(lines)
