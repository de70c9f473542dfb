"""Messages of the search for LoRAs by words, which CLIP compares with a picture of each."""

from dataclasses import dataclass

from engine.messages.checks import InvalidRequest, check_text
from engine.messages.files import Sha256
from engine.messages.jobs import JobId


@dataclass(frozen=True, kw_only=True)
class SearchCandidate:
    """A LoRA to score: by a picture in the store, or by its words where it has none.

    `vector`: its embedding by the CLIP named `clip`, as float16 bytes; empty where it is not computed yet.
    """

    picture: Sha256 | None
    words: str
    clip: str = ""
    vector: bytes = b""


@dataclass(frozen=True, kw_only=True)
class SearchLoras:
    """Score these LoRAs by how near they are to the words.

    Answered by LoraScores, or Failed with the reason.
    """

    job: JobId
    words: str
    candidates: tuple[SearchCandidate, ...]

    def __post_init__(self) -> None:
        check_text("The text to search for", self.words)
        if not self.words.strip():
            raise InvalidRequest('Say what to search for, such as /loras --like "a hatched circle".')


@dataclass(frozen=True, kw_only=True)
class LoraScores:
    """The same candidates, each with its vector, and 100 times their cosine with the words.

    A score is None where the picture is gone.
    """

    job: JobId
    candidates: tuple[SearchCandidate, ...]
    scores: tuple[float | None, ...]
