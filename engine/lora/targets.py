"""Targets of a training: the modules of SDXL that it changes."""

import re
from collections.abc import Iterable

from engine.lora.key_names import KeyNames, Place
from engine.messages import InvalidRequest, TrainingSettings

ATTENTION = (".to_q", ".to_k", ".to_v", ".to_out.0")
FEED_FORWARD = (".ff.net.0.proj", ".ff.net.2")
CONVOLUTIONS = (".conv1", ".conv2", ".conv_shortcut", "samplers.0.conv")
TEXT_ATTENTION = (".q_proj", ".k_proj", ".v_proj", ".out_proj")
TEXT_FEED_FORWARD = (".fc1", ".fc2")
BLOCK = re.compile(r"(down|up)_blocks\.(\d+)\.|(mid)_block\.")


def target_ranks(names: KeyNames, settings: TrainingSettings) -> dict[Place, int]:
    """The rank of every module that a training with these settings changes, in the model's order.

    Raises InvalidRequest where a named block has nothing to train.
    """
    unet = ATTENTION + (FEED_FORWARD if settings.feed_forward else ())
    unet += CONVOLUTIONS if settings.convolutions else ()
    text = TEXT_ATTENTION + (TEXT_FEED_FORWARD if settings.feed_forward else ())
    endings = {
        "unet": unet,
        "text_encoder": text if settings.text_encoder else (),
        "text_encoder_2": text if settings.text_encoder_2 else (),
    }
    places = [place for place in names.shapes if place.path.endswith(endings[place.component])]
    refuse_absent(settings.blocks, places)
    return {
        place: settings.rank
        for place in places
        if place.component != "unet" or not settings.blocks or block_name(place.path) in settings.blocks
    }


def refuse_absent(blocks: Iterable[str], places: Iterable[Place]) -> None:
    """Raise InvalidRequest for a block that has none of these places."""
    present = sorted({block_name(place.path) for place in places if place.component == "unet"})
    for name in blocks:
        if name not in present:
            raise InvalidRequest(
                f"The block {name} has nothing to train here. Choose from {', '.join(present)}."
            )


def block_name(path: str) -> str:
    """The block of a module of the UNet: "down.1", "mid" or "up.0"; "" outside the blocks."""
    match = BLOCK.match(path)
    if not match:
        return ""
    return match[3] or f"{match[1]}.{match[2]}"
