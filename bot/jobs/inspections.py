"""Inspections: the engine checks the pictures of drafts of trainings, and reports on them."""

import asyncio
import io
import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from contextlib import aclosing

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from bot.engine_client.client import EngineClient
from bot.engine_client.pending_jobs import EngineUnavailable, FinalUpdate, InterimUpdate, Lost
from bot.garbage_collection import GarbageCollector
from bot.jobs.claim import UNREADABLE
from bot.jobs.progress import JobProgress, LiveProgress
from engine.messages import (
    Failed,
    Inspect,
    Inspected,
    JobId,
    Manifest,
    Sha256,
    Train,
    TrainingProgress,
    add_captions,
    read_manifest,
    write_manifest,
)
from storage import jobs, trainings, views
from storage.database import CannotStore, Database
from storage.files import Files
from storage.jobs import ENGINE_DEATHS
from storage.training_captions import save_captions
from storage.views import JobView

log = structlog.get_logger(__name__)

PAUSE = 5.0  # seconds before what could not be read or stored is tried again


class Inspections:
    """Has the drafts without a report inspected, one after another; after a restart too."""

    def __init__(
        self,
        *,
        database: Database,
        files: Files,
        garbage: GarbageCollector,
        engine: EngineClient,
        progress: LiveProgress,
        touch: Callable[[Collection[JobId]], None],
    ) -> None:
        self._database = database
        self._files = files
        self._garbage = garbage
        self._engine = engine
        self._progress = progress
        self._touch = touch
        self._woken = asyncio.Event()
        self._deaths: Counter[JobId] = Counter()
        self._current: JobId | None = None

    def wake(self) -> None:
        """Look for drafts again: there is a new one."""
        self._woken.set()

    @property
    def jobs(self) -> Collection[JobId]:
        """The draft that is being inspected."""
        return () if self._current is None else (self._current,)

    def cancel(self, job: JobId) -> None:
        """Stop inspecting this draft, which is gone."""
        if job == self._current:
            self._engine.cancel(job)

    async def run(self) -> None:
        """Inspect drafts, for ever."""
        self.wake()
        while True:
            await self._woken.wait()
            await self._engine.wait_until_ready()
            self._woken.clear()
            try:
                while (draft := await self._next()) is not None:
                    await self._inspect(draft)
            except EngineUnavailable:
                self.wake()
            except Exception as error:
                expected = isinstance(error, CannotStore | OSError)
                log.error("Draft could not be inspected", exc_info=not expected, reason=str(error))
                await asyncio.sleep(PAUSE)
                self.wake()

    async def _next(self) -> JobView | None:
        """The oldest draft without a report."""
        async with self._database.reading() as session:
            waiting = [JobId(job.id) for job in await trainings.drafts_without_report(session)]
            return next(iter(await views.views(session, waiting[:1])), None)

    async def _inspect(self, draft: JobView) -> None:
        """Have it inspected once, and record the result."""
        if not isinstance(draft.request, Train):
            await self._fail(draft, UNREADABLE)
            return
        self._current = draft.id
        try:
            async with aclosing(self._engine.work(Inspect(training=draft.request))) as updates:
                async for update in updates:
                    if isinstance(update, TrainingProgress):
                        self._show(update)
                    elif not isinstance(update, InterimUpdate):
                        await self._record(draft, update)
        finally:
            self._current = None
            self._progress.forget(draft.id)

    def _show(self, update: TrainingProgress) -> None:
        """Have the card say how many of the pictures are checked."""
        progress = JobProgress()
        progress.set_training(update)
        self._progress.start(update.job, progress)
        self._touch([update.job])

    async def _record(self, draft: JobView, update: FinalUpdate) -> None:
        """Write down what came of it; a draft that is left without a report is inspected again."""
        match update:
            case Inspected():
                await self._save_report(draft, update)
            case Failed():
                if not update.expected:
                    log.error("Inspection failed", job=draft.id, reason=update.reason)
                await self._fail(draft, update.reason)
            case Lost():
                log.warning("Inspection lost with its engine", job=draft.id, reason=update.reason)
                self._deaths[draft.id] += update.died == "alone"
                if self._deaths[draft.id] >= ENGINE_DEATHS:
                    await self._fail(
                        draft, f"The engine died {ENGINE_DEATHS} times while inspecting these pictures."
                    )

    async def _save_report(self, draft: JobView, report: Inspected) -> None:
        async with self._garbage.pause():
            sheet = await self._files.put(report.sheet)
            manifest = await self._describe_manifest(draft, report.captions)

            async def work(session: AsyncSession) -> list[Sha256]:
                unneeded: list[Sha256] = []
                if report.captions:
                    unneeded = await save_captions(session, draft.number, report.captions, manifest)
                return unneeded + await trainings.save_report(
                    session,
                    draft.number,
                    notes=report.notes,
                    problems=report.problems,
                    steps=report.steps,
                    seconds=report.seconds,
                    parameters=report.parameters,
                    sheet=sheet,
                    describable=report.describable,
                    used=report.used,
                )

            unneeded = await self._database.write(work)
        await self._garbage.remove(unneeded)
        self._finish(draft)

    async def _describe_manifest(self, draft: JobView, captions: Sequence[str]) -> Manifest | None:
        """A new manifest of the draft's pictures with these captions, if it has one. Raises OSError."""
        request = draft.request
        if not captions or not isinstance(request, Train) or request.manifest is None:
            return None
        examples = read_manifest(await self._files.get(request.manifest.sha256))
        content = io.BytesIO()
        pictures = write_manifest(content, add_captions(examples, captions))
        return Manifest(sha256=await self._files.put(content.getvalue()), pictures=pictures)

    async def _fail(self, draft: JobView, reason: str) -> None:
        await self._database.write(
            lambda session: jobs.finish(
                session, draft.number, state="failed", reason=reason, seconds=0.0, now=time.time()
            )
        )
        self._finish(draft)

    def _finish(self, draft: JobView) -> None:
        self._deaths.pop(draft.id, None)
        self._touch([draft.id])
