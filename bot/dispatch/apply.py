"""Answers applied: their rows within the transaction, and what follows once these are on disk."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

import structlog

from bot.chats.delivery import Delivery
from bot.chats.interface import (
    CardReply,
    FilesReply,
    FormReply,
    ImageReply,
    LorasReply,
    Reply,
    TextReply,
)
from bot.garbage_collection import GarbageCollector
from bot.images.gallery_sheet import draw_gallery
from bot.images.stats import chart_png
from bot.jobs.inspections import Inspections
from bot.jobs.interactive_tasks import InteractiveTasks
from bot.jobs.queue import Queue
from bot.privacy.export import Exports
from bot.privacy.purge import Purge
from bot.provenance.marking import Marker, difference_text
from commands.admission import admit
from commands.answers import (
    Answer,
    CancelJob,
    CreateJob,
    ExportData,
    FinishTraining,
    ForgetPerson,
    Form,
    LoraCards,
    Notice,
    PictureDifference,
    PictureSheet,
    ReadMarks,
    RunTask,
    SendCaptions,
    SendFiles,
    ShowCard,
    SizedText,
    StartDraft,
    StatisticsChart,
    TaskResult,
    Text,
    UpdateCards,
)
from commands.context import ChatContext
from commands.imagine import imagine
from commands.job_lookup import find_job
from commands.limits import MEGABYTE
from commands.recipe_text import command_of
from engine.messages import Described, InvalidRequest, JobId, LoraScores, Paint, Sha256
from storage import adapters, jobs, pictures, trainings
from storage.database import CannotStore
from storage.files import Files
from storage.privacy import Deletion
from storage.provenance import PictureMarks
from storage.recipe_keys import PaintedBefore, recipe_key

log = structlog.get_logger(__name__)

GONE = "The picture is gone. Send it again."
NO_EXPORT = "The export could not be written. The bot's disk may be full. Try again later."

Slow = (
    RunTask | StatisticsChart | PictureSheet | PictureDifference | ExportData | SizedText | SendCaptions
)  # their replies take longer than a transaction


WriteCaptions = Callable[[SendCaptions, int], Awaitable[FilesReply]]
"""Writes a training's captions to a file for this person. Raises InvalidRequest, CannotStore, OSError."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The reply, or what it is yet to be made of, and what follows once the rows are on disk."""

    reply: Reply | Slow
    touched: tuple[JobId, ...] = ()  # their cards may look different
    painting: Paint | None = None  # the first touched job is a new one that asks for this
    stopped: tuple[JobId, ...] = ()  # the engine may still be at them
    finishing: JobId | None = None  # a training that is to end with what it has
    unneeded: tuple[Sha256, ...] = ()  # files that no row knows any more
    anew: bool = False  # the first touched card comes as a new message
    left: tuple[str, str] | None = None  # the channel and the message that it leaves
    notices: tuple[Notice, ...] = ()
    forgot: bool = False  # a person or a space: what is remembered of them may be wrong


async def apply_answer(context: ChatContext, answer: Answer, spent: Callable[[JobId], float]) -> Outcome:
    """Write the rows that an answer means; `spent` is a running job's engine time in seconds.

    Runs inside the transaction of `context`. Raises InvalidRequest where the rows do not allow it.
    """
    match answer:
        case Text():
            return Outcome(reply=TextReply(text=answer.text))
        case Form():
            return Outcome(reply=FormReply(form=answer, text=answer.text))
        case SendFiles():
            return Outcome(reply=FilesReply(files=answer.files, text=answer.text))
        case LoraCards():
            return Outcome(reply=_lora_cards(context, answer))
        case (
            RunTask()
            | StatisticsChart()
            | PictureSheet()
            | PictureDifference()
            | ExportData()
            | SizedText()
            | SendCaptions()
        ):
            return Outcome(reply=answer)
        case UpdateCards():
            return _update_cards(answer)
        case StartDraft():
            return Outcome(reply=TextReply(text=answer.text), touched=(answer.job,))
        case FinishTraining():
            return Outcome(reply=TextReply(text=answer.text), finishing=answer.job)
        case CreateJob():
            return await _create_job(context, answer)
        case ShowCard():
            return await _show_card(context, answer)
        case CancelJob():
            return await _cancel_job(context, answer, spent)
        case ForgetPerson():
            return after_purge(answer.forgotten, answer.text)


def _lora_cards(context: ChatContext, answer: LoraCards) -> LorasReply:
    return LorasReply(text=answer.text, loras=answer.loras, person=context.person.id, files=answer.files)


def _update_cards(answer: UpdateCards) -> Outcome:
    return Outcome(
        reply=TextReply(text=answer.text),
        touched=answer.jobs,
        stopped=answer.stopped,
        unneeded=answer.unneeded,
        notices=answer.notices,
    )


async def _create_job(context: ChatContext, answer: CreateJob) -> Outcome:
    admission = await admit(context, answer)
    request = admission.request
    job = await jobs.create(
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
        expected=admission.expected,
    )
    if admission.before is not None and isinstance(request, Paint):
        await _take_from_store(context, job.number, request, admission.before)
    if isinstance(request, Paint):
        for use in request.adapters:
            await adapters.count_use(context.session, use, context.now)
    else:
        await trainings.create(context.session, job.number, request, context.now, answer.examples)
    replaced = () if answer.replaced is None else (answer.replaced,)
    return Outcome(
        reply=CardReply(job=job.id, text=answer.text),
        touched=(job.id, *replaced),
        painting=request if isinstance(request, Paint) and admission.before is None else None,
        stopped=replaced,
        unneeded=answer.unneeded,
    )


