"""The card of a job: what its message shows, for every chat to draw in its own way."""

from dataclasses import dataclass

from engine.messages import JobId, Sha256


@dataclass(frozen=True, kw_only=True)
class Button:
    """A button. `id` is all that a chat has to remember: it works after a restart, for years."""

    id: str
    emoji: str
    label: str
    picture: int | None = None  # the place (1 to 4) of the picture it is about; None is about the whole job
    more: bool = False  # chats have room for it in a list alone
    owners: bool = False  # only the job's owner and admins may press it: checked again at the click


@dataclass(frozen=True, kw_only=True)
class CardPicture:
    """A finished picture on a card."""

    place: int
    sha256: Sha256
    seed: int
    width: int
    height: int
    stars: int  # how many people keep it
    hidden: bool = False  # the safety check flagged it: it is shown once somebody opens it


@dataclass(frozen=True, kw_only=True)
class CardOrigin:
    """What a picture started from: "k3f9qa, picture 2, part changed".

    `job` and where its card is (`space` and `message`, in the chat's keys) are empty where nobody is to see
    them; `link` is the message's address, in chats that know it when they show the card.
    """

    text: str
    job: str = ""
    space: str = ""
    message: str = ""
    link: str = ""


@dataclass(frozen=True, kw_only=True)
class CardNote:
    """What a training would do with one of its pictures; `text` says what is wrong, if anything is."""

    name: str
    text: str
    used: bool


@dataclass(frozen=True, kw_only=True)
class Curve:
    """The losses of a training by step: raw, smoothed, and of the validation."""

    losses: tuple[tuple[int, float], ...]
    smoothed: tuple[tuple[int, float], ...]
    validation: tuple[tuple[int, float], ...]
    best: int | None  # the step of the checkpoint to use
    steps: int  # of the whole training, as planned; 0 while unknown


@dataclass(frozen=True, kw_only=True)
class CardCheckpoint:
    """A checkpoint that may be chosen; `samples` is how many pictures show what it paints."""

    place: int  # from 1, as its button says; 0 while there is nothing to choose
    step: int
    validation: float | None
    chosen: bool
    samples: int


@dataclass(frozen=True, kw_only=True)
class Card:
    """What a message shows about a job. The fields from `notes` on are for trainings only."""

    job: JobId
    kind: str  # "paint" or "train"
    number: int  # cards are in the order of their numbers
    person: str  # the owner's name
    person_key: str  # and their id in the chat
    state: str  # draft, queued, running, succeeded, failed or cancelled
    title: str  # the prompt, or the LoRA's name and its phrase
    line: str  # "2nd in line, about 10 s", "Step 12 of 20, about 3 s left", "Painted in 1.2 s", why it failed
    done: float | None  # share of the steps that are done, 0 to 1, while it runs
    preview: bytes | None  # a small JPEG while it runs
    pictures: tuple[CardPicture, ...]
    recipe: tuple[tuple[str, str], ...]  # names and values as people write them: ("steps", "20")
    command: str  # the command that paints the same again; empty for a training
    buttons: tuple[Button, ...]
    at: float  # when it was filed, seconds since 1970
    hint: str = ""  # what somebody may have meant instead; empty for a training
    origins: tuple[CardOrigin, ...] = ()  # what its pictures started from
    notes: tuple[CardNote, ...] = ()
    problems: tuple[str, ...] = ()  # of all pictures together
    sheet: Sha256 | None = None  # the contact sheet, a JPEG in the store
    curve: Curve | None = None
    prompts: tuple[str, ...] = ()  # of the samples, in their order
    checkpoints: tuple[CardCheckpoint, ...] = ()
    untrained: bool = False  # there are samples of the model without the LoRA, at step 0
    line_to_copy: str = ""  # the command that paints with the LoRA
    bare: str = ""  # why the chat takes none of its pictures: it is shown as text alone
