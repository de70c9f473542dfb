"""The base model that a LoRA was made for, as its metadata, its names and its widths tell."""

import re
from collections.abc import Iterable, Mapping

from engine.lora.key_names import KeyNames
from engine.lora.safetensors_file import Header, shown
from engine.messages import InvalidRequest

TRANSFORMER = re.compile(r"double_blocks|single_blocks|joint_blocks|single_transformer_blocks|^transformer\.")
TEXT_WIDTHS = {
    768: "Stable Diffusion 1",
    1024: "Stable Diffusion 2",
    1280: "the refiner of Stable Diffusion XL",
    2048: "Stable Diffusion XL",
}
OTHERS = tuple(
    (re.compile(pattern), name)
    for pattern, name in (
        (r"refiner", "the refiner of Stable Diffusion XL"),
        (r"flux", "FLUX"),
        (r"stable-?diffusion-3|\bsd[ _-]?3", "Stable Diffusion 3"),
        (r"stable-diffusion-(v1|1)|\bsd[ _-]?v?1|^sd15", "Stable Diffusion 1"),
        (r"stable-diffusion-(v2|2)|\bsd[ _-]?v?2", "Stable Diffusion 2"),
        (r"kolors", "Kolors"),
        (r"pixart", "PixArt"),
    )
)
# Of Stable Diffusion XL itself, by any of its names, or taught further: a LoRA of one counts in all of them.
FAMILY = re.compile(r"xl|pony|illustrious|noob|animagine")
NOT_TOLD = frozenset({"", "none", "unknown", "null", "other"})


def refuse_other_models(header: Header, names: KeyNames, lora: str) -> None:
    """Raise InvalidRequest when the metadata, the names or the widths belong to another base model."""
    if made_for := told_model(header.metadata) or named_model(header.entries):
        raise InvalidRequest(f"{lora} was made for {made_for}, but Stable Diffusion XL paints here.")
    ours = {shape[1] for place, shape in names.shapes.items() if is_text_input(place.path)}
    for key, entry in header.entries.items():
        meaning = names.read(key)
        if meaning and meaning.part == "down" and is_text_input(meaning.module) and len(entry.shape) == 2:
            width = entry.shape[1]
            if ours and width not in ours:
                made_for = TEXT_WIDTHS.get(width, "another model")
                raise InvalidRequest(
                    f"{lora} was made for {made_for} (text width {width}), but the width here is {max(ours)}."
                )


def told_model(metadata: Mapping[str, str]) -> str:
    """The base model that the metadata names, or nothing when it is SDXL or untold."""
    for field in ("ss_base_model_version", "modelspec.architecture"):
        told = metadata.get(field, "").strip().lower()
        if other := next((name for pattern, name in OTHERS if pattern.search(told)), ""):
            return other
        if told not in NOT_TOLD and not FAMILY.search(told):
            return shown(told)
    return ""


def named_model(keys: Iterable[str]) -> str:
    """The base model that the keys give away, or nothing."""
    for key in keys:
        if TRANSFORMER.search(key):
            return "a transformer model such as FLUX"
        if key.startswith("lora_te_"):
            return "Stable Diffusion 1 or 2"
    return ""


def is_text_input(module: str) -> bool:
    """Whether the module reads the text embeddings: its input is as wide as they are."""
    return re.search(r"attn2[._](processor[._])?to[._][kv](_lora)?$", module) is not None
