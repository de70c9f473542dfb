"""Messages that belong to any kind of job: cancel it, it failed, it was cancelled."""

from dataclasses import dataclass
from enum import StrEnum
from typing import NewType

from engine.messages.files import Sha256

JobId = NewType("JobId", str)


class FlaggedPolicy(StrEnum):
    """What happens to pictures that the safety check flags: shown, hidden behind a spoiler, or withheld."""

    SHOW = "show"
    SPOILER = "spoiler"
    REFUSE = "refuse"


@dataclass(frozen=True, kw_only=True)
class Cancel:
    """Stop this job between two steps. Answered by Cancelled unless the job has ended already."""

    job: JobId


@dataclass(frozen=True, kw_only=True)
class Failed:
    """The job ended with an error. `reason` is for the person, in whole sentences.

    `expected`: a refusal that the person can mend, not a fault of ours, which is in the log. `left`: hashes
    of files that the job put into the store and that no event named. `again`: the store takes no files now,
    and the same job can succeed once there is room.
    """

    job: JobId
    reason: str
    expected: bool
    left: tuple[Sha256, ...] = ()
    again: bool = False


@dataclass(frozen=True, kw_only=True)
class Cancelled:
    """The job was stopped by Cancel. `left` is as in Failed."""

    job: JobId
    left: tuple[Sha256, ...] = ()
