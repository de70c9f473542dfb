"""Options of /train on crops: their sizes, how many, and which shapes are left out."""

from typing import Annotated, TypedDict

from commands.syntax.spec import Option
from engine.messages import ASPECT, CROPS, RESIZE


def read_crops(text: str) -> tuple[str, ...]:
    """Sizes from "832x1216, 1216x832"."""
    return tuple(text.replace(",", " ").lower().replace("\u00d7", "x").split())


class CropOptions(TypedDict, total=False):
    """Fields of CropSettings by their flags."""

    crop: Annotated[
        tuple[str, ...],
        Option("Crop to the nearest of these, such as 832x1216, 1216x832", read=read_crops, more=True),
    ]
    resize: Annotated[
        int, Option("Shorter side in pixels before the crop, 0 just covers it", *RESIZE, more=True)
    ]
    crops: Annotated[int, Option("Random crops of each picture", *CROPS, more=True)]
    min_aspect: Annotated[
        float, Option("Leave out pictures with a lower width / height, 0 is none", *ASPECT, more=True)
    ]
    max_aspect: Annotated[
        float, Option("Leave out pictures with a higher width / height, 0 is none", *ASPECT, more=True)
    ]
