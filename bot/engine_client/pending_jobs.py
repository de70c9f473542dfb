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


Died = Literal["no", "beside others", "alone"]


@dataclass(frozen=True, kw_only=True)
class Lost:
    """The job ended with its engine; `died` tells how it was in the step in which that died, if at all."""

    job: JobId
    died: Died
    reason: str


Underway = Progress | TrainingProgress | CheckpointSaved
Ended = Painted | Inspected | LoraImported | LorasMerged | LoraScores | Trained | Failed | Cancelled | Lost
Update = Underway | Ended


@dataclass
class Filed:
    """A job that somebody waits for; it is sent once an engine is ready.

    `finishing`: a training that is to end early, with what it has.
    """

    request: JobRequest | TaskRequest
    sent: bool = False
    finishing: bool = False
    news: asyncio.Queue[Update | EngineUnavailable] = field(default_factory=asyncio.Queue)


class FiledJobs:
    """The jobs that have not ended, by id. What ends a job takes it off the list."""

    def __init__(self) -> None:
        self._jobs: dict[JobId, Filed] = {}

    def file(self, request: JobRequest | TaskRequest) -> Filed:
        """Put a job on the list. Raises ValueError when it is there already."""
        if request.job in self._jobs:
            raise ValueError(f"job {request.job} is in the engine already")
        return self._jobs.setdefault(request.job, Filed(request))

    def get(self, job: JobId) -> Filed | None:
        """The job, unless it has ended."""
        return self._jobs.get(job)

    def drop(self, job: JobId) -> None:
        """Nobody waits for this job any more."""
        self._jobs.pop(job, None)

    def unsent(self) -> Iterator[Filed]:
        """The jobs that no engine has heard of, oldest first, marked as sent when taken."""
        for filed in self._jobs.values():
            if not filed.sent:
                filed.sent = True
                yield filed

    def any_sent(self) -> bool:
        """Whether the engine owes an answer."""
        return any(filed.sent for filed in self._jobs.values())

    def tell(self, update: Update) -> bool:
        """Pass news on to whoever waits; False: of a job that has ended, for which nobody does."""
        filed = self._jobs.get(update.job)
        if filed is None:
            return False
        filed.news.put_nowait(update)
        if not isinstance(update, Underway):
            self.drop(update.job)
        return True

    def lose(self, stepping: Collection[JobId], reason: str) -> None:
        """End what was sent to an engine that died; `stepping` are the jobs of its last step."""
        inside: Died = "alone" if len(stepping) == 1 else "beside others"
        for job in [job for job, filed in self._jobs.items() if filed.sent]:
            self.tell(Lost(job=job, died=inside if job in stepping else "no", reason=reason))

    def refuse(self, refusal: EngineUnavailable) -> None:
        """End the jobs that no engine will ever take."""
        for filed in self._jobs.values():
            filed.news.put_nowait(refusal)
        self._jobs.clear()
