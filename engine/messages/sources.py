"""What a picture starts from beside words, and what becomes of it once it is denoised."""

import math
from dataclasses import dataclass, field

from engine.messages.checks import InvalidRequest, check_integer, check_number, check_text
from engine.messages.dataset import CAPTION_CHARACTERS
from engine.messages.files import Sha256

STRENGTH = (0.0, 1.0)
LEAST_STRENGTH = 0.01  # that is painted on with: less would need more steps than anybody may ask for
DETAIL_STRENGTH = (0.05, 1.0)
EXTENSION = (0, 1536)  # pixels on each side
ENLARGEMENTS = (2, 4)
LARGEST_ENLARGED = 4096  # pixels of a side of the largest square that a picture is enlarged to
HIRES = (1.0, 2.0)
HIRES_STRENGTH = 0.25  # of the steps are done at the larger size (docs/measurements.md)
BLENDED = (2, 5)
GROW = (0.0, 0.5)  # shares of a picture's shorter side
FEATHER = (0.0, 0.5)
SHRINK = (1.0, 4.0)
FACE = "face"


@dataclass(frozen=True, kw_only=True)
class Margins:
    """How many pixels a picture is extended by on each side, 0 to 1536."""

    left: int = 0
    top: int = 0
    right: int = 0
    bottom: int = 0

    def __post_init__(self) -> None:
        for side, pixels in vars(self).items():
            check_integer(f"The {side} margin", pixels, *EXTENSION)

    def __bool__(self) -> bool:
        return any(vars(self).values())


@dataclass(frozen=True, kw_only=True)
class Region:
    """A rectangle of a picture, as shares of its width and height from the upper left."""

    left: float
    top: float
    right: float
    bottom: float

    def __post_init__(self) -> None:
        for low, high in ((self.left, self.right), (self.top, self.bottom)):
            check_number("A place's edge", low, 0.0, 1.0)
            check_number("A place's edge", high, 0.0, 1.0)
            if low >= high:
                raise InvalidRequest("A place must have a width and a height.")


@dataclass(frozen=True, kw_only=True)
class Ingredient:
    """One of the pictures that are blended, and its share of the blend, relative to the others'.

    `job` and `place` say which picture of which job it is, where it was painted here.
    """

    sha256: Sha256
    weight: float = 1.0
    job: str = ""
    place: int = 1

    def __post_init__(self) -> None:
        check_number("The weight of a picture", self.weight, 0.0, 10.0)


@dataclass(frozen=True, kw_only=True)
class Source:
    """A picture to start from.

    `strength` is the share of the denoising steps that change it, as in StableDiffusionXLImg2ImgPipeline: 0
    leaves it as it is, 1 leaves nothing of it. `job` and `place` say which picture of which job it is, where
    it was painted here, and `change` what is done to it: "part changed".

    Where it has a `mask`, `regions` or `where`, only that part is painted, and the rest stays to the byte.
    `mask` is a grey picture of its size: white is painted anew, black stays, grey lies between. `regions` are
    rectangles, which people called `area`; `where` names what is in the picture, of which `caption` says what
    it shows. `invert` paints all else, `grow` widens the part by a share of the picture's shorter side,
    `feather` softens its edge, `fill` first puts the colours around it in its place. `padding`: only the
    part, with so many pixels around it, is painted at the model's full area and set in (padding_mask_crop of
    StableDiffusionXLInpaintPipeline); None paints the whole picture.

    `margins` extend the picture, by `share` of its side, after it was made `shrink` times smaller. Only what
    is new is painted then.
    """

    sha256: Sha256
    strength: float = 0.6
    mask: Sha256 | None = None
    padding: int | None = None
    margins: Margins = field(default_factory=Margins)
    shrink: float = 1.0
    share: float = 0.5
    where: str = ""
    caption: str = ""
    area: str = ""
    regions: tuple[Region, ...] = ()
    invert: bool = False
    grow: float = 0.0
    feather: float = 0.0
    fill: bool = False
    job: str = ""
    place: int = 1
    change: str = ""

    def __post_init__(self) -> None:
        check_number("--strength", self.strength, *STRENGTH)
        if self.padding is not None:
            check_integer("The padding", self.padding, 0, EXTENSION[1])
        check_text("The change", self.change, 200)
        check_text("--place", self.area, 200)
        check_text("--where", self.where, 200)
        check_text("The caption", self.caption, CAPTION_CHARACTERS)
        check_number("--grow", self.grow, *GROW)
        check_number("--feather", self.feather, *FEATHER)
        check_number("The shrinking", self.shrink, *SHRINK)
        if self.is_partial and self.margins:
            raise InvalidRequest("A picture is either extended or changed in a part. Do one after the other.")

    @property
    def is_partial(self) -> bool:
        """Whether only a part of the picture is painted anew."""
        return self.mask is not None or bool(self.regions) or bool(self.where)

    @property
    def is_extended(self) -> bool:
        """Whether the picture gets new edges."""
        return bool(self.margins)


@dataclass(frozen=True, kw_only=True)
class Finish:
    """What becomes of a picture once it is denoised, in this order.

    `detail` finds parts that are each painted again at the model's full area and set in, at
    `detail_strength`: "face", or words for a thing; nothing where empty. `enlarge` makes it 2 or 4 times as
    wide and high by the super-resolution network, 1 leaves it; `refine` above 0 then repaints the enlarged
    picture in tiles at that strength.
    """

    detail: str = ""
    detail_strength: float = 0.4
    enlarge: int = 1
    refine: float = 0.0

    def __post_init__(self) -> None:
        check_text("--detail", self.detail, 200)
        check_number("--detail-strength", self.detail_strength, *DETAIL_STRENGTH)
        check_number("--refine", self.refine, *STRENGTH)
        if self.enlarge not in (1, *ENLARGEMENTS):
            raise InvalidRequest(f"A picture can be enlarged 2 or 4 times, not {self.enlarge} times.")


def steps_at_strength(steps: int, strength: float) -> tuple[int, int]:
    """How many steps to ask for, so that at least one is done of a picture that is painted on from at this
    strength above 0, and how many are done then.
    """
    strength = max(strength, LEAST_STRENGTH)
    steps = max(steps, math.ceil(1 / strength))
    return steps, max(1, int(steps * strength))


def check_enlarged(width: int, height: int, factor: int) -> None:
    """Raise InvalidRequest where a picture of this size in pixels would be too large, enlarged so often."""
    most = LARGEST_ENLARGED**2
    if width * height * factor**2 <= most:
        return
    largest = max((other for other in ENLARGEMENTS if width * height * other**2 <= most), default=None)
    advice = f" Enlarge it {largest} times." if largest else ""
    raise InvalidRequest(
        f"{width}x{height} enlarged {factor} times would be {width * factor}x{height * factor}. At most "
        f"{most:,} pixels are allowed, such as {LARGEST_ENLARGED}x{LARGEST_ENLARGED}.{advice}"
    )
