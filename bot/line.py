"""The line of waiting jobs: who stands where, and for how long still."""

from collections.abc import Callable, Collection, Mapping

from bot.live import Live
from bot.pace import Pace
from commands.words import duration
from engine.messages import JobId
from storage import jobs, views
from storage.database import Database
from storage.jobs import TYPICAL

LENGTH = 200  # places that are told; who stands further back is told so without a place

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
        self.length = 0

    async def look(self, inside: Mapping[JobId, float], waiting: Callable[[], str]) -> None:
        """Tell everybody their place; `inside` are the engine seconds left of the jobs in the engine."""
        async with self._database.reading() as session:
            self.length = await jobs.queued_count(session)
            places = await jobs.places(session, LENGTH, seconds=self._typical())
            unknown = [job for job, _ in places if job not in self._seconds]
            for view in await views.views(session, unknown) if unknown else ():
                self._seconds[view.id] = self._pace.seconds(view.request) if view.request else 0.0
        self._tell(
            [(job, place) for job, place in places if job not in inside], sum(inside.values()), waiting()
        )
        self._forget({job for job, _ in places}, inside)

    def _tell(self, places: Collection[tuple[JobId, int]], ahead: float, waiting: str) -> None:
        changed = []
        for job, place in sorted(places, key=lambda one: one[1]):
            ahead += self._seconds.get(job, 0.0)
            told = (place, duration(ahead), waiting)
            if self._told.get(job) != told:
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
