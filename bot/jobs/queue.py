"""The queue: claims jobs from the table by fair share and runs as many in the engine as fit.

Pictures and trainings are queued apart: beside the pictures, one training runs at a time.
"""

import asyncio
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import aclosing, suppress

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from bot.config import QueueSettings
from bot.engine_client.client import EngineClient
from bot.engine_client.pending_jobs import EngineUnavailable
from bot.garbage_collection import GarbageCollector
from bot.jobs.claim import ClaimedJobs, claim_pictures, claim_training
from bot.jobs.disk_space import DiskSpace
from bot.jobs.engine_time import EngineTime
from bot.jobs.estimates import Estimates, shared_seconds
from bot.jobs.positions import QueuePositions
from bot.jobs.progress import LiveProgress
from bot.jobs.results import Result, Results
from bot.jobs.running_job import RunningJob
from bot.metrics import Metrics
from bot.pacing.backoff import Backoff
from bot.provenance.marking import Marker
from engine.messages import Cancelled, CheckpointSaved, Event, JobId, Paint, Progress, Train, TrainingProgress
from storage import jobs
from storage.database import CannotStore, Database
from storage.files import Files

log = structlog.get_logger(__name__)

RETRY_SECONDS = 60.0  # between two starts of an engine that could not be started
POSITION_SECONDS = 1.0  # between two updates of all positions while jobs run
CARD_SECONDS = 0.5  # between two updates of a training's card: its steps may be far quicker
LEAST_SHARE = (
    0.05  # of the engine's time that pictures have beside a training, for telling how long they take
)
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 30.0  # before jobs that could not be claimed are tried again, doubled


