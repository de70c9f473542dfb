"""Pictures: what is asked for, and what comes."""

from dataclasses import dataclass, field
from enum import StrEnum
from fractions import Fraction

from engine.messages.checks import InvalidRequest, adapter_name, readable, whole, within
from engine.messages.files import Sha256
from engine.messages.jobs import Flagged, JobId

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
VARIANTS = 6


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
        adapter_name(self.name)
        within(f"the weight of LoRA {self.name}", self.weight, *ADAPTER_WEIGHT)


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One of the pictures that are compared: what it is called, and what it has of its own."""

    name: str
    adapters: tuple[AdapterUse, ...] = ()
    refiner: float = 0.0

    def __post_init__(self) -> None:
        readable("the name of a variant", self.name)
        within("refiner", self.refiner, *REFINER)


@dataclass(frozen=True, kw_only=True)
class Paint:
    """A request for 1 to 4 pictures from one recipe.

    `seed` belongs to the first picture, the next ones have seed + 1, seed + 2 and so on (after 2^63 - 1
    comes 0), so that each can be painted again alone. With a `variation` above 0 they all have `seed`, and
    their noise is mixed with that of `variation_seed`, variation_seed + 1 and so on: a little at 0.1, and
    nothing of `seed` is left at 1. `refiner` is the share of the noise, 0 to 0.5, that the refiner removes at
    the end (ensemble of experts). `guidance_scale` up to 1 paints without classifier-free guidance.
    With `variants` there is one picture, a sheet of them all with the same seed, each with its own LoRAs and
    refiner; `adapters` are then those that are compared. A model without a refiner leaves out what needs it.
    `flagged` says what becomes of what a safety check flags, where the engine has one.
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
    variants: tuple[Variant, ...] = ()
    flagged: Flagged = Flagged.SHOW

    @property
    def painted(self) -> int:
        """How many pictures are painted for it."""
        return len(self.variants) or self.count

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
        if len(self.variants) > VARIANTS:
            raise InvalidRequest(
                f"{len(self.variants)} pictures were asked for, but at most {VARIANTS} are compared at once."
            )
        if self.variants and self.count > 1:
            raise InvalidRequest("a comparison is one sheet: leave the count at 1.")


def seeds(request: Paint, place: int) -> tuple[int, int]:
    """The seed and the variation seed with which its picture at this place, 1 to count, is painted alone."""
    seed, variation_seed = request.seed, request.variation_seed
    if request.variation:
        return seed, (variation_seed + place - 1) % (SEED[1] + 1)
    return (seed + place - 1) % (SEED[1] + 1), variation_seed


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a job is, over all its pictures; `preview` is a small JPEG of what can be seen so far."""

    job: JobId
    step: int
    steps: int
    preview: bytes


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A finished PNG with its recipe inside.

    `flagged`: the safety check has something against it; what must not be seen at all has no bytes then.
    """

    png: bytes
    seed: int
    width: int
    height: int
    flagged: bool = False


@dataclass(frozen=True, kw_only=True)
class Score:
    """How well a compared picture fits its prompt: 100 times CLIP's cosine; None where there is no CLIP."""

    name: str
    clip: float | None


@dataclass(frozen=True, kw_only=True)
class Painted:
    """The job's pictures, in the order of their seeds; `seconds` is the engine time it was charged.

    Of a comparison there is one, the sheet, and `scores` are of what stands on it.
    """

    job: JobId
    pictures: tuple[Picture, ...]
    seconds: float
    scores: tuple[Score, ...] = ()
