"""What every job can be told, and how any of them can end."""

from dataclasses import dataclass
from enum import StrEnum
from typing import NewType

from engine.messages.files import Sha256

JobId = NewType("JobId", str)


class Flagged(StrEnum):
    """What becomes of pictures that the engine's safety check flags: shown, hidden at first, never seen."""

    SHOW = "show"
    SPOILER = "spoiler"
    REFUSE = "refuse"


@dataclass(frozen=True, kw_only=True)
class Cancel:
    """Stop this job between two steps; answered by Cancelled unless the job had already ended."""

    job: JobId


@dataclass(frozen=True, kw_only=True)
class Failed:
    """The job ended with an error; `reason` is one sentence for the person.

    `expected` tells a refusal (the person's to mend, shown word for word) from a fault (ours, in the log).
    `left` is what it had put into the store and nobody was told of. `again`: it ended because the store takes
    nothing now; the same will go well once there is room.
    """

    job: JobId
    reason: str
    expected: bool
    left: tuple[Sha256, ...] = ()
    again: bool = False


@dataclass(frozen=True, kw_only=True)
class Cancelled:
    """The job stopped because it was asked to; `left` is as in Failed."""

    job: JobId
    left: tuple[Sha256, ...] = ()
