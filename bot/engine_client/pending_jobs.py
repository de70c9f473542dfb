"""Jobs that somebody waits for, each with a queue of updates from the engine."""

import asyncio
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Literal

from engine.messages import (
    Cancelled,
    CheckpointSaved,
    Described,
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
    """Why there is no engine to work with, in one sentence for the operator."""


Death = Literal["no", "beside others", "alone"]


@dataclass(frozen=True, kw_only=True)
class Lost:
    """The engine died with this job. `died`: whether it was in the engine's last step, alone or not."""

    job: JobId
    died: Death
    reason: str


InterimUpdate = Progress | TrainingProgress | CheckpointSaved
FinalUpdate = (
    Painted
    | Inspected
    | LoraImported
    | LorasMerged
    | LoraScores
    | Described
    | Trained
    | Failed
    | Cancelled
    | Lost
)
Update = InterimUpdate | FinalUpdate


@dataclass
class PendingJob:
    """A job that somebody waits for. It is sent once an engine is ready.

    `finishing`: a training that is to end early, with what it has.
    """

    request: JobRequest | TaskRequest
    sent: bool = False
    finishing: bool = False
    updates: asyncio.Queue[Update | EngineUnavailable] = field(default_factory=asyncio.Queue)


class PendingJobs:
    """The jobs that have not ended, by id. The final update of a job removes it."""

    def __init__(self) -> None:
        self._jobs: dict[JobId, PendingJob] = {}

    def add(self, request: JobRequest | TaskRequest) -> PendingJob:
        """Add a job. Raises ValueError when it is there already."""
        if request.job in self._jobs:
            raise ValueError(f"job {request.job} is in the engine already")
        return self._jobs.setdefault(request.job, PendingJob(request))

    def get(self, job: JobId) -> PendingJob | None:
        """The job, unless it has ended."""
        return self._jobs.get(job)

    def drop(self, job: JobId) -> None:
        """Remove a job that nobody waits for any more."""
        self._jobs.pop(job, None)

    def take_unsent(self) -> Iterator[PendingJob]:
        """The jobs that were not sent yet, oldest first; each counts as sent from then on."""
        for pending in self._jobs.values():
            if not pending.sent:
                pending.sent = True
                yield pending

    def is_any_sent(self) -> bool:
        """Whether the engine owes an answer."""
        return any(pending.sent for pending in self._jobs.values())

    def deliver(self, update: Update) -> bool:
        """Pass an update on to whoever waits; False when the job has ended and nobody does."""
        pending = self._jobs.get(update.job)
        if pending is None:
            return False
        pending.updates.put_nowait(update)
        if not isinstance(update, InterimUpdate):
            self.drop(update.job)
        return True

    def lose_sent(self, step_jobs: Collection[JobId], reason: str) -> None:
        """End the jobs that were sent to an engine that died; `step_jobs` are those of its last step."""
        inside: Death = "alone" if len(step_jobs) == 1 else "beside others"
        for job in [job for job, pending in self._jobs.items() if pending.sent]:
            self.deliver(Lost(job=job, died=inside if job in step_jobs else "no", reason=reason))

    def refuse(self, refusal: EngineUnavailable) -> None:
        """End all jobs, since no engine will ever take them."""
        for pending in self._jobs.values():
            pending.updates.put_nowait(refusal)
        self._jobs.clear()
