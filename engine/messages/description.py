"""Messages of describing a picture in words."""

from dataclasses import dataclass

from engine.messages.files import Sha256
from engine.messages.jobs import JobId

SUGGESTIONS = 4


@dataclass(frozen=True, kw_only=True)
class DescribePicture:
    """Say in words what is in a stored picture. Answered by Described, or Failed with the reason."""

    job: JobId
    picture: Sha256


@dataclass(frozen=True, kw_only=True)
class Described:
    """Up to four different descriptions of the picture, the likeliest first."""

    job: JobId
    captions: tuple[str, ...]
