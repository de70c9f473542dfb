"""Options that several commands share."""

from typing import Annotated

from commands.syntax.samplers import read_sampler
from commands.syntax.sizes import read_size
from commands.syntax.spec import Option
from engine.messages import GUIDANCE, SIDE, STEPS, Ratio, Sampler, Size

Steps = Annotated[int, Option("Denoising steps", *STEPS)]
Guidance = Annotated[float, Option("Guidance scale", *GUIDANCE)]
Unwanted = Annotated[str, Option("What to avoid", aliases=("negative",), long=True, main=True)]
Shape = Annotated[
    Size | Ratio,
    Option(
        "832x1216, 3:2, square, portrait, landscape, wide or tall",
        *SIDE,
        kind="size",
        aliases=("ar", "aspect"),
        parts=(("width", "w"), ("height", "h")),
        read=read_size,
        otherwise="1:1, or as the picture that is started from",
    ),
]
SamplerName = Annotated[
    Sampler,
    Option(
        "How to denoise. DPM++ SDE and LCM vary more at a high cfg",
        kind="sampler",
        read=read_sampler,
    ),
]
