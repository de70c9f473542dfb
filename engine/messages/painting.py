"""Messages of painting: the request for pictures, its progress, and the pictures."""

from dataclasses import dataclass, field
from enum import StrEnum

from engine.messages.checks import InvalidRequest, check_adapter_name, check_integer, check_number, check_text
from engine.messages.files import Sha256
from engine.messages.jobs import FlaggedPolicy, JobId
from engine.messages.sources import BLENDED, HIRES, STRENGTH, Finish, Ingredient, Source

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
    """The samplers, under the names that A1111 and the programs that read its metadata use."""

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
        for side, pixels in (("The width", self.width), ("The height", self.height)):
            check_integer(side, pixels, *SIDE)
            if pixels % SIDE_MULTIPLE:
                nearest = max(SIDE[0], round(pixels / SIDE_MULTIPLE) * SIDE_MULTIPLE)
                raise InvalidRequest(f"{side} must be a multiple of 8, such as {nearest}, not {pixels}.")


@dataclass(frozen=True, kw_only=True)
class Ratio:
    """A picture's aspect ratio. The engine picks the pixels, at the area that its model was trained on."""

    across: int
    down: int

    def __post_init__(self) -> None:
        if self.across < 1 or self.down < 1 or not self.down <= 4 * self.across <= 16 * self.down:
            raise InvalidRequest(f"The ratio must be from 1:4 to 4:1, not {self.across}:{self.down}.")


