"""The parts of a model that a training can change, each with its rank, alpha or learning rate."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum

from engine.messages.checks import InvalidRequest, check_integer, check_number

BLOCK = re.compile(r"(?:down|up)\.\d{1,2}|mid", re.ASCII)


class Part(StrEnum):
    """The parts: three kinds of layers of the UNet, and the two text encoders."""

    ATTENTION = "attention"
    FEED_FORWARD = "feed-forward"
    CONVOLUTIONS = "conv"
    TEXT = "text"
    TEXT_2 = "text-2"


UNET_PARTS = (Part.ATTENTION, Part.FEED_FORWARD, Part.CONVOLUTIONS)


@dataclass(frozen=True, kw_only=True)
class PartNumber:
    """A number of a part of the model, or of a block of its UNet such as "down.1"."""

    part: str
    number: float

    def __str__(self) -> str:
        return f"{self.part}={repr(float(self.number)).removesuffix('.0')}"


def find_number(numbers: Sequence[PartNumber], part: str) -> float | None:
    """The number of this part or block, or None where it has none of its own."""
    return next((number.number for number in numbers if number.part == part), None)


def check_part_numbers(
    flag: str, numbers: Sequence[PartNumber], bounds: tuple[float, float], *, with_blocks: bool = False
) -> None:
    """Raise InvalidRequest unless each part has one number within the bounds. flag: opens the sentences.

    with_blocks: blocks may have numbers, and all must be whole.
    """
    parts = [number.part for number in numbers]
    for number in numbers:
        check_part(flag, number.part, with_blocks=with_blocks)
        if parts.count(number.part) > 1:
            raise InvalidRequest(f"{flag} has {number.part} twice. Say it once.")
        name = f"{flag} {number.part}"
        if not with_blocks:
            check_number(name, number.number, *bounds)
        else:
            whole = int(number.number) if number.number == int(number.number) else number.number
            check_integer(name, whole, int(bounds[0]), int(bounds[1]))


def check_part(flag: str, part: str, *, with_blocks: bool) -> None:
    """Raise InvalidRequest unless there is such a part, or a block where those are allowed."""
    parts: Collection[str] = [str(part) for part in Part]
    if part not in parts and not (with_blocks and BLOCK.fullmatch(part)):
        blocks = ", and blocks such as down.1, mid and up.0" if with_blocks else ""
        raise InvalidRequest(f"{flag} has no part {part!r}. There are {', '.join(parts)}{blocks}.")
