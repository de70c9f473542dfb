"""Jobs that somebody waits for, and the news of each on its way from the engine."""

import asyncio
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Literal

from engine.messages import (
    Cancelled,
    CheckpointSaved,
    Failed,
    Inspected,
    JobId,
    JobRequest,
    LoraImported,
    LoraScores,
    LorasMerged,
    Painted,
    Progress,
    TaskRequest,
    Trained,
    TrainingProgress,
)


class EngineUnavailable(Exception):
    """One sentence for the operator: why there is no engine to work with."""


Death = Literal["no", "beside others", "alone"]


@dataclass(frozen=True, kw_only=True)
class Lost:
    """The job ended with its engine; `died` tells how it was in the step in which that died, if at all."""

    job: JobId
    died: Death
    reason: str


InterimUpdate = Progress | TrainingProgress | CheckpointSaved
FinalUpdate = (
    Painted | Inspected | LoraImported | LorasMerged | LoraScores | Trained | Failed | Cancelled | Lost
)
Update = InterimUpdate | FinalUpdate


@dataclass
class PendingJob:
    """A job that somebody waits for; it is sent once an engine is ready.

    `finishing`: a training that is to end early, with what it has.
    """

    request: JobRequest | TaskRequest
    sent: bool = False
    finishing: bool = False
    news: asyncio.Queue[Update | EngineUnavailable] = field(default_factory=asyncio.Queue)


class PendingJobs:
    """The jobs that have not ended, by id. What ends a job takes it off the list."""

    def __init__(self) -> None:
        self._jobs: dict[JobId, PendingJob] = {}

    def add(self, request: JobRequest | TaskRequest) -> PendingJob:
        """Put a job on the list. Raises ValueError when it is there already."""
        if request.job in self._jobs:
            raise ValueError(f"job {request.job} is in the engine already")
        return self._jobs.setdefault(request.job, PendingJob(request))

    def get(self, job: JobId) -> PendingJob | None:
        """The job, unless it has ended."""
        return self._jobs.get(job)

    def drop(self, job: JobId) -> None:
        """Nobody waits for this job any more."""
        self._jobs.pop(job, None)

    def take_unsent(self) -> Iterator[PendingJob]:
        """The jobs that no engine has heard of, oldest first, marked as sent when taken."""
        for pending in self._jobs.values():
            if not pending.sent:
                pending.sent = True
                yield pending

    def is_any_sent(self) -> bool:
        """Whether the engine owes an answer."""
        return any(pending.sent for pending in self._jobs.values())

    def deliver(self, update: Update) -> bool:
        """Pass news on to whoever waits; False: of a job that has ended, for which nobody does."""
        pending = self._jobs.get(update.job)
        if pending is None:
            return False
        pending.news.put_nowait(update)
        if not isinstance(update, InterimUpdate):
            self.drop(update.job)
        return True

    def lose_sent(self, step_jobs: Collection[JobId], reason: str) -> None:
        """End what was sent to an engine that died; `stepping` are the jobs of its last step."""
        inside: Death = "alone" if len(step_jobs) == 1 else "beside others"
        for job in [job for job, pending in self._jobs.items() if pending.sent]:
            self.deliver(Lost(job=job, died=inside if job in step_jobs else "no", reason=reason))

    def refuse(self, refusal: EngineUnavailable) -> None:
        """End the jobs that no engine will ever take."""
        for pending in self._jobs.values():
            pending.news.put_nowait(refusal)
        self._jobs.clear()
