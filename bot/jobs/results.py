"""Results of jobs, written down however often that has to be tried: files first, then the row."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Literal, TypeVar

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from bot.engine_client.pending_jobs import EngineUnavailable, FinalUpdate, Lost
from bot.garbage_collection import GarbageCollector
from bot.jobs.disk_space import DiskSpace
from bot.jobs.estimates import Estimates
from bot.jobs.running_job import RunningJob
from bot.metrics import Metrics
from bot.pacing.backoff import Backoff
from bot.provenance.marking import Marker, difference_text
from commands.syntax.numbers import pluralize
from engine.messages import (
    Cancelled,
    CheckpointSaved,
    Described,
    Failed,
    Inspected,
    JobId,
    LoraImported,
    LoraScores,
    LorasMerged,
    Paint,
    Painted,
    Sha256,
    Trained,
)
from storage import comparisons, jobs, provenance, safety_flags, trainings
from storage.database import CannotStore, Database
from storage.files import Files
from storage.jobs import ENGINE_DEATHS, Death, FinishedPicture
from storage.pictures import find_unneeded_adapters
from storage.recipe_keys import recipe_key

if TYPE_CHECKING:
    from bot.provenance.pixels import MarkedPicture

log = structlog.get_logger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 30.0  # seconds between two tries to store something, doubled
STORING_TRIES = 5  # of files, before their job fails
HAD_ENDED = "had ended"

T = TypeVar("T")
Result = FinalUpdate | EngineUnavailable


class Results:
    """Writes down what trainings saved and how jobs ended."""

    def __init__(
        self,
        database: Database,
        files: Files,
        garbage: GarbageCollector,
        disk: DiskSpace,
        estimates: Estimates,
        metrics: Metrics,
        marker: Marker,
        identity: str,
        on_wait: Callable[[RunningJob, str], None],
    ) -> None:
        """`on_wait` gets the reason when a job that has ended in the engine must wait for the disk."""
        self._database = database
        self._files = files
        self._garbage = garbage
        self._disk = disk
        self._estimates = estimates
        self._metrics = metrics
        self._marker = marker
        self._identity = identity
        self._on_wait = on_wait

    async def record(self, running: RunningJob, result: Result) -> str:
        """Write down how a job ended; returns its new state."""
        match result:
            case Painted():
                if isinstance(running.request, Paint):
                    self._estimates.learn(running.request, result.seconds)
                return await self._record_pictures(running, result)
            case Trained():
                return await self._record_training(running, result)
            case Failed(again=True):
                self._disk.mark_full(result.reason)
                await self._garbage.remove(result.left)
                return await self._queue_again(running, "no")
            case Failed():
                if not result.expected:
                    log.error("Job failed in the engine", job=result.job, reason=result.reason)
                return await self.finish(running, state="failed", reason=result.reason, left=result.left)
            case Cancelled():
                return await self.finish(running, state="cancelled", left=result.left)
            case Inspected() | LoraImported() | LorasMerged() | LoraScores() | Described():
                return await self.finish(running, state="cancelled")
            case Lost():
                return await self._record_loss(running, result)
            case EngineUnavailable():
                return await self._queue_again(running, "no")

    async def record_checkpoint(self, running: RunningJob, saved: CheckpointSaved) -> None:
        """Write down a training's checkpoint, before the files go that it replaces.

        Samples that cannot be stored are left out: they only show what it learned.
        """

        async def work(samples: Sequence[Sha256], session: AsyncSession) -> list[Sha256]:
            return await trainings.save_checkpoint(session, running.number, saved, samples)

        try:
            unneeded = await self._write_surely(running, work, saved.samples)
        except OSError as error:
            log.error("Samples could not be stored", job=saved.job, reason=str(error))
            unneeded = await self._write_surely(running, work)
        running.advanced = running.advanced or saved.state is not None
        await self._garbage.remove(unneeded)

    async def _record_training(self, running: RunningJob, trained: Trained) -> str:
        """Write down the LoRA, and remove what only its training needed."""

        async def work(_: Sequence[Sha256], session: AsyncSession) -> tuple[bool, list[Sha256]]:
            now = time.time()
            unneeded = await trainings.complete(session, running.number, trained, now)
            ended = await jobs.finish(
                session, running.number, state="succeeded", seconds=trained.seconds, now=now
            )
            return ended, unneeded

        return await self._end_job(running, "succeeded", work)

    async def _record_pictures(self, running: RunningJob, painted: Painted) -> str:
        """Store the pictures, then end the row."""

        async def work(hashes: Sequence[Sha256], session: AsyncSession) -> tuple[bool, list[Sha256]]:
            pictures = [
                FinishedPicture(
                    place=place,
                    sha256=sha256,
                    seed=picture.seed,
                    width=picture.width,
                    height=picture.height,
                    marks=marked.marks,
                )
                for sha256, (place, picture, marked) in zip(hashes, shown, strict=True)
            ]
            ended = await jobs.finish(
                session,
                running.number,
                state="succeeded",
                seconds=painted.seconds,
                pictures=pictures,
                reason=" ".join(filter(None, (_remark(painted), difference))) or None,
                recipe=self._recipe_key(running, painted),
                now=time.time(),
            )
            if ended:
                await safety_flags.record(session, running.number, painted.pictures, time.time())
            if ended and isinstance(running.request, Paint) and painted.scores:
                await comparisons.save(session, running.number, running.request, painted.scores)
            unneeded = await find_unneeded_adapters(session, running.request)
            return ended, unneeded if ended else [*hashes, *unneeded]

        shown = [
            (place, picture, await self._mark(running, painted.job, place, picture.png))
            for place, picture in enumerate(painted.pictures, start=1)
            if picture.png
        ]
        difference = await self._compare_with_original(running, [marked.png for *_, marked in shown])
        try:
            return await self._end_job(running, "succeeded", work, [marked.png for *_, marked in shown])
        except OSError as error:
            reason = f"The picture was painted, but could not be stored: {error.strerror or error}."
            return await self.finish(running, state="failed", reason=reason)

    def _recipe_key(self, running: RunningJob, painted: Painted) -> str | None:
        """By what these pictures are found again; None where one of them is not for everybody's eyes."""
        flagged = any(picture.flagged for picture in painted.pictures)
        if flagged or not isinstance(running.request, Paint):
            return None
        return recipe_key(running.request, self._identity)

    async def _mark(self, running: RunningJob, job: JobId, place: int, png: bytes) -> "MarkedPicture":
        """The picture with its marks; a sheet of several has no watermark beside those in it."""
        is_sheet = isinstance(running.request, Paint) and bool(running.request.variants)
        return await self._marker.mark(png, f"{job}-{place}", sheet=is_sheet)

    async def _compare_with_original(self, running: RunningJob, pngs: Sequence[bytes]) -> str:
        """How much a picture that was painted again differs from before; "" of all others."""
        if not isinstance(running.request, Paint) or not running.request.repeats or not pngs:
            return ""
        job, _, place = running.request.repeats.partition(":")
        try:
            async with self._database.reading() as session:
                before = await provenance.find_file(session, (JobId(job), int(place)))
            if before is None:
                return f"{running.request.repeats} was deleted meanwhile."
            difference = await self._marker.compare(await self._files.get(before), pngs[0])
        except (OSError, ValueError, CannotStore):
            return ""
        return f"Painted again from {running.request.repeats}. {difference_text(difference.largest)}"

    async def _record_loss(self, running: RunningJob, lost: Lost) -> str:
        """Queue the job again, unless it was alone in the step in which the engine died too often.

        A training that got further is not blamed: over days, engines die of many things.
        """
        self._metrics.losses.labels(lost.died).inc()
        log.warning("Job lost with its engine", job=lost.job, died=lost.died, reason=lost.reason)
        if running.advanced:
            return await self._queue_again(running, "no")
        if lost.died == "alone" and running.strikes + 1 >= ENGINE_DEATHS:
            reason = f"The engine died {ENGINE_DEATHS} times while it worked on this. {lost.reason}"
            return await self.finish(running, state="failed", reason=reason)
        return await self._queue_again(running, lost.died)

    async def _queue_again(self, running: RunningJob, died: Death) -> str:
        await self._write_surely(
            running, lambda _, session: jobs.requeue(session, running.number, time.time(), died=died)
        )
        return "queued"

    async def finish(
        self,
        running: RunningJob,
        *,
        state: Literal["failed", "cancelled"],
        reason: str | None = None,
        left: Sequence[Sha256] = (),
    ) -> str:
        """End a job with nothing to show, charged what it has cost so far, and remove a training's states.

        `left`: files that the engine had stored for it, and that no row knows.
        """

        async def work(_: Sequence[Sha256], session: AsyncSession) -> tuple[bool, list[Sha256]]:
            number, now = running.number, time.time()
            unneeded = (
                [] if isinstance(running.request, Paint) else await trainings.drop_files(session, number)
            )
            ended = await jobs.finish(
                session, number, state=state, reason=reason, seconds=running.spent, now=now
            )
            return ended, [*unneeded, *left, *await find_unneeded_adapters(session, running.request)]

        return await self._end_job(running, state, work)

    async def _end_job(
        self,
        running: RunningJob,
        state: str,
        work: Callable[[Sequence[Sha256], AsyncSession], Awaitable[tuple[bool, list[Sha256]]]],
        contents: Sequence[bytes] = (),
    ) -> str:
        """End a job by `work`, which returns whether it ended and which files are unneeded; the new state."""
        ended, unneeded = await self._write_surely(running, work, contents)
        await self._garbage.remove(unneeded)
        if not ended:
            return HAD_ENDED
        self._metrics.ended.labels(state).inc()
        return state

    async def _write_surely(
        self,
        running: RunningJob,
        work: Callable[[Sequence[Sha256], AsyncSession], Awaitable[T]],
        contents: Sequence[bytes] = (),
    ) -> T:
        """Store the contents, then write with their hashes, again and again until it works.

        The lease holds meanwhile, and a restart would run the job again. Waits while the disk is full.
        Raises OSError when the contents cannot be stored for another reason.
        """
        backoff, tries = Backoff(FIRST_PAUSE, LONGEST_PAUSE), 1
        while True:
            try:
                async with self._garbage.pause():
                    hashes = [await self._files.put(content) for content in contents]
                    return await self._database.write(partial(work, hashes))
            except OSError as error:
                if self._disk.note_error(error):
                    self._on_wait(running, self._disk.reason)
                    await self._disk.wait()
                    continue
                if tries >= STORING_TRIES:
                    raise
                log.error("File could not be stored", reason=str(error), again_in=backoff.seconds)
            except CannotStore as error:
                log.error("Result could not be stored", reason=str(error), again_in=backoff.seconds)
            await asyncio.sleep(backoff.next())
            tries += 1


def _remark(painted: Painted) -> str | None:
    """What is to be said of these pictures: that some are filtered, how many details were painted again."""
    counts = [picture.details for picture in painted.pictures if picture.details is not None]
    mended = f"{pluralize(sum(counts), 'detail')} painted again" if any(counts) else "No detail was found"
    remarks = (safety_flags.sentence(painted.pictures), mended if counts else "")
    return ". ".join(filter(None, remarks)) or None
