"""The two lines of waiting jobs: who stands where, and for how long still."""

import asyncio
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

from bot.jobs.estimates import Pace
from bot.jobs.progress import Live
from commands.syntax.numbers import duration
from engine.messages import JobId, Paint
from storage import jobs, queue_overrides, views
from storage.database import Database
from storage.jobs import TYPICAL
from storage.views import JobView

LENGTH = 200  # places that are told; who stands further back waits without one
NEAR = 20  # places that are always up to date; further back they are told as often as these would change
PAUSED = "until an admin resumes the queue"
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
        self._trainings: set[JobId] = set()
        self._far_again = 0.0  # when those far back are told again, on the event loop's clock
        self.length = 0  # of the line for pictures

    @property
    def anybody(self) -> bool:
        """Whether somebody stood in a line when they were last looked at."""
        return bool(self.length or self._trainings)

    def joins(self, job: JobId, seconds: float) -> None:
        """A job that was just filed, and the engine seconds that it will take."""
        self._seconds[job] = seconds

    async def look(
        self,
        painting: Mapping[JobId, float],
        training: Mapping[JobId, float],
        waiting: Callable[[], str],
        *,
        slowed: float,
    ) -> None:
        """Tell everybody their place, given the engine seconds left of the jobs in the engine.

        Pictures take `slowed` times as long as their engine seconds.
        """
        async with self._database.reading() as session:
            self.length = await jobs.count_queued(session)
            pictures = await jobs.positions(session, LENGTH, seconds=self._typical())
            trainings = await jobs.training_positions(session)
            held = [
                job
                for job in await queue_overrides.list_held(session, LENGTH)
                if job not in {**painting, **training}
            ]
            self._trainings = {job for job, _ in trainings}
            standing = [job for job, _ in (*pictures, *trainings)]
            unknown = [job for job in standing if job not in self._seconds]
            for first in range(0, len(unknown), AT_ONCE):
                for view in await views.views(session, unknown[first : first + AT_ONCE]):
                    self._seconds[view.id] = self._expected(view)
        inside = {**painting, **training}
        far_too = self._far_too(len(standing))
        for places, running, factor in ((pictures, painting, slowed), (trainings, training, 1.0)):
            standing_there = [(job, place) for job, place in places if job not in inside]
            ahead = self._ahead(standing_there, sum(running.values()), factor)
            self._tell(ahead, waiting(), far_too=far_too)
        self._hold(held)
        self._forget({*standing, *held}, inside)

    def _expected(self, view: JobView) -> float:
        """Engine seconds that a job will take."""
        if isinstance(view.request, Paint):
            return self._pace.seconds(view.request)
        return view.training.estimate_seconds if view.training is not None else 0.0

    def _far_too(self, length: int) -> bool:
        """Whether those far back are told now."""
        now = asyncio.get_running_loop().time()
        if now < self._far_again:
            return False
        self._far_again = now + length / NEAR
        return True

    def _ahead(
        self, places: Collection[tuple[JobId, int]], inside: float, factor: float
    ) -> Iterator[tuple[JobId, int, float]]:
        """The jobs by their places, with the seconds until each is done."""
        for job, place in sorted(places, key=lambda one: one[1]):
            inside += self._seconds.get(job, 0.0)
            yield job, place, factor * inside

    def _tell(self, line: Iterable[tuple[JobId, int, float]], waiting: str, *, far_too: bool) -> None:
        changed = []
        for job, place, left in line:
            told = (place, duration(left), waiting)
            known = self._told.get(job) if self._live.get(job) else None
            if known is None or (known != told and (far_too or place <= NEAR)):
                self._told[job] = told
                self._live.queued(job, place=place, left=left, waiting=waiting)
                changed.append(job)
        self._touch(changed)

    def _hold(self, held: Collection[JobId]) -> None:
        """What an admin holds has no place in the line."""
        told = (0, "", PAUSED)
        changed = [job for job in held if self._told.get(job) != told or not self._live.get(job)]
        for job in changed:
            self._told[job] = told
            self._live.queued(job, place=None, left=None, waiting=PAUSED)
        self._touch(changed)

    def _typical(self) -> float:
        """Engine seconds of pictures in the line."""
        seconds = [seconds for job, seconds in self._seconds.items() if job not in self._trainings]
        return sum(seconds) / len(seconds) if seconds else TYPICAL

    def _forget(self, standing: Collection[JobId], inside: Collection[JobId]) -> None:
        for job in [job for job in self._told if job not in standing]:
            del self._told[job]
            if job not in inside:
                self._live.forget(job)
        for job in [job for job in self._seconds if job not in standing]:
            del self._seconds[job]