@dataclass(frozen=True, kw_only=True)
class AdapterUse:
    """One LoRA in a picture: its file by content hash, its name as people know it, and its weight."""

    name: str
    sha256: Sha256
    weight: float = 1.0

    def __post_init__(self) -> None:
        check_adapter_name(self.name)
        check_number(f"The weight of LoRA {self.name}", self.weight, *ADAPTER_WEIGHT)


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One of the pictures of a comparison: its name, and its own LoRAs and refiner share."""

    name: str
    adapters: tuple[AdapterUse, ...] = ()
    refiner: float = 0.0

    def __post_init__(self) -> None:
        check_text("The name of a variant", self.name)
        check_number("--refiner", self.refiner, *REFINER)


@dataclass(frozen=True, kw_only=True)
class Paint:
    """A request for 1 to 4 pictures from one recipe.

    `seed` belongs to the first picture, the next ones have seed + 1, seed + 2 and so on (after 2^63 - 1 comes
    0), so that each can be painted again alone. With a `variation` above 0 they all have `seed`, and their
    noise is mixed with that of `variation_seed`, variation_seed + 1 and so on: a little at 0.1, and nothing
    of `seed` is left at 1. `refiner` is the share of the noise, 0 to 0.5, that the refiner removes at the end
    (ensemble of experts). `guidance_scale` up to 1 paints without classifier-free guidance. With `variants`
    there is one picture, a sheet of them all with the same seed, each with its own LoRAs and refiner;
    `adapters` are then those that are compared. A model without a refiner leaves out the variants that need
    it. `fast` leaves out part of the work (engine/sdxl/fast_steps.py), which changes the picture a
    little. `source` is a picture to start from in place of noise, `blend` some that are mixed to start from,
    at `blend_strength`; with either, or with an enlargement alone, the prompt may be empty. `hires` above 1
    paints at `size` first, and finishes so many times as large. `finish` is done to the denoised picture.
    `note` is a line for the card, and `repeats` the picture that is painted again, such as k3f9qa:2, or "".
    The engine reads neither. `flagged` is what happens to pictures that the safety check flags, if there is
    one. Raises InvalidRequest where a value is out of its range.
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
    fast: bool = False
    source: Source | None = None
    blend: tuple[Ingredient, ...] = ()
    blend_strength: float = 0.7
    hires: float = 1.0
    finish: Finish = field(default_factory=Finish)
    note: str = ""
    repeats: str = ""
    flagged: FlaggedPolicy = FlaggedPolicy.SHOW

    @property
    def denoises(self) -> bool:
        """Whether anything is denoised: a picture at strength 0 is only finished, as when it is enlarged."""
        return self.source is None or self.source.strength > 0

    @property
    def picture_count(self) -> int:
        """How many pictures are painted: one of each variant, or of each seed."""
        return len(self.variants) or self.count

    def __post_init__(self) -> None:
        check_text("The prompt", self.prompt)
        if not self.prompt.strip() and self.source is None and not self.blend:
            raise InvalidRequest("The prompt is empty. Say what to paint.")
        check_text("The negative prompt", self.negative_prompt)
        check_text("The note", self.note)
        check_integer("--steps", self.steps, *STEPS)
        check_number("--cfg", self.guidance_scale, *GUIDANCE)
        check_integer("--seed", self.seed, *SEED)
        check_integer("--count", self.count, *COUNT)
        check_number("--refiner", self.refiner, *REFINER)
        check_number("--variation", self.variation, *VARIATION)
        check_integer("--variation-seed", self.variation_seed, *SEED)
        check_number("--hires", self.hires, *HIRES)
        self._check_starts()
        if self.sampler is Sampler.LCM and self.steps > LCM_STEPS:
            raise InvalidRequest(
                f"--steps must be at most {LCM_STEPS} with the LCM sampler, not {self.steps}."
            )
        if len(self.adapters) > ADAPTERS_AT_ONCE:
            raise InvalidRequest(
                f"There are {len(self.adapters)} LoRAs. At most {ADAPTERS_AT_ONCE} can be mixed."
            )
        if len({use.sha256 for use in self.adapters}) < len(self.adapters):
            raise InvalidRequest("The same LoRA is there twice. Name it once, with one weight.")
        if len(self.variants) > VARIANTS:
            raise InvalidRequest(
                f"There are {len(self.variants)} pictures. At most {VARIANTS} can be compared at once."
            )
        if self.variants and self.count > 1:
            raise InvalidRequest("A comparison is one sheet. Leave --count at 1.")

    def _check_starts(self) -> None:
        """Check what it starts from."""
        if self.blend and not BLENDED[0] <= len(self.blend) <= BLENDED[1]:
            raise InvalidRequest(
                f"A blend needs {BLENDED[0]} to {BLENDED[1]} pictures, not {len(self.blend)}."
            )
        check_number("--strength", self.blend_strength, *STRENGTH)
        if self.blend and not any(part.weight for part in self.blend):
            raise InvalidRequest("All pictures of the blend have the weight 0. Give at least one more.")
        if self.source is not None and self.blend:
            raise InvalidRequest("A picture starts from one picture or from a blend, not from both.")
        if self.variants and (self.source is not None or self.blend):
            raise InvalidRequest("A comparison starts from words alone.")
        part = self.source is not None and (self.source.is_partial or self.source.is_extended)
        if self.hires > 1 and part:
            raise InvalidRequest("--hires finishes whole pictures. Leave it out where a part is changed.")
        if self.variants and (self.hires > 1 or self.finish != Finish()):
            raise InvalidRequest("A comparison is not finished further. Paint its best one again.")

    @property
    def strength(self) -> float | None:
        """The share of the steps that are done, where it starts from a picture; None where from noise."""
        if self.source is not None:
            return self.source.strength
        return self.blend_strength if self.blend else None

    @property
    def start_files(self) -> tuple[Sha256, ...]:
        """The pictures that it starts from, and the mask."""
        masks = [self.source.mask] if self.source is not None and self.source.mask else []
        starts = [start.sha256 for start in (self.source, *self.blend) if start is not None]
        return (*starts, *masks)

    @property
    def sent_files(self) -> tuple[Sha256, ...]:
        """The pictures and masks that it needs and that were not painted here, but sent."""
        masks = [self.source.mask] if self.source is not None and self.source.mask else []
        starts = [start for start in (self.source, *self.blend) if start is not None and not start.job]
        return tuple(dict.fromkeys((*(start.sha256 for start in starts), *masks)))


def picture_seeds(request: Paint, place: int) -> tuple[int, int]:
    """The seed and the variation seed that paint its picture at this place, 1 to count, alone."""
    seed, variation_seed = request.seed, request.variation_seed
    if request.variation:
        return seed, (variation_seed + place - 1) % (SEED[1] + 1)
    return (seed + place - 1) % (SEED[1] + 1), variation_seed


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a job is, over all its pictures. `preview` is a small JPEG of the unfinished picture."""

    job: JobId
    step: int
    steps: int
    preview: bytes


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A finished PNG with its recipe inside.

    `flagged`: the safety check flags it. A picture that must not be seen at all has no bytes then.
    `details`: how many were found and painted again, None where none were asked for.
    """

    png: bytes
    seed: int
    width: int
    height: int
    flagged: bool = False
    details: int | None = None


@dataclass(frozen=True, kw_only=True)
class ClipScore:
    """How well a compared picture fits its prompt: 100 times CLIP's cosine, None where there is no CLIP."""

    name: str
    clip: float | None


@dataclass(frozen=True, kw_only=True)
class Painted:
    """The job's pictures, in the order of their seeds. `seconds` is the engine time that it is charged.

    A comparison has one picture, the sheet, and `scores`, one of each picture on it.
    """

    job: JobId
    pictures: tuple[Picture, ...]
    seconds: float
    scores: tuple[ClipScore, ...] = ()
