"""Queue positions and estimated waits of queued jobs."""

import asyncio
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

from bot.jobs.estimates import Estimates
from bot.jobs.progress import LiveProgress
from commands.syntax.numbers import duration
from engine.messages import JobId, Paint
from storage import jobs, queue_overrides, views
from storage.database import Database
from storage.jobs import TYPICAL
from storage.views import JobView

LENGTH = 200  # places that are shown; who stands further back sees none
NEAR = 20  # places that are always up to date; those further back are updated less often
PAUSED = "paused by an admin"
AT_ONCE = 20  # rows read in one go: each takes the event loop a moment

Position = tuple[int, str, str]


class QueuePositions:
    """Keeps the places of queued jobs in `progress`, and touches the cards that change by that."""

    def __init__(
        self,
        database: Database,
        progress: LiveProgress,
        estimates: Estimates,
        touch: Callable[[Collection[JobId]], None],
    ) -> None:
        self._database = database
        self._progress = progress
        self._estimates = estimates
        self._touch = touch
        self._shown: dict[JobId, Position] = {}
        self._seconds: dict[JobId, float] = {}
        self._trainings: set[JobId] = set()
        self._far_again = 0.0  # when those far back are updated again, on the event loop's clock
        self.length = 0  # queued jobs that paint

    @property
    def is_anybody_waiting(self) -> bool:
        """Whether any job was queued at the last update."""
        return bool(self.length or self._trainings)

    def add(self, job: JobId, seconds: float) -> None:
        """Take in a new job, and the engine seconds that it will take."""
        self._seconds[job] = seconds

    async def update(
        self,
        painting: Mapping[JobId, float],
        training: Mapping[JobId, float],
        waiting: Callable[[], str],
        *,
        slowed: float,
    ) -> None:
        """Read all places again, given the engine seconds left of the jobs in the engine.

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
            waiting_jobs = [job for job, _ in (*pictures, *trainings)]
            unknown = [job for job in waiting_jobs if job not in self._seconds]
            for first in range(0, len(unknown), AT_ONCE):
                for view in await views.views(session, unknown[first : first + AT_ONCE]):
                    self._seconds[view.id] = self._engine_seconds(view)
        inside = {**painting, **training}
        far_too = self._far_too_now(len(waiting_jobs))
        for places, running, factor in ((pictures, painting, slowed), (trainings, training, 1.0)):
            still_waiting = [(job, place) for job, place in places if job not in inside]
            ahead = self._ahead(still_waiting, sum(running.values()), factor)
            self._update_cards(ahead, waiting(), far_too=far_too)
        self._show_held(held)
        self._forget_others({*waiting_jobs, *held})

    def _engine_seconds(self, view: JobView) -> float:
        """Engine seconds that a job will take."""
        if isinstance(view.request, Paint):
            return self._estimates.seconds(view.request)
        return view.training.estimate_seconds if view.training is not None else 0.0

    def _far_too_now(self, length: int) -> bool:
        """Whether those far back are updated now, too."""
        now = asyncio.get_running_loop().time()
        if now < self._far_again:
            return False
        self._far_again = now + length / NEAR
        return True

    def _ahead(
        self, places: Collection[tuple[JobId, int]], inside: float, factor: float
    ) -> Iterator[tuple[JobId, int, float]]:
        """The jobs in order of their places, with the seconds until each is done."""
        for job, place in sorted(places, key=lambda job_and_place: job_and_place[1]):
            inside += self._seconds.get(job, 0.0)
            yield job, place, factor * inside

    def _update_cards(self, line: Iterable[tuple[JobId, int, float]], waiting: str, *, far_too: bool) -> None:
        changed = []
        for job, place, left in line:
            position = (place, duration(left), waiting)
            shown = self._shown.get(job) if self._progress.get(job) else None
            if shown is None or (shown != position and (far_too or place <= NEAR)):
                self._shown[job] = position
                self._progress.set_position(job, place=place, left=left, waiting=waiting)
                changed.append(job)
        self._touch(changed)

    def _show_held(self, held: Collection[JobId]) -> None:
        """Show which jobs an admin has paused: they have no place."""
        position = (0, "", PAUSED)
        changed = [job for job in held if self._shown.get(job) != position or not self._progress.get(job)]
        for job in changed:
            self._shown[job] = position
            self._progress.set_position(job, place=None, left=None, waiting=PAUSED)
        self._touch(changed)

    def _typical(self) -> float:
        """Mean engine seconds of queued jobs that paint."""
        seconds = [seconds for job, seconds in self._seconds.items() if job not in self._trainings]
        return sum(seconds) / len(seconds) if seconds else TYPICAL

    def _forget_others(self, waiting_jobs: Collection[JobId]) -> None:
        for job in [job for job in self._shown if job not in waiting_jobs]:
            del self._shown[job]
            self._progress.forget_position(job)
        for job in [job for job in self._seconds if job not in waiting_jobs]:
            del self._seconds[job]
