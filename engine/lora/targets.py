"""Targets of a training: the modules of SDXL that it changes, each with its rank and alpha."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from engine.lora.key_names import KeyNames, Place
from engine.lora.lycoris_change import count_numbers
from engine.messages import LOW_RANK, UNET_PARTS, AdapterKind, InvalidRequest, Part, TrainingSettings

ATTENTION = (".to_q", ".to_k", ".to_v", ".to_out.0")
FEED_FORWARD = (".ff.net.0.proj", ".ff.net.2")
CONVOLUTIONS = (".conv1", ".conv2", ".conv_shortcut", "samplers.0.conv")
TEXT_ATTENTION = (".q_proj", ".k_proj", ".v_proj", ".out_proj")
TEXT_FEED_FORWARD = (".fc1", ".fc2")
ON_INPUT = (".ff.net.2", ".fc2")  # whose inputs (IA)3 scales, as its paper does; elsewhere it scales outputs
BLOCK = re.compile(r"(down|up)_blocks\.(\d+)\.|(mid)_block\.")
UNET_ENDINGS = (
    (Part.ATTENTION, ATTENTION),
    (Part.FEED_FORWARD, FEED_FORWARD),
    (Part.CONVOLUTIONS, CONVOLUTIONS),
)


@dataclass(frozen=True, kw_only=True)
class Target:
    """A module to train: the part of the model that it belongs to, and the rank and alpha of its change."""

    part: Part
    rank: int
    alpha: float


def training_targets(names: KeyNames, settings: TrainingSettings) -> dict[Place, Target]:
    """The modules that a training with these settings changes, in the model's order.

    Raises InvalidRequest where a named block has nothing to train, or where nothing would be trained.
    """
    parts = {place: part for place in names.shapes if (part := find_part(place)) is not None}
    refuse_absent(settings, parts)
    targets = {}
    for place, part in parts.items():
        rank = _place_rank(place, part, settings)
        if rank:
            targets[place] = Target(part=part, rank=rank, alpha=settings.part_alpha(part, rank))
    if not targets:
        raise InvalidRequest("Nothing would learn, since all ranks of what this model has are 0.")
    return targets


def find_part(place: Place) -> Part | None:
    """The part of the model that this module belongs to, or None where no training changes it."""
    if place.component == "unet":
        return next((part for part, endings in UNET_ENDINGS if place.path.endswith(endings)), None)
    if not place.path.endswith(TEXT_ATTENTION + TEXT_FEED_FORWARD):
        return None
    return Part.TEXT if place.component == "text_encoder" else Part.TEXT_2


def _place_rank(place: Place, part: Part, settings: TrainingSettings) -> int:
    if place.component != "unet":
        trains = settings.feed_forward or place.path.endswith(TEXT_ATTENTION)
        return settings.part_rank(part) if trains else 0
    block = block_name(place.path)
    return settings.block_rank(part, block) if not settings.blocks or block in settings.blocks else 0


def count_parameters(
    names: KeyNames, targets: Mapping[Place, Target], kind: AdapterKind = AdapterKind.LORA
) -> dict[Part, int]:
    """How many numbers are trained in each part that trains, in the order of the parts."""
    counts = dict.fromkeys(Part, 0)
    for place, target in targets.items():
        out, *inside = names.shapes[place]
        if kind in LOW_RANK:
            count = target.rank * (out + math.prod(inside)) + (out if kind is AdapterKind.DORA else 0)
        else:
            on_input = place.path.endswith(ON_INPUT)
            count = count_numbers(kind, names.shapes[place], target.rank, on_input=on_input)
        counts[target.part] += count
    return {part: count for part, count in counts.items() if count}


def refuse_absent(settings: TrainingSettings, parts: Mapping[Place, Part]) -> None:
    """Raise InvalidRequest for a block that has none of the parts that train."""
    trained = [part for part in UNET_PARTS if settings.part_rank(part)] or [Part.ATTENTION]
    present = {block_name(place.path) for place, part in parts.items() if part in trained}
    for name in (*settings.blocks, *settings.ranked_blocks):
        if name not in present:
            raise InvalidRequest(
                f"The block {name} has nothing to train here. Choose from {', '.join(sorted(present))}."
            )


def block_name(path: str) -> str:
    """The block of a module of the UNet: "down.1", "mid" or "up.0"; "" outside the blocks."""
    match = BLOCK.match(path)
    if not match:
        return ""
    return match[3] or f"{match[1]}.{match[2]}"
