"""How a job ended in the engine, written down for certain: pictures first, then the row."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Literal, TypeVar

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from bot import leftovers
from bot.filed import EngineUnavailable, Lost
from bot.metrics import Metrics
from bot.pace import Pace
from bot.running import Running
from engine.messages import Cancelled, Failed, Painted, Sha256
from storage import jobs
from storage.database import CannotStore, Database
from storage.files import Files
from storage.jobs import ENGINE_DEATHS, Death, Finished

log = structlog.get_logger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 30.0  # seconds before what could not be stored is tried again, doubled
STORING_TRIES = 5  # of a file, before its job is failed
HAD_ENDED = "had ended"

T = TypeVar("T")
Ended = Literal["succeeded", "failed", "cancelled"]
Ending = Painted | Failed | Cancelled | Lost | EngineUnavailable


class Endings:
    """Tells the table how jobs ended, once each, however often that has to be tried."""

    def __init__(self, database: Database, files: Files, pace: Pace, metrics: Metrics) -> None:
        self._database = database
        self._files = files
        self._pace = pace
        self._metrics = metrics

    async def settle(self, running: Running, ending: Ending) -> str:
        """Write down how it ended; the state that it has now."""
        match ending:
            case Painted():
                self._pace.learn(running.request, ending.seconds)
                return await self._keep(running, ending)
            case Failed():
                if not ending.expected:
                    log.error("the engine failed a job", job=ending.job, reason=ending.reason)
                return await self.finish(running, state="failed", reason=ending.reason)
            case Cancelled():
                return await self.finish(running, state="cancelled")
            case Lost():
                return await self._lost(running, ending)
            case EngineUnavailable():
                return await self._queue_again(running, "no")

    async def _keep(self, running: Running, painted: Painted) -> str:
        """The pictures are stored before the row says so."""
        try:
            pictures = [
                Finished(
                    place=place,
                    sha256=await self._stored(picture.png),
                    seed=picture.seed,
                    width=picture.width,
                    height=picture.height,
                )
                for place, picture in enumerate(painted.pictures, start=1)
            ]
        except OSError as error:
            reason = f"the picture was painted, but could not be stored: {error.strerror or error}."
            return await self.finish(running, state="failed", reason=reason)
        state = await self.finish(running, state="succeeded", seconds=painted.seconds, pictures=pictures)
        if state == HAD_ENDED:
            await leftovers.remove(self._database, self._files, [picture.sha256 for picture in pictures])
        return state

    async def _stored(self, png: bytes) -> Sha256:
        pause = FIRST_PAUSE
        for _ in range(STORING_TRIES - 1):
            try:
                return await self._files.put(png)
            except OSError as error:
                log.error("a picture could not be stored", reason=str(error), again_in=pause)
                await asyncio.sleep(pause)
                pause *= 2
        return await self._files.put(png)

    async def _lost(self, running: Running, lost: Lost) -> str:
        """Back into the queue, unless it was alone in the step in which too many engines died."""
        self._metrics.losses.labels(lost.died).inc()
        log.warning("job lost with its engine", job=lost.job, died=lost.died, reason=lost.reason)
        if lost.died == "alone" and running.strikes + 1 >= ENGINE_DEATHS:
            reason = f"{ENGINE_DEATHS} engines died while they painted this; lastly, {lost.reason}"
            return await self.finish(running, state="failed", reason=reason)
        return await self._queue_again(running, lost.died)

    async def _queue_again(self, running: Running, died: Death) -> str:
        await self._surely(lambda session: jobs.requeue(session, running.number, time.time(), died=died))
        return "queued"

    async def finish(
        self,
        running: Running,
        *,
        state: Ended,
        reason: str | None = None,
        seconds: float | None = None,
        pictures: Sequence[Finished] = (),
    ) -> str:
        """Without `seconds`, what it has cost so far is charged."""
        charged = running.expected * running.done if seconds is None else seconds

        async def work(session: AsyncSession) -> bool:
            return await jobs.finish(
                session,
                running.number,
                state=state,
                reason=reason,
                seconds=charged,
                pictures=pictures,
                now=time.time(),
            )

        if not await self._surely(work):
            return HAD_ENDED
        self._metrics.ended.labels(state).inc()
        return state

    async def _surely(self, work: Callable[[AsyncSession], Awaitable[T]]) -> T:
        """Write until it is written; meanwhile the lease holds, and a restart would begin the job anew."""
        pause = FIRST_PAUSE
        while True:
            try:
                return await self._database.write(work)
            except CannotStore as error:
                log.error("an end could not be stored", reason=str(error), again_in=pause)
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
