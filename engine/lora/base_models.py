"""Detection of the base model that a LoRA was made for, from its metadata, key names and widths."""

import re
from collections.abc import Iterable, Mapping

from engine.lora.key_names import KeyNames
from engine.lora.safetensors_file import Header, printable
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
# Stable Diffusion XL and its finetunes: a LoRA of one works in all of them.
FAMILY = re.compile(r"xl|pony|illustrious|noob|animagine")
UNKNOWN = frozenset({"", "none", "unknown", "null", "other"})


def refuse_other_models(header: Header, names: KeyNames, lora: str) -> None:
    """Raise InvalidRequest where metadata, key names or widths are of another base model."""
    if made_for := model_from_metadata(header.metadata) or model_from_keys(header.entries):
        raise InvalidRequest(f"{lora} was made for {made_for}, but the model here is SDXL.")
    widths = {shape[1] for place, shape in names.shapes.items() if is_text_input(place.path)}
    for key, entry in header.entries.items():
        meaning = names.parse(key)
        if meaning and meaning.part == "down" and is_text_input(meaning.module) and len(entry.shape) == 2:
            width = entry.shape[1]
            if widths and width not in widths:
                made_for = TEXT_WIDTHS.get(width, "another model")
                raise InvalidRequest(
                    f"{lora} was made for {made_for} (text width {width}). "
                    f"The text width here is {max(widths)}."
                )


def model_from_metadata(metadata: Mapping[str, str]) -> str:
    """The base model in the metadata, or "" where that is SDXL or unknown."""
    for field in ("ss_base_model_version", "modelspec.architecture"):
        name = metadata.get(field, "").strip().lower()
        if other := next((model for pattern, model in OTHERS if pattern.search(name)), ""):
            return other
        if name not in UNKNOWN and not FAMILY.search(name):
            return printable(name)
    return ""


def model_from_keys(keys: Iterable[str]) -> str:
    """The base model that the key names belong to, or "" where that may be SDXL."""
    for key in keys:
        if TRANSFORMER.search(key):
            return "a transformer model such as FLUX"
        if key.startswith("lora_te_"):
            return "Stable Diffusion 1 or 2"
    return ""


def is_text_input(module: str) -> bool:
    """Whether the module's input are the text embeddings, so that it is as wide as they are."""
    return re.search(r"attn2[._](processor[._])?to[._][kv](_lora)?$", module) is not None
