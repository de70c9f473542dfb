"""What a command or a button can answer; the bot carries it out, and a Paint answers with a card."""

from collections.abc import Mapping
from dataclasses import dataclass

from engine.messages import JobId, Paint, Sha256


@dataclass(frozen=True, kw_only=True)
class Said:
    """Words for the person who asked, and for nobody else. Plain text; lines are kept."""

    text: str


@dataclass(frozen=True, kw_only=True)
class Form:
    """A form of a command for the person to change and send; its values by parameter name, as text."""

    command: str
    values: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Filed:
    """A new job, to be written down and shown as a card; `parent` is the job it was made from."""

    request: Paint
    parent: JobId | None = None


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A job whose card is to be brought back, as a new message with live buttons."""

    job: JobId


@dataclass(frozen=True, kw_only=True)
class Changed:
    """The jobs whose cards may look different now, and words for the person, if any.

    `unneeded` are stored files that no row knows any more: to be removed once this is on disk.
    """

    jobs: tuple[JobId, ...]
    text: str = ""
    unneeded: tuple[Sha256, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Cancelling:
    """A running job that the engine is to stop."""

    job: JobId
    text: str = ""


@dataclass(frozen=True, kw_only=True)
class Gift:
    """Files for the person alone, by name and content."""

    files: tuple[tuple[str, Sha256], ...]
    text: str = ""


Answer = Said | Form | Filed | Shown | Changed | Cancelling | Gift
