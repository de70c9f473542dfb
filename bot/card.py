"""A job as its message shows it: what every chat draws in its own way."""

from dataclasses import dataclass

from engine.messages import JobId, Sha256


@dataclass(frozen=True, kw_only=True)
class Button:
    """Something to press. `id` is all that a chat has to remember: it works after a restart, for years."""

    id: str
    emoji: str
    label: str
    picture: int | None = None  # the place (1 to 4) of the picture it is about; None is about the whole job
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


@dataclass(frozen=True, kw_only=True)
class Card:
    """What a message shows about a job, whatever the chat."""

    job: JobId
    number: int  # cards are in the order of their numbers
    person: str  # the owner's name
    person_key: str  # and how the chat calls them
    state: str  # queued, running, succeeded, failed or cancelled
    title: str  # the prompt
    line: str  # "2nd in line, about 10 s", "step 12 of 20, about 3 s left", "painted in 1.2 s", why it failed
    done: float | None  # share of the steps that are done, 0 to 1, while it runs
    preview: bytes | None  # a small JPEG while it runs
    pictures: tuple[CardPicture, ...]
    recipe: tuple[tuple[str, str], ...]  # names and values as people write them: ("steps", "20")
    command: str  # the command that paints the same again
    buttons: tuple[Button, ...]
    at: float  # when it was filed, seconds since 1970
