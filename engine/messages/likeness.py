"""Which LoRA fits some words, as CLIP sees it: by a picture that it painted."""

from dataclasses import dataclass

from engine.messages.checks import InvalidRequest, readable
from engine.messages.files import Sha256
from engine.messages.jobs import JobId


@dataclass(frozen=True, kw_only=True)
class Face:
    """What a LoRA is known by: a picture in the store, or without one its words.

    `vector` is what the CLIP called `clip` made of it, as float16 numbers, where that is known already.
    """

    picture: Sha256 | None
    words: str
    clip: str = ""
    vector: bytes = b""


@dataclass(frozen=True, kw_only=True)
class Liken:
    """How near is each of these to the words? Answered by Likened, or Failed with the reason."""

    job: JobId
    words: str
    faces: tuple[Face, ...]

    def __post_init__(self) -> None:
        readable("what it should be like", self.words)
        if not self.words.strip():
            raise InvalidRequest('say what it should be like: /loras --like "a hatched circle"')


@dataclass(frozen=True, kw_only=True)
class Likened:
    """The same faces, each with its vector, and 100 times their cosines with the words.

    None where a picture is gone.
    """

    job: JobId
    faces: tuple[Face, ...]
    scores: tuple[float | None, ...]
