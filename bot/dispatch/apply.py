"""What an answer means: a reply, rows written at once, and what is to be done once they are on disk."""

from collections.abc import Callable
from dataclasses import dataclass, field

from commands.admission import checked
from commands.answers import (
    Answer,
    CancelJob,
    CreateJob,
    ExportData,
    FinishTraining,
    ForgetPerson,
    Form,
    LoraCards,
    PictureSheet,
    RunTask,
    SendFiles,
    ShowCard,
    SmallPicture,
    StartDraft,
    StatisticsChart,
    Text,
    UpdateCards,
)
from commands.context import ChatContext
from commands.job_lookup import job_here
from engine.messages import JobId, Paint, Sha256
from storage import adapters, jobs, pictures, trainings
from storage.adapters import LoraView
from storage.privacy import Forgotten
from storage.statistics import Statistics


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What the person who asked is told, and nobody else. A job's card comes to the channel by itself."""

    text: str = ""
    job: JobId | None = None
    form: Form | None = None
    files: tuple[tuple[str, Sha256], ...] = ()
    loras: tuple[LoraView, ...] = ()
    person: int | None = None  # the number of who asked for LoRAs
    drawn: tuple[str, bytes] | None = None  # a picture that is kept nowhere, by name
    ok: bool = True


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """A reply, and what is to be done once it is on disk."""

    reply: Reply = field(default_factory=Reply)
    beside: tuple[int, RunTask] | None = None  # whose, and what the engine is to do before there is a reply
    touched: tuple[JobId, ...] = ()
    filed: Paint | None = None
    ended: tuple[JobId, ...] = ()  # which the engine may still be at
    finishing: JobId | None = None
    unneeded: tuple[Sha256, ...] = ()
    brought: bool = False  # the touched card comes as a new message
    moved: tuple[str, str] | None = None  # the channel and the message that it leaves
    forgot: bool = False  # somebody: what is known of spaces may be wrong now
    chart: Statistics | None = None  # to be drawn
    hung: tuple[SmallPicture, ...] = ()  # on one sheet
    export: int | None = None  # the number of the person who is given all that is stored about them


async def settled(context: ChatContext, answer: Answer, spent: Callable[[JobId], float]) -> Outcome:
    """What an answer means for the tables, and for afterwards; `spent` is a running job's, in seconds."""
    match answer:
        case Text():
            return Outcome(reply=Reply(text=answer.text))
        case Form():
            return Outcome(reply=Reply(form=answer, text=answer.text))
        case SendFiles():
            return Outcome(reply=Reply(text=answer.text, files=answer.files))
        case LoraCards():
            return _listed(context, answer)
        case StatisticsChart():
            return Outcome(reply=Reply(text=answer.text), chart=answer.statistics)
        case PictureSheet():
            return Outcome(reply=Reply(text=answer.text), hung=answer.pictures)
        case RunTask():
            return Outcome(beside=(context.person.id, answer))
        case UpdateCards():
            reply = Reply(text=answer.text)
            return Outcome(reply=reply, touched=answer.jobs, ended=answer.stopped, unneeded=answer.unneeded)
        case StartDraft():
            return Outcome(reply=Reply(text=answer.text), touched=(answer.job,))
        case FinishTraining():
            return Outcome(reply=Reply(text=answer.text), finishing=answer.job)
        case CreateJob():
            return await _filed(context, answer)
        case ShowCard():
            return await _shown(context, answer)
        case CancelJob():
            return await _cancelling(context, answer, spent)
        case ExportData():
            return Outcome(reply=Reply(text=answer.text), export=context.person.id)
        case ForgetPerson():
            return forgotten(answer.forgotten, answer.text)


def _listed(context: ChatContext, answer: LoraCards) -> Outcome:
    asked = context.person.id
    return Outcome(reply=Reply(text=answer.text, loras=answer.loras, person=asked, files=answer.files))


async def _filed(context: ChatContext, answer: CreateJob) -> Outcome:
    request, expected = await checked(context, answer)
    job = await jobs.file(
        context.session,
        id=context.job,
        space_id=context.space.id,
        person_id=context.person.id,
        channel=context.channel,
        request=request,
        parent=answer.parent,
        now=context.now,
        state="draft" if answer.draft else "queued",
        adult=context.adult,
        private=context.direct,
        expected=expected,
    )
    if isinstance(request, Paint):
        for use in request.adapters:
            await adapters.remember(context.session, use, context.now)
    else:
        await trainings.begin(context.session, job.number, request, consent_at=context.now)
    replaced = () if answer.replaced is None else (answer.replaced,)
    return Outcome(
        reply=Reply(job=job.id, text=answer.text),
        touched=(job.id, *replaced),
        filed=request if isinstance(request, Paint) else None,
        ended=replaced,
        unneeded=answer.unneeded,
    )


async def _shown(context: ChatContext, answer: ShowCard) -> Outcome:
    view = await job_here(context, answer.job)
    await jobs.move(context.session, view.number, context.channel, private=context.direct)
    moved = None if view.message is None else (view.channel, view.message)
    return Outcome(reply=Reply(job=view.id), touched=(view.id,), brought=True, moved=moved)


async def _cancelling(context: ChatContext, answer: CancelJob, spent: Callable[[JobId], float]) -> Outcome:
    """The row ends here and now; the engine is told when that is on disk."""
    view = await job_here(context, answer.job)
    seconds = spent(view.id)
    unneeded = [] if view.training is None else await trainings.shed(context.session, view.number)
    await jobs.finish(context.session, view.number, state="cancelled", seconds=seconds, now=context.now)
    unneeded += await pictures.spare(context.session, view.request)
    return Outcome(
        reply=Reply(text=answer.text),
        touched=(view.id,),
        ended=(view.id,),
        unneeded=tuple(unneeded),
    )


def forgotten(told: Forgotten, text: str) -> Outcome:
    """What is left to do for somebody who is forgotten."""
    return Outcome(
        reply=Reply(text=text),
        touched=told.touched,
        ended=told.stopped,
        unneeded=told.unneeded,
        forgot=True,
    )
