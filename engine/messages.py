"""All that the bot and the engine share: frozen requests and events that refuse nonsense when made.

Standard library only. Requests travel from the bot to the engine, events the other way, pickled over one
socket between two processes of the same installation.
"""

import math
import re
import unicodedata
from dataclasses import dataclass, field
from enum import StrEnum
from fractions import Fraction
from pathlib import Path
from typing import NewType

JobId = NewType("JobId", str)
Sha256 = NewType("Sha256", str)

STEPS = (1, 100)
GUIDANCE = (0.0, 20.0)
SIDE = (64, 2048)
SIDE_MULTIPLE = 8
COUNT = (1, 4)
SEED = (0, 2**63 - 1)
ADAPTER_WEIGHT = (-2.0, 2.0)
ADAPTERS_AT_ONCE = 8
REFINER = (0.0, 0.5)
VARIATION = (0.0, 1.0)
LCM_STEPS = 50
PROMPT_CHARACTERS = 4000
ADAPTER_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")


class InvalidRequest(ValueError):
    """One sentence for the person: what was wrong and what is allowed."""


class Sampler(StrEnum):
    """Ways to walk from noise to a picture, under the names that A1111 and its readers use."""

    EULER = "Euler"
    EULER_ANCESTRAL = "Euler a"
    DPM_2M = "DPM++ 2M"
    DPM_2M_KARRAS = "DPM++ 2M Karras"
    DPM_SDE = "DPM++ SDE"
    DDIM = "DDIM"
    UNIPC = "UniPC"
    HEUN = "Heun"
    LCM = "LCM"


@dataclass(frozen=True, kw_only=True)
class Size:
    """A picture's size in pixels, each side a multiple of 8 from 64 to 2048."""

    width: int
    height: int

    def __post_init__(self) -> None:
        for side, pixels in (("width", self.width), ("height", self.height)):
            whole(side, pixels, *SIDE)
            if pixels % SIDE_MULTIPLE:
                nearest = max(SIDE[0], round(pixels / SIDE_MULTIPLE) * SIDE_MULTIPLE)
                raise InvalidRequest(
                    f"{side} is {pixels}, but it must be a multiple of 8, such as {nearest}."
                )


@dataclass(frozen=True, kw_only=True)
class Ratio:
    """A picture's shape; the engine picks the pixels, at the area that its model was trained on."""

    across: int
    down: int

    def __post_init__(self) -> None:
        if self.across < 1 or self.down < 1 or not Fraction(1, 4) <= Fraction(self.across, self.down) <= 4:
            raise InvalidRequest(f"the ratio {self.across}:{self.down} must lie between 1:4 and 4:1.")


@dataclass(frozen=True, kw_only=True)
class AdapterUse:
    """One LoRA in a picture: its file by content hash, its name as people know it, and its weight."""

    name: str
    sha256: Sha256
    weight: float = 1.0

    def __post_init__(self) -> None:
        if not ADAPTER_NAME.fullmatch(self.name):
            raise InvalidRequest(
                f"the LoRA name {self.name!r} may only have a-z, 0-9, '-' and '_', at most 32 of them."
            )
        within(f"the weight of LoRA {self.name}", self.weight, *ADAPTER_WEIGHT)


@dataclass(frozen=True, kw_only=True)
class Paint:
    """A request for 1 to 4 pictures from one recipe.

    `seed` belongs to the first picture, the next ones have seed + 1, seed + 2 and so on (after 2^63 - 1
    comes 0), so that each can be painted again alone. With a `variation` above 0 they all have `seed`, and
    their noise is mixed with that of `variation_seed`, variation_seed + 1 and so on: a little at 0.1, and
    nothing of `seed` is left at 1. `refiner` is the share of the noise, 0 to 0.5, that the refiner removes at
    the end (ensemble of experts). `guidance_scale` up to 1 paints without classifier-free guidance.
    Raises InvalidRequest with one sentence when a value is out of its range.
    """

    job: JobId
    prompt: str
    seed: int
    negative_prompt: str = ""
    steps: int = 30
    guidance_scale: float = 5.0
    size: Size | Ratio = field(default_factory=lambda: Ratio(across=1, down=1))
    sampler: Sampler = Sampler.EULER
    count: int = 1
    adapters: tuple[AdapterUse, ...] = ()
    refiner: float = 0.0
    variation: float = 0.0
    variation_seed: int = 0

    def __post_init__(self) -> None:
        readable("the prompt", self.prompt)
        if not self.prompt.strip():
            raise InvalidRequest("the prompt is empty: say what to paint.")
        readable("the negative prompt", self.negative_prompt)
        whole("steps", self.steps, *STEPS)
        within("cfg", self.guidance_scale, *GUIDANCE)
        whole("seed", self.seed, *SEED)
        whole("count", self.count, *COUNT)
        within("refiner", self.refiner, *REFINER)
        within("variation", self.variation, *VARIATION)
        whole("variation-seed", self.variation_seed, *SEED)
        if self.sampler is Sampler.LCM and self.steps > LCM_STEPS:
            raise InvalidRequest(f"steps is {self.steps}, but the LCM sampler takes at most {LCM_STEPS}.")
        if len(self.adapters) > ADAPTERS_AT_ONCE:
            raise InvalidRequest(
                f"{len(self.adapters)} LoRAs were given, but at most {ADAPTERS_AT_ONCE} mix."
            )
        if len({use.sha256 for use in self.adapters}) < len(self.adapters):
            raise InvalidRequest("the same LoRA was given twice: give it once, with one weight.")


