"""Starts the engine process, sends it jobs, watches it, and restarts it when it dies."""

import asyncio
import logging
import sys
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import suppress

from bot.engine_client.pending_jobs import EngineUnavailable, InterimUpdate, PendingJobs, Update
from bot.engine_client.process import EngineProcess
from bot.engine_client.watchdog import Watchdog
from bot.pacing.backoff import Backoff
from engine.messages import (
    Cancel,
    Cancelled,
    CannotStart,
    EngineSettings,
    Event,
    Idle,
    JobId,
    JobRequest,
    Ready,
    Sha256,
    Shutdown,
    StepStarted,
    StopTraining,
    TaskRequest,
    stored_files,
)

log = logging.getLogger(__name__)

PROGRAM = (sys.executable, "-m", "engine")
STARTS = 3  # failed ones in a row before the client gives up
FIRST_PAUSE = (
    1.0  # seconds before the next start, doubled each time: a dead process frees its GPU memory late
)
LOADING_SECONDS = 3600.0  # a first start may download 14 GB
STOP_GRACE = 10.0  # seconds to finish the step that runs


class EngineClient:
    """The engine, whichever process that is now. Lives in one event loop.

    `listener` gets all events. `unwanted` gets the files that the engine stored for jobs that had already
    ended, which nobody else learns of.
    """

    def __init__(
        self,
        settings: EngineSettings,
        program: Sequence[str] = PROGRAM,
        listener: Callable[[Event], None] | None = None,
        unwanted: Callable[[Sequence[Sha256]], None] | None = None,
    ) -> None:
        self._settings = settings
        self._program = program
        self._listener = listener
        self._unwanted = unwanted
        self._jobs = PendingJobs()
        self._step_jobs: tuple[JobId, ...] = ()
        self._process: EngineProcess | None = None
        self._watchdog = Watchdog(self._kill)
        self._ready: Ready | None = None
        self._takes_jobs = asyncio.Event()
        self._last_event = 0.0
        self.starts = 0
        self._cannot_start = ""
        self._refusal = "The engine was not started."
        self._first_ready: asyncio.Future[Ready]
        self._stopping = asyncio.Event()
        self._supervisor: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """The process id of the engine, while it runs."""
        return self._process.pid if self._process else None

    @property
    def ready(self) -> bool:
        """Whether there is a process now that takes jobs."""
        return self._ready is not None

    @property
    def silent(self) -> float | None:
        """Seconds since the last event of an engine that owes an answer; None when it owes none."""
        return time.monotonic() - self._last_event if self._watchdog.armed and self.ready else None

    @property
    def overdue(self) -> bool:
        """Whether more than half of the time has passed after which the engine counts as hung."""
        return self.ready and self._watchdog.share_passed > 0.5

    async def wait_until_ready(self) -> None:
        """Wait until there is a process that takes jobs, however long that takes."""
        await self._takes_jobs.wait()

    async def wait_until_given_up(self) -> str:
        """Wait until the engine is not restarted any more; returns why."""
        if self._supervisor is not None:
            await asyncio.wait({self._supervisor})
        return self._refusal

    async def start(self) -> Ready:
        """Start the engine and wait until it takes jobs. Raises EngineUnavailable with the reason."""
        self._stopping.clear()
        self._refusal = ""
        self._first_ready = asyncio.get_running_loop().create_future()
        self._supervisor = asyncio.create_task(self._run())
        return await self._first_ready

    async def work(
        self, request: JobRequest | TaskRequest, *, finishing: bool = False
    ) -> AsyncGenerator[Update]:
        """The updates of this job up to its final one; leaving early cancels it.

        finishing: a training that is to end at once, as by `finish`.
        Raises EngineUnavailable when there is no engine and none will come.
        """
        if self._refusal:
            raise EngineUnavailable(self._refusal)
        pending = self._jobs.add(request)
        pending.finishing = finishing
        self._send_jobs()
        try:
            while True:
                update = await pending.updates.get()
                if isinstance(update, EngineUnavailable):
                    raise update
                yield update
                if not isinstance(update, InterimUpdate):
                    return
        finally:
            if self._jobs.get(request.job) is pending:
                self.cancel(request.job)
                self._jobs.drop(request.job)

    def cancel(self, job: JobId) -> None:
        """Stop this job; its updates then end with Cancelled, or with what ended it just before."""
        pending = self._jobs.get(job)
        if pending is not None and pending.sent and self._process is not None:
            self._process.send(Cancel(job=job))
        else:
            self._jobs.deliver(Cancelled(job=job))

    def finish(self, job: JobId) -> None:
        """Let this training end after the current step with what it has: Trained is its last update."""
        pending = self._jobs.get(job)
        if pending is None or pending.finishing:
            return
        pending.finishing = True
        if pending.sent and self._process is not None:
            self._process.send(StopTraining(job=job))

    async def stop(self) -> None:
        """Stop the engine: at once when idle, else after the current step, by force after STOP_GRACE."""
        if self._supervisor is None:
            return
        self._stopping.set()
        if self._process is not None and self._ready is not None:
            self._process.send(Shutdown())
            await asyncio.wait({self._supervisor}, timeout=STOP_GRACE)
        self._kill()
        await self._supervisor

    async def _run(self) -> None:
        """Keep an engine running; however that ends, nobody is left waiting."""
        refusal = "The engine is not supervised any more."
        try:
            refusal = await self._supervise()
        finally:
            self._refusal = refusal
            self._jobs.refuse(EngineUnavailable(refusal))
            if not self._first_ready.done():
                self._first_ready.set_exception(EngineUnavailable(refusal))

    async def _supervise(self) -> str:
        """Run one process after another, until stopped or until too many could not start; returns why."""
        failures, ever_ready = 0, False
        backoff = Backoff(FIRST_PAUSE)
        while True:
            ready, ending = await self._run_process()
            failures, ever_ready = (0, True) if ready else (failures + 1, ever_ready)
            if self._stopping.is_set():
                return "The engine was stopped."
            if self._cannot_start and not ever_ready:  # a mistake in the settings does not fix itself
                return self._cannot_start
            if failures == STARTS:
                return f"The engine failed to start {STARTS} times in a row. {ending}"
            log.error("Engine ended: %s", ending)
            if not failures:
                backoff.reset()
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(backoff.next()):
                    await self._stopping.wait()

    async def _run_process(self) -> tuple[bool, str]:
        """Start a process and handle its events until it ends: whether it took jobs, and how it ended."""
        self._cannot_start, self._watchdog.expired_after = "", None
        try:
            process = self._process = await EngineProcess.start(self._program)
        except OSError as error:
            return False, f"The engine could not be started: {error.strerror}."
        self.starts += 1
        process.send(self._settings)
        self._watchdog.arm(LOADING_SECONDS)
        if self._stopping.is_set():
            process.kill()
        try:
            while (event := await process.receive()) is not None:
                self._handle(event)
        except asyncio.CancelledError:
            process.kill()
            raise
        finally:
            ready, self._ready, self._process = self._ready is not None, None, None
            self._takes_jobs.clear()
            self._watchdog.disarm()
            ending = self._end_reason(await process.end(), ready=ready)
            self._jobs.lose_sent(self._step_jobs, ending)
            self._step_jobs = ()
        return ready, ending

    def _handle(self, event: Event) -> None:
        self._last_event = time.monotonic()
        if self._listener is not None:
            self._listener(event)
        match event:
            case CannotStart():
                self._cannot_start = event.reason
            case Ready():
                self._ready = event
                self._takes_jobs.set()
                if not self._first_ready.done():
                    self._first_ready.set_result(event)
                self._send_jobs()
            case StepStarted():
                self._step_jobs = event.jobs
                self._watchdog.arm(event.deadline)
            case Idle():
                self._step_jobs = ()
            case _:
                if (
                    not self._jobs.deliver(event)
                    and self._unwanted is not None
                    and (left := stored_files(event))
                ):
                    self._unwanted(left)
                self._watchdog.restart()
        if self._ready is not None and not self._jobs.is_any_sent():
            self._watchdog.disarm()  # it owes no answer, and may be silent

    def _send_jobs(self) -> None:
        if self._process is None or self._ready is None:
            return
        for pending in self._jobs.take_unsent():
            self._process.send(pending.request)
            if pending.finishing:
                self._process.send(StopTraining(job=pending.request.job))
            if not self._watchdog.armed:
                self._last_event = time.monotonic()
                self._watchdog.arm(self._settings.deadline_floor_seconds)

    def _end_reason(self, how: str, *, ready: bool) -> str:
        if self._watchdog.expired_after is not None:
            what = "finish a step" if ready else "load its model"
            return f"The engine did not {what} within {self._watchdog.expired_after:g} s and was killed."
        return self._cannot_start or f"The engine {how}."

    def _kill(self) -> None:
        if self._process is not None:
            self._process.kill()