class Queue:
    """Claims jobs from the table, has the engine work on them, and writes down how they end."""

    def __init__(
        self,
        *,
        database: Database,
        files: Files,
        garbage: GarbageCollector,
        engine: EngineClient,
        progress: LiveProgress,
        estimates: Estimates,
        touch: Callable[[Collection[JobId]], None],
        metrics: Metrics,
        settings: QueueSettings,
        largest_batch: int,
        training_share: float,
        marker: Marker,
        identity: str = "",
    ) -> None:
        """`identity`: what of the engine decides about pixels, for keys of recipes."""
        self._database = database
        self._engine = engine
        self._progress = progress
        self._estimates = estimates
        self._touch = touch
        self._metrics = metrics
        self._lease = settings.lease_seconds
        self._largest = largest_batch
        self._slowed = 1 / max(1 - training_share, LEAST_SHARE)  # by so much, beside a training
        self._disk = DiskSpace(files)
        self._results = Results(
            database, files, garbage, self._disk, estimates, metrics, marker, identity, self._note_waiting
        )
        self._positions = QueuePositions(database, progress, estimates, touch)
        self._running: dict[JobId, RunningJob] = {}
        self._engine_time = EngineTime(self._running)
        self._filling = False
        self._unwanted: set[JobId] = set()  # cancelled while jobs were being claimed, perhaps these
        self._woken = asyncio.Event()
        self._positions_changed = asyncio.Event()
        self._tasks: dict[asyncio.Task[None], RunningJob] = {}
        self._services: list[asyncio.Task[None]] = []
        self._hurried = asyncio.Event()
        self.trouble = ""  # why there is no engine, and none will come soon

    @property
    def length(self) -> int:
        """Queued jobs that paint, at the last update of the positions."""
        return self._positions.length

    @property
    def running(self) -> int:
        """Jobs that have not ended, in the engine or on their way out of it."""
        return len(self._running)

    @property
    def held(self) -> str:
        """Why no job starts although there is an engine, in a sentence; "" when jobs do start."""
        return self._disk.reason

    @property
    def jobs(self) -> Collection[JobId]:
        """The jobs that have not ended, in the engine or on their way out of it."""
        return self._running

    async def start(self) -> None:
        """Queue again what ran when the last bot ended, and start; the engine loads in the background."""
        await self._requeue_running()
        services = (
            self._keep_engine_running(),
            self._feed(),
            self._renew_leases(),
            self._watch_positions(),
            self._disk.watch(),
        )
        self._services = [asyncio.create_task(service) for service in services]
        self.wake()

    def observe(self, event: Event) -> None:
        """Take in an event of the engine, which tells what jobs cost."""
        self._engine_time.observe(event)

    def add(self, job: JobId, request: Paint) -> None:
        """Take in a new job, whose row was just written."""
        self._positions.add(job, self._estimates.seconds(request))
        self.wake()

    def wake(self) -> None:
        """Look for jobs again: the queue has changed, or there is room in the engine."""
        self._woken.set()
        self._positions_changed.set()

    def cancel(self, job: JobId) -> None:
        """Stop a job whose row says that it is cancelled."""
        self._metrics.ended.labels("cancelled").inc()
        if (running := self._running.get(job)) is not None:
            running.unwanted = True
            if running.inside:
                self._engine.cancel(job)
        elif self._filling:
            self._unwanted.add(job)

    def finish(self, job: JobId) -> None:
        """Let this training end now with what it has."""
        if job in self._running:
            self._engine.finish(job)

    def engine_seconds(self, job: JobId) -> float:
        """About how many engine seconds a running job has cost so far."""
        running = self._running.get(job)
        return running.spent if running is not None else 0.0

    async def stop(self, grace: float) -> None:
        """Claim no more, let pictures end within `grace` seconds, queue the rest again, stop the engine.

        A training takes far longer, and resumes from its newest saved state.
        """
        await _cancel_all(self._services)
        with suppress(TimeoutError):
            async with asyncio.timeout(grace):
                await self._wait_for_paintings()
        await _cancel_all(list(self._tasks))
        await self._engine.stop()
        with suppress(CannotStore):  # the next start does it too
            await self._requeue_running()

    def hurry(self) -> None:
        """End the grace that stop() gives."""
        self._hurried.set()

    async def _wait_for_paintings(self) -> None:
        hurried = asyncio.create_task(self._hurried.wait())
        try:
            while (painting := self._painting()) and not hurried.done():
                await asyncio.wait({*painting, hurried}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            hurried.cancel()

    def _painting(self) -> list[asyncio.Task[None]]:
        return [task for task, running in self._tasks.items() if isinstance(running.request, Paint)]

    async def _requeue_running(self) -> None:
        """Queue all running rows again, none of which is in an engine; no engine's death is counted."""

        async def work(session: AsyncSession) -> list[JobId]:
            orphans = await jobs.list_running(session)
            for orphan in orphans:
                await jobs.requeue(session, orphan.number, time.time())
            return [JobId(orphan.id) for orphan in orphans]

        orphans = await self._database.write(work)
        for job in orphans:
            self._progress.forget(job)
            log.info("Job queued again", job=job)
        self._touch(orphans)

    async def _keep_engine_running(self) -> None:
        """Start the engine; when it cannot be kept running note why, and try again every so often."""
        while True:
            try:
                ready = await self._engine.start()
                self.trouble = ""
                self._estimates.use_engine(ready)
                log.info(
                    "Engine ready", model=ready.model, device=ready.device, seconds=round(ready.seconds, 1)
                )
                self.wake()
                self.trouble = await self._engine.wait_until_given_up()
            except EngineUnavailable as refusal:
                self.trouble = str(refusal)
            log.error("No engine", reason=self.trouble, again_in=RETRY_SECONDS)
            self._positions_changed.set()
            await asyncio.sleep(RETRY_SECONDS)

    async def _feed(self) -> None:
        """Whenever there is room in the engine, fill it."""
        backoff = Backoff(FIRST_PAUSE, LONGEST_PAUSE)
        while True:
            await self._woken.wait()
            await self._engine.wait_until_ready()
            await self._disk.wait()
            self._woken.clear()
            try:
                await self._fill()
                backoff.reset()
            except Exception as error:
                log.error(
                    "No job could be claimed", exc_info=not isinstance(error, CannotStore), reason=str(error)
                )
                await asyncio.sleep(backoff.next())
                self._woken.set()

    def _free_places(self) -> int:
        """How many more pictures the engine can take now."""
        inside = [running for running in self._running.values() if running.inside]
        if any(running.solo for running in inside):
            return 0
        return max(0, self._largest - sum(running.pictures for running in inside))

    def _is_training(self) -> bool:
        """Whether a training is in the engine."""
        return any(
            running.inside and isinstance(running.request, Train) for running in self._running.values()
        )

    async def _fill(self) -> None:
        """Claim as many of the next jobs as fit, and start them."""
        self._filling = True
        try:
            for claimed in await self._database.write(self._claim):
                self._start_jobs(claimed)
        finally:
            self._filling = False
            self._unwanted.clear()

    async def _claim(self, session: AsyncSession) -> Sequence[ClaimedJobs]:
        claimed = []
        if (room := self._free_places()) > 0:
            claimed.append(await claim_pictures(session, room, self._largest, self._estimates, self._lease))
        if not self._is_training():
            claimed.append(await claim_training(session, self._lease))
        return claimed

    def _start_jobs(self, claimed: ClaimedJobs) -> None:
        for running in claimed.taken:
            self._start_job(running)
        self._metrics.ended.labels("failed").inc(len(claimed.unreadable))
        self._touch(claimed.unreadable)

    def _start_job(self, running: RunningJob) -> None:
        job = running.request.job
        running.unwanted = job in self._unwanted
        self._running[job] = running
        self._metrics.wait.observe(max(0.0, time.time() - running.filed_at))
        self._progress.start(job, running.progress)
        self._touch([job])
        task = asyncio.create_task(self._run(running), name=f"job {job}")
        self._tasks[task] = running
        task.add_done_callback(self._tasks.pop)

    async def _run(self, running: RunningJob) -> None:
        """Run one job in the engine and write down its result."""
        job = running.request.job
        started = time.monotonic()
        try:
            result = await self._run_in_engine(running)
            running.inside = False
            self.wake()
            state = await self._results.record(running, result)
            log.info("Job ended", job=job, state=state, seconds=round(time.monotonic() - started, 2))
        except Exception:
            log.exception("Job failed unexpectedly", job=job)
            await self._results.finish(
                running, state="failed", reason=f"Something went wrong. The log has it under {job}."
            )
        finally:
            del self._running[job]
            self._progress.forget(job)
            self._touch([job])
            self.wake()

    async def _run_in_engine(self, running: RunningJob) -> Result:
        """Have the engine work on a job, and show its progress; how it ended."""
        job = running.request.job
        if running.unwanted:
            return Cancelled(job=job)
        try:
            async with aclosing(self._engine.work(running.request, finishing=running.finishing)) as updates:
                async for update in updates:
                    match update:
                        case Progress():
                            self._note_progress(running, update)
                        case TrainingProgress():
                            self._note_training(running, update)
                        case CheckpointSaved():
                            await self._results.record_checkpoint(running, update)
                            self._touch([job])
                        case _:
                            return update
        except EngineUnavailable as refusal:
            return refusal
        raise AssertionError(f"job {job} has no final update")

    def _note_waiting(self, running: RunningJob, reason: str) -> None:
        """Show that a job is done in the engine, and cannot be stored yet."""
        running.progress.wait_for(f"done, waiting for the disk. {reason}")
        self._touch([running.request.job])
        self._positions_changed.set()

    def _note_progress(self, running: RunningJob, update: Progress) -> None:
        now, progress = time.monotonic(), running.progress
        progress.set_steps(update)
        running.first = running.first or (update.step, now)
        step, at = running.first
        if update.step > step:
            progress.left = (now - at) / (update.step - step) * (update.steps - update.step)
        else:
            others = self._seconds_left_of_others(update.job)
            progress.left = shared_seconds(running.seconds_left, others)
        self._touch([update.job])

    def _note_training(self, running: RunningJob, update: TrainingProgress) -> None:
        now, changed = time.monotonic(), running.progress.phase != update.phase
        running.progress.set_training(update)
        if now >= running.show_again or changed:
            running.show_again = now + CARD_SECONDS
            self._touch([update.job])

    def _seconds_left_of_others(self, job: JobId) -> Sequence[float]:
        return [left for other, left in self._seconds_left(Paint).items() if other != job]

    async def _renew_leases(self) -> None:
        """Renew the leases of running jobs, and queue jobs again whose leases have expired."""
        while True:
            await asyncio.sleep(self._lease / 4)
            try:
                orphans = await self._database.write(self._renew_and_requeue)
            except CannotStore as error:
                log.error("Leases could not be renewed", reason=str(error))
                continue
            self._touch(orphans)
            if orphans:
                self.wake()

    async def _renew_and_requeue(self, session: AsyncSession) -> list[JobId]:
        now = time.time()
        steps = {
            running.number: (running.progress.step, running.progress.steps)
            for running in self._running.values()
        }
        await jobs.heartbeat(session, steps, now + self._lease)
        orphans = [
            job
            for job in await jobs.list_expired(session, now, longest=self._lease)
            if job.number not in steps
        ]
        for orphan in orphans:
            await jobs.requeue(session, orphan.number, now)
        return [JobId(orphan.id) for orphan in orphans]

    async def _watch_positions(self) -> None:
        """Update positions and estimates when the queue changes, and every so often while jobs wait."""
        while True:
            with suppress(TimeoutError):  # not wait_for, which until Python 3.12 may forget a cancellation
                async with asyncio.timeout(POSITION_SECONDS if self._positions.is_anybody_waiting else None):
                    await self._positions_changed.wait()
            await self._database.wait_for_writers(POSITION_SECONDS / 4)
            self._positions_changed.clear()
            try:
                await self._positions.update(
                    self._seconds_left(Paint),
                    self._seconds_left(Train),
                    self._wait_reason,
                    slowed=self._slowed if self._is_training() else 1.0,
                )
            except Exception:
                log.exception("Positions could not be read")
            self._metrics.queued.set(self._positions.length)
            self._metrics.running.set(len(self._running))
            await asyncio.sleep(POSITION_SECONDS / 4)

    def _seconds_left(self, kind: type[Paint | Train]) -> Mapping[JobId, float]:
        return {
            job: running.seconds_left
            for job, running in self._running.items()
            if isinstance(running.request, kind)
        }

    def _wait_reason(self) -> str:
        if self.trouble:
            return f"waiting for the engine. {self.trouble}"
        if self._disk.reason:
            return f"waiting for the disk. {self._disk.reason}"
        return "" if self._engine.ready else "waiting for the engine to start"


async def _cancel_all(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