def seeds(request: Paint, place: int) -> tuple[int, int]:
    """The seed and the variation seed with which its picture at this place, 1 to count, is painted alone."""
    seed, variation_seed = request.seed, request.variation_seed
    if request.variation:
        return seed, (variation_seed + place - 1) % (SEED[1] + 1)
    return (seed + place - 1) % (SEED[1] + 1), variation_seed


@dataclass(frozen=True, kw_only=True)
class Cancel:
    """Stop this job between two steps; answered by Cancelled unless the job had already ended."""

    job: JobId


@dataclass(frozen=True, kw_only=True)
class Shutdown:
    """End the engine process after the current step."""


Request = Paint | Cancel | Shutdown


@dataclass(frozen=True, kw_only=True)
class EngineSettings:
    """What the engine process is told once, at its start: the [engine] table of config.toml."""

    model: str
    refiner: str = ""
    vae: str = ""
    files: str = "data/files"
    device: str = "auto"
    precision: str = "auto"
    largest_batch: int = 8
    adapter_cache_mb: int = 2048
    compile: bool = False
    deadline_floor_seconds: float = 60.0


@dataclass(frozen=True, kw_only=True)
class Ready:
    """The model is loaded and the engine takes jobs. `side` is the native side in pixels (1024 for SDXL)."""

    model: str
    device: str
    precision: str
    side: int
    has_refiner: bool
    seconds: float


@dataclass(frozen=True, kw_only=True)
class CannotStart:
    """The engine ends at once; `reason` is one sentence for the operator."""

    reason: str


@dataclass(frozen=True, kw_only=True)
class Working:
    """A step begins: these jobs are in it, and it should be back within `deadline` seconds."""

    jobs: tuple[JobId, ...]
    deadline: float


@dataclass(frozen=True, kw_only=True)
class Idle:
    """Nothing is left to do; no deadline runs."""


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a job is, over all its pictures; `preview` is a small JPEG of what can be seen so far."""

    job: JobId
    step: int
    steps: int
    preview: bytes


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A finished PNG with its recipe inside."""

    png: bytes
    seed: int
    width: int
    height: int


@dataclass(frozen=True, kw_only=True)
class Painted:
    """The job's pictures, in the order of their seeds; `seconds` is the engine time it was charged."""

    job: JobId
    pictures: tuple[Picture, ...]
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Failed:
    """The job ended with an error; `reason` is one sentence for the person.

    `expected` tells a refusal (the person's to mend, shown word for word) from a fault (ours, in the log).
    """

    job: JobId
    reason: str
    expected: bool


@dataclass(frozen=True, kw_only=True)
class Cancelled:
    """The job stopped because it was asked to."""

    job: JobId


Event = Ready | CannotStart | Working | Idle | Progress | Painted | Failed | Cancelled


def stored_at(folder: Path, sha256: Sha256) -> Path:
    """Where a file lies in the store that both processes read: two characters of its hash, then the hash."""
    return folder / sha256[:2] / sha256


def whole(name: str, value: object, low: int, high: int) -> None:
    """Raise InvalidRequest unless value is an int from low to high."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise InvalidRequest(f"{name} is {value!r}, but it must be a whole number from {low} to {high}.")
    if not low <= value <= high:
        raise InvalidRequest(f"{name} is {value}, but it must be from {low} to {high}.")


def within(name: str, value: object, low: float, high: float) -> None:
    """Raise InvalidRequest unless value is a finite number from low to high."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise InvalidRequest(f"{name} is {value}, but it must be a number from {low:g} to {high:g}.")
    if not low <= value <= high:
        raise InvalidRequest(f"{name} is {value:g}, but it must be from {low:g} to {high:g}.")


def readable(name: str, text: str) -> None:
    """Raise InvalidRequest unless text is short enough and free of control characters and broken Unicode."""
    if len(text) > PROMPT_CHARACTERS:
        raise InvalidRequest(
            f"{name} has {len(text):,} characters, but at most {PROMPT_CHARACTERS:,} are allowed."
        )
    for character in text:
        if unicodedata.category(character) in ("Cc", "Cs") and character not in "\t\n\r":
            raise InvalidRequest(f"{name} has the control character U+{ord(character):04X}: leave it out.")
