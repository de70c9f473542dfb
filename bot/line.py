"""The line of waiting jobs: who stands where, and for how long still."""

import asyncio
from collections.abc import Callable, Collection, Mapping

from bot.live import Live
from bot.pace import Pace
from commands.words import duration
from engine.messages import JobId
from storage import jobs, views
from storage.database import Database
from storage.jobs import TYPICAL

LENGTH = 200  # places that are told; who stands further back waits without one
NEAR = 20  # places that are always up to date; further back they are told as often as these would change
AT_ONCE = 20  # rows read in one go: each takes the event loop a moment

Told = tuple[int, str, str]


class Line:
    """Keeps the waiting jobs' places in `live`, and touches the cards of those that look different."""

    def __init__(
        self, database: Database, live: Live, pace: Pace, touch: Callable[[Collection[JobId]], None]
    ) -> None:
        self._database = database
        self._live = live
        self._pace = pace
        self._touch = touch
        self._told: dict[JobId, Told] = {}
        self._seconds: dict[JobId, float] = {}
        self._far_again = 0.0  # when those far back are told again, on the event loop's clock
        self.length = 0

    def joins(self, job: JobId, seconds: float) -> None:
        """A job that was just filed, and the engine seconds that it will take."""
        self._seconds[job] = seconds

    async def look(self, inside: Mapping[JobId, float], waiting: Callable[[], str]) -> None:
        """Tell everybody their place; `inside` are the engine seconds left of the jobs in the engine."""
        async with self._database.reading() as session:
            self.length = await jobs.queued_count(session)
            places = await jobs.places(session, LENGTH, seconds=self._typical())
            unknown = [job for job, _ in places if job not in self._seconds]
            for first in range(0, len(unknown), AT_ONCE):
                for view in await views.views(session, unknown[first : first + AT_ONCE]):
                    self._seconds[view.id] = self._pace.seconds(view.request) if view.request else 0.0
        self._tell(
            [(job, place) for job, place in places if job not in inside], sum(inside.values()), waiting()
        )
        self._forget({job for job, _ in places}, inside)

    def _tell(self, places: Collection[tuple[JobId, int]], ahead: float, waiting: str) -> None:
        changed, now = [], asyncio.get_running_loop().time()
        far_too = now >= self._far_again
        if far_too:
            self._far_again = now + len(places) / NEAR
        for job, place in sorted(places, key=lambda one: one[1]):
            ahead += self._seconds.get(job, 0.0)
            told = (place, duration(ahead), waiting)
            known = self._told.get(job) if self._live.get(job) else None
            if known is None or (known != told and (far_too or place <= NEAR)):
                self._told[job] = told
                self._live.queued(job, place=place, left=ahead, waiting=waiting)
                changed.append(job)
        self._touch(changed)

    def _typical(self) -> float:
        """Engine seconds of a job in the line."""
        return sum(self._seconds.values()) / len(self._seconds) if self._seconds else TYPICAL

    def _forget(self, standing: Collection[JobId], inside: Collection[JobId]) -> None:
        for job in [job for job in self._told if job not in standing]:
            del self._told[job]
            if job not in inside:
                self._live.forget(job)
        for job in [job for job in self._seconds if job not in standing]:
            del self._seconds[job]
