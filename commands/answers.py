"""What a command or a button can answer; the bot carries it out, and new work answers with a card."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from engine.messages import Admit, Admitted, JobId, Liken, Merge, Merged, Sha256, Work
from storage.adapters import LoraView
from storage.privacy import Forgotten
from storage.statistics import Statistics


@dataclass(frozen=True, kw_only=True)
class Said:
    """Words for the person who asked, and for nobody else. Plain text; lines are kept."""

    text: str


@dataclass(frozen=True, kw_only=True)
class Form:
    """A form of a command for the person to change and send; its values by parameter name, as text.

    `text` is what is to be said about it.
    """

    command: str
    values: Mapping[str, str]
    text: str = ""


@dataclass(frozen=True, kw_only=True)
class Filed:
    """A new job, to be written down and shown as a card; `parent` is the job it was made from.

    A `draft` waits for its person to start it. `replaced` is the draft that it takes the place of, deleted
    already; `unneeded` are its stored files, to be removed once this is on disk. `text` is for who asked.
    """

    request: Work
    text: str = ""
    parent: JobId | None = None
    draft: bool = False
    replaced: JobId | None = None
    unneeded: tuple[Sha256, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Started:
    """A draft that is in the line from now on; its row says so already."""

    job: JobId
    text: str = ""


@dataclass(frozen=True, kw_only=True)
class Finishing:
    """A running training that the engine is to end now, keeping what it has."""

    job: JobId
    text: str = ""


@dataclass(frozen=True, kw_only=True)
class Listing:
    """LoRAs for the person who asked, and for nobody else; `text` says the same in words.

    `files` are theirs too, by name and content.
    """

    loras: tuple[LoraView, ...]
    text: str
    files: tuple[tuple[str, Sha256], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A job whose card is to be brought back, as a new message with live buttons."""

    job: JobId


@dataclass(frozen=True, kw_only=True)
class Changed:
    """The jobs whose cards may look different now, and words for the person, if any.

    `unneeded` are stored files that no row knows any more: to be removed once this is on disk. `stopped` are
    jobs whose rows have ended already and that the engine may still be at: it is to give them up.
    """

    jobs: tuple[JobId, ...]
    text: str = ""
    unneeded: tuple[Sha256, ...] = ()
    stopped: tuple[JobId, ...] = ()


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


@dataclass(frozen=True, kw_only=True)
class Charted:
    """Numbers of the space for the person alone, to be drawn; `text` says the same in words."""

    statistics: Statistics
    text: str


@dataclass(frozen=True, kw_only=True)
class SmallPicture:
    """One of a sheet; `sha256` is None where it must not be seen."""

    sha256: Sha256 | None
    caption: str


@dataclass(frozen=True, kw_only=True)
class Hung:
    """Pictures for the person alone, to be hung on one sheet; `text` says what they are."""

    pictures: tuple[SmallPicture, ...]
    text: str


@dataclass(frozen=True, kw_only=True)
class Exporting:
    """The person is to be given all that is stored about them, as files."""

    text: str = ""


@dataclass(frozen=True, kw_only=True)
class Forgetting:
    """The person is forgotten; the rows say so already."""

    forgotten: Forgotten
    text: str = ""


@dataclass(frozen=True, kw_only=True)
class Found:
    """What the engine found, its pictures in the store: the LoRA's own, and the merge beside its mix.

    `numbers`: the hash of the LoRA without its header, by which recipes name it.
    """

    told: Admitted | Merged
    thumbnail: Sha256
    sheet: Sha256 | None = None
    numbers: str = ""


@dataclass(frozen=True, kw_only=True)
class Beside:
    """Something short for the engine to do while the person waits.

    `settle` makes the answer of what was found, in a transaction of its own.
    """

    request: Admit | Merge | Liken
    settle: "Callable[..., Awaitable[Answer]]"  # (context, made=Found or Likened)


Answer = (
    Said
    | Form
    | Filed
    | Started
    | Finishing
    | Listing
    | Shown
    | Changed
    | Cancelling
    | Gift
    | Beside
    | Charted
    | Hung
    | Exporting
    | Forgetting
)
