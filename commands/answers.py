"""What a command or a button can answer: a union of frozen answers, which the bot applies."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from engine.messages import (
    DescribePicture,
    Example,
    ImportLora,
    JobId,
    JobRequest,
    LoraImported,
    LorasMerged,
    MergeLoras,
    SearchLoras,
    Sha256,
    Train,
)
from storage.adapters import LoraView
from storage.privacy import Deletion
from storage.statistics import Statistics


@dataclass(frozen=True, kw_only=True)
class Text:
    """Plain text for the person who asked, and for nobody else; lines are kept."""

    text: str


@dataclass(frozen=True, kw_only=True)
class SizedText:
    """Text for the person alone that says how many megabytes these stored files have.

    They are measured once the transaction is over: `write` makes the text of their megabytes.
    """

    files: frozenset[Sha256]
    write: Callable[[float], str]


@dataclass(frozen=True, kw_only=True)
class Form:
    """A command's form for the person to change and send; its values by parameter name, as text.

    `text` is told about it.
    """

    command: str
    values: Mapping[str, str]
    text: str = ""


@dataclass(frozen=True, kw_only=True)
class CreateJob:
    """A new job, to be stored and shown as a card; `parent` is the job it was made from.

    A `draft` waits until its person starts it. `replaced` is the draft that it takes the place of, deleted
    already; `unneeded` are its stored files, to be removed once this is on disk. `text` is told to who asked.
    `examples` are all pictures of a training, also those of its manifest. `fresh`: it is painted also where
    the same was painted before.
    """

    request: JobRequest
    text: str = ""
    parent: JobId | None = None
    draft: bool = False
    replaced: JobId | None = None
    unneeded: tuple[Sha256, ...] = ()
    examples: tuple[Example, ...] = ()
    fresh: bool = False


@dataclass(frozen=True, kw_only=True)
class StartDraft:
    """A draft joins the queue; its row says so already."""

    job: JobId
    text: str = ""


@dataclass(frozen=True, kw_only=True)
class FinishTraining:
    """A running training is to end now, and to keep what it has learned."""

    job: JobId
    text: str = ""


@dataclass(frozen=True, kw_only=True)
class LoraCards:
    """LoRAs with their pictures, for the person alone; `text` says the same in words.

    `files` are for them too, by name and content.
    """

    loras: tuple[LoraView, ...]
    text: str
    files: tuple[tuple[str, Sha256], ...] = ()


@dataclass(frozen=True, kw_only=True)
class ShowCard:
    """A job's card is to come back, as a new message with live buttons; `text` is told to the person."""

    job: JobId
    text: str = ""


@dataclass(frozen=True, kw_only=True)
class Notice:
    """What one person is told of a job, who may not be its person, by the chat's key for them."""

    job: JobId
    person_key: str
    text: str


@dataclass(frozen=True, kw_only=True)
class UpdateCards:
    """The cards of these jobs may look different now; `text` is told to the person.

    `unneeded` are stored files that no row knows any more: to be removed once this is on disk. `stopped` are
    jobs whose rows have ended already and that the engine may still work on: it is to give them up.
    """

    jobs: tuple[JobId, ...]
    text: str = ""
    unneeded: tuple[Sha256, ...] = ()
    stopped: tuple[JobId, ...] = ()
    notices: tuple[Notice, ...] = ()


@dataclass(frozen=True, kw_only=True)
class CancelJob:
    """A running job is to be cancelled."""

    job: JobId
    text: str = ""


@dataclass(frozen=True, kw_only=True)
class SendFiles:
    """Files for the person alone, by name and content."""

    files: tuple[tuple[str, Sha256], ...]
    text: str = ""


@dataclass(frozen=True, kw_only=True)
class SendCaptions:
    """The captions of a training's pictures as a file of this name, for the person alone."""

    name: str
    training: Train
    text: str


@dataclass(frozen=True, kw_only=True)
class StatisticsChart:
    """The numbers of a space as a chart, for the person alone; `text` says the same in words."""

    statistics: Statistics
    text: str


@dataclass(frozen=True, kw_only=True)
class SmallPicture:
    """A picture of a sheet; `sha256` is None where it must not be seen."""

    sha256: Sha256 | None
    caption: str


@dataclass(frozen=True, kw_only=True)
class PictureSheet:
    """Pictures on one sheet, for the person alone; `text` says what they are."""

    pictures: tuple[SmallPicture, ...]
    text: str


@dataclass(frozen=True, kw_only=True)
class ExportData:
    """The person gets all that is stored about them, as files."""

    text: str = ""


@dataclass(frozen=True, kw_only=True)
class ForgetPerson:
    """The person is forgotten; the rows say so already."""

    forgotten: Deletion
    text: str = ""


@dataclass(frozen=True, kw_only=True)
class TaskResult:
    """A LoRA that the engine has let in or merged, its pictures in the store: its own, and beside its mix.

    `weights_hash`: of the LoRA's file without its header, by which recipes name it.
    """

    lora: LoraImported | LorasMerged
    thumbnail: Sha256
    sheet: Sha256 | None = None
    weights_hash: str = ""


@dataclass(frozen=True, kw_only=True)
class PictureDifference:
    """Two pictures of the store and how they differ, for the person alone; `text` says what they are."""

    before: Sha256
    after: Sha256
    text: str


@dataclass(frozen=True, kw_only=True)
class ReadMarks:
    """A task of the bot's own: what the pixels of this picture in the store carry (storage.provenance)."""

    sha256: Sha256


@dataclass(frozen=True, kw_only=True)
class RunTask:
    """A short task, mostly of the engine's, for which the person waits.

    `finish` makes the answer of its result, in a transaction of its own.
    """

    request: ImportLora | MergeLoras | SearchLoras | DescribePicture | ReadMarks
    finish: "Callable[..., Awaitable[Answer]]"  # (context, result=TaskResult, LoraScores or PictureMarks)


Answer = (
    Text
    | SizedText
    | Form
    | CreateJob
    | StartDraft
    | FinishTraining
    | LoraCards
    | ShowCard
    | UpdateCards
    | CancelJob
    | SendFiles
    | SendCaptions
    | RunTask
    | StatisticsChart
    | PictureSheet
    | PictureDifference
    | ExportData
    | ForgetPerson
)
