"""Options that several commands share."""

from typing import Annotated

from commands.syntax.lora_syntax import Mention, read_mentions
from commands.syntax.picture_reference import PictureReference, read_picture_reference
from commands.syntax.samplers import read_sampler
from commands.syntax.sizes import read_size
from commands.syntax.spec import Option
from engine.messages import ADAPTER_WEIGHT, COUNT, GUIDANCE, SEED, SIDE, STEPS, Ratio, Sampler, Size

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
PictureOption = Annotated[
    PictureReference | None,
    Option("The picture, such as k3f9qa:2", kind="image", read=read_picture_reference, main=True),
]
PictureLoras = Annotated[
    tuple[Mention, ...],
    Option("LoRAs, or those of the picture", *ADAPTER_WEIGHT, kind="loras", read=read_mentions),
]
Seed = Annotated[int | None, Option("The same seed paints the same", *SEED, otherwise="random")]
PictureCount = Annotated[int, Option("Number of pictures", *COUNT, aliases=("n",))]

NO_PICTURE = "Which picture? Send one, or name a job's, such as --image k3f9qa:2."