async def _take_from_store(context: ChatContext, number: int, request: Paint, before: PaintedBefore) -> None:
    """End a new job with the pictures of one that painted the same."""
    advice = " --fresh paints it again." if command_of(request) is imagine else ""
    await context.session.refresh(context.person, ["queued"])  # which was counted beside the session
    await jobs.finish(
        context.session,
        number,
        state="succeeded",
        reason=f"The same as {before.job}, painted before.{advice}",
        seconds=0.0,
        pictures=before.pictures,
        recipe=recipe_key(request, context.engine),
        now=context.now,
    )


async def _show_card(context: ChatContext, answer: ShowCard) -> Outcome:
    view = await find_job(context, answer.job)
    await jobs.move(context.session, view.number, context.channel, private=context.direct)
    left = None if view.message is None else (view.channel, view.message)
    reply = CardReply(job=view.id, text=answer.text)
    return Outcome(reply=reply, touched=(view.id,), anew=True, left=left)


async def _cancel_job(context: ChatContext, answer: CancelJob, spent: Callable[[JobId], float]) -> Outcome:
    """The row ends here and now; the engine is told when that is on disk."""
    view = await find_job(context, answer.job)
    seconds = spent(view.id)
    unneeded = [] if view.training is None else await trainings.drop_files(context.session, view.number)
    await jobs.finish(context.session, view.number, state="cancelled", seconds=seconds, now=context.now)
    unneeded += await pictures.find_unneeded_adapters(context.session, view.request)
    return Outcome(
        reply=TextReply(text=answer.text),
        touched=(view.id,),
        stopped=(view.id,),
        unneeded=tuple(unneeded),
    )


def after_purge(forgotten: Deletion, text: str = "") -> Outcome:
    """What follows when a person or a space was forgotten."""
    return Outcome(
        reply=TextReply(text=text),
        touched=forgotten.touched,
        stopped=forgotten.stopped,
        unneeded=forgotten.unneeded,
        forgot=True,
    )


class Effects:
    """What follows a transaction: engine, cards and files are told, and slow replies are made."""

    def __init__(
        self,
        *,
        files: Files,
        garbage: GarbageCollector,
        queue: Queue,
        inspections: Inspections,
        tasks: InteractiveTasks,
        delivery: Delivery,
        exports: Exports,
        write_captions: WriteCaptions,
        purge: Purge,
        marker: Marker,
    ) -> None:
        self._files = files
        self._garbage = garbage
        self._queue = queue
        self._inspections = inspections
        self._tasks = tasks
        self._delivery = delivery
        self._exports = exports
        self._write_captions = write_captions
        self._purge = purge
        self._marker = marker

    async def follow(self, outcome: Outcome) -> None:
        """Tell everybody whom the new rows concern."""
        for job in outcome.stopped:
            self._queue.cancel(job)
            self._inspections.cancel(job)
        if outcome.finishing is not None:
            self._queue.finish(outcome.finishing)
        if outcome.anew:
            self._delivery.repost(outcome.touched[0], outcome.left)
        self._delivery.touch(outcome.touched)
        for notice in outcome.notices:
            self._delivery.notify(notice)
        if outcome.painting is not None:
            self._queue.add(outcome.touched[0], outcome.painting)
        elif outcome.touched:
            self._queue.wake()
            self._inspections.wake()
        await self._garbage.remove(outcome.unneeded)
        if outcome.forgot:
            self._purge.wake()

    def task_result(
        self, task: RunTask, person_id: int
    ) -> AbstractAsyncContextManager[TaskResult | LoraScores | Described | PictureMarks]:
        """The result, whose files stay in the store meanwhile. Raises InvalidRequest."""
        if isinstance(task.request, ReadMarks):
            return self._read_marks(task.request.sha256)
        return self._tasks.run(person_id, task.request)

    @asynccontextmanager
    async def _read_marks(self, sha256: Sha256) -> AsyncGenerator[PictureMarks]:
        try:
            yield await self._marker.read(await self._files.get(sha256))
        except OSError as error:
            raise InvalidRequest(GONE) from error

    async def reply(self, reply: Reply | Slow, person_id: int) -> Reply:
        """The reply, made where that takes a while. Raises InvalidRequest, CannotStore."""
        match reply:
            case StatisticsChart():
                content = await asyncio.to_thread(chart_png, reply.statistics)
                return ImageReply(name="stats.png", content=content, text=reply.text)
            case PictureSheet():
                sheet = await draw_gallery(self._files, reply.pictures)
                return ImageReply(name=sheet.name, content=sheet.content, text=reply.text)
            case PictureDifference():
                return await self._compare(reply)
            case ExportData():
                return await self._export(reply, person_id)
            case SendCaptions():
                return await self._write_captions(reply, person_id)
            case SizedText():
                size = await self._files.total_size(reply.files)
                return TextReply(text=reply.write(size / MEGABYTE))
            case RunTask():
                raise AssertionError("the result of a task is another answer")
            case _:
                return reply

    async def _compare(self, answer: PictureDifference) -> ImageReply:
        try:
            before, after = [await self._files.get(sha256) for sha256 in (answer.before, answer.after)]
        except OSError as error:
            raise InvalidRequest(GONE) from error
        difference = await self._marker.compare(before, after)
        text = f"{answer.text}\n{difference_text(difference.largest)}"
        return ImageReply(name="difference.png", content=difference.png, text=text)

    async def _export(self, answer: ExportData, person_id: int) -> FilesReply:
        try:
            return FilesReply(files=await self._exports.export(person_id), text=answer.text)
        except OSError as error:
            log.warning("An export could not be written", reason=str(error))
            raise CannotStore(NO_EXPORT) from error
