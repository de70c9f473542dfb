"""Key names: the many names that trainers give to a module of SDXL, and the one that is written here.

Kohya's names (diffusers paths or SGM paths), diffusers' old and new names, and PEFT's names all lead to a
place: a component of the pipeline and the path of a linear or convolution layer in it. The tables are made
from the model itself, so a name is known exactly where the model has the module. This module knows no files.
"""

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from torch import nn

Component = Literal["unet", "text_encoder", "text_encoder_2"]
Part = str
"""A part of a module's change: "down", "up", "alpha", "magnitude", "scalar", or a name of LyCORIS's."""
COMPONENTS: tuple[Component, ...] = ("unet", "text_encoder", "text_encoder_2")

PREFIXES: tuple[tuple[str, Component], ...] = (
    ("lora_unet_", "unet"),
    ("lora_te1_", "text_encoder"),
    ("lora_te2_", "text_encoder_2"),
    ("unet.", "unet"),
    ("text_encoder.", "text_encoder"),
    ("text_encoder_2.", "text_encoder_2"),
    ("diffusion_model.", "unet"),
    ("model.diffusion_model.", "unet"),
    ("clip_l.", "text_encoder"),
    ("clip_g.", "text_encoder_2"),
    ("text_encoders.clip_l.transformer.", "text_encoder"),
    ("text_encoders.clip_g.transformer.", "text_encoder_2"),
)
WRAPPED = ("base_model.model.", "lycoris_")  # PEFT's model around the real one, and LyCORIS's
ENDINGS: tuple[tuple[re.Pattern[str], Mapping[str, Part]], ...] = (
    (re.compile(r"(.+)\.lora_(down|up)\.weight"), {"down": "down", "up": "up"}),
    (re.compile(r"(.+)\.lora_(A|B)(?:\.[\w-]+)?\.weight"), {"A": "down", "B": "up"}),
    (re.compile(r"(.+)\.(?:lora|lora_linear_layer)\.(down|up)\.weight"), {"down": "down", "up": "up"}),
    (re.compile(r"(.+_lora)\.(down|up)\.weight"), {"down": "down", "up": "up"}),
    (re.compile(r"(.+)\.(alpha)"), {"alpha": "alpha"}),
    (re.compile(r"(.+)\.(scalar)"), {"scalar": "scalar"}),
    (re.compile(r"(.+)\.(dora_scale)"), {"dora_scale": "magnitude"}),
    (re.compile(r"(.+)\.lora_(mid)\.weight"), {}),
    (re.compile(r"(.+)\.(hada_(?:w[12]_[ab]|t[12])|lokr_(?:w[12](?:_[ab])?|t2)|oft_blocks|rescale)"), {}),
    (re.compile(r"((?:lora|lycoris)_[^.]+)\.(weight|on_input)"), {}),  # (IA)3
    (
        re.compile(r"(.+)\.(lora_magnitude_vector)(?:\.[\w-]+)??(?:\.weight)?"),
        {"lora_magnitude_vector": "magnitude"},
    ),
)
OLD_ATTENTION = re.compile(r"(.+?)(?:\.processor)?\.to_(q|k|v|out)_lora")
OLD_UNET = {"q": "to_q", "k": "to_k", "v": "to_v", "out": "to_out.0"}
OLD_TEXT = {"q": "q_proj", "k": "k_proj", "v": "v_proj", "out": "out_proj"}

SGM_RESNET = {
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
SGM_OUTSIDE = {
    "conv_in": "input_blocks.0.0",
    "conv_out": "out.2",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
}
BLOCK = re.compile(
    r"(?:(?:down|up)_blocks\.\d+|mid_block)\.(?:resnets|attentions|downsamplers|upsamplers)\.\d+"
)


@dataclass(frozen=True, kw_only=True, order=True)
class Place:
    """A linear or convolution layer: the pipeline's component and the path of the module in it."""

    component: Component
    path: str

    def __str__(self) -> str:
        return f"{self.component}.{self.path}"


@dataclass(frozen=True, kw_only=True)
class KeyMeaning:
    """The meaning of a key: a part of a LoRA, and the places that it may belong to.

    `places` is empty where the model has no such module, and has two where the key names no component and
    both text encoders have such a module.
    """

    places: tuple[Place, ...]
    part: Part
    module: str


class KeyNames:
    """The names of every linear and convolution layer of one SDXL, without PEFT layers in it yet."""

    def __init__(self, components: Mapping[Component, nn.Module]) -> None:
        self.shapes = {
            Place(component=component, path=path): weight_shape(module)
            for component, root in components.items()
            for path, module in root.named_modules()
            if isinstance(module, nn.Linear) or (isinstance(module, nn.Conv2d) and module.groups == 1)
        }
        # The width of the token embeddings of each text encoder.
        self.widths = {
            component: module.embedding_dim
            for component, root in components.items()
            for path, module in root.named_modules()
            if isinstance(module, nn.Embedding) and path.endswith("token_embedding")
        }
        self._tables: dict[Component, dict[str, Place]] = {component: {} for component in components}
        self._sgm = sgm_names(place.path for place in self.shapes if place.component == "unet")
        for place in self.shapes:
            aliases = (
                text_names(place.path) if place.component != "unet" else {place.path, self._sgm[place.path]}
            )
            for alias in aliases:
                self._tables[place.component][kohya_path(alias)] = place

    def parse(self, key: str) -> KeyMeaning | None:
        """The meaning of the key, or None where it is no key of a LoRA."""
        for pattern, parts in ENDINGS:
            if ending := pattern.fullmatch(key):
                module = ending[1]
                part = parts.get(ending[2], ending[2])
                return KeyMeaning(places=tuple(self._places(module)), part=part, module=module)
        return None

    def kohya_name(self, place: Place) -> str:
        """The module's name in kohya's files: its SGM path in the UNet, and with text_model in CLIP."""
        if place.component == "unet":
            return f"lora_unet_{kohya_path(self._sgm[place.path])}"
        encoder = "te1" if place.component == "text_encoder" else "te2"
        return f"lora_{encoder}_{kohya_path(with_text_model(place.path))}"

    def _places(self, module: str) -> Iterator[Place]:
        named, path = unwrap(module)
        for component in self._tables if named is None else (named,):
            yield from self._lookup(component, path)

    def _lookup(self, component: Component, module: str) -> Iterator[Place]:
        if old := OLD_ATTENTION.fullmatch(module):
            attention = OLD_UNET if component == "unet" else OLD_TEXT
            module = f"{old[1]}.{attention[old[2]]}"
        if place := self._tables[component].get(kohya_path(module)):
            yield place


def weight_shape(module: nn.Linear | nn.Conv2d) -> tuple[int, ...]:
    """The shape of a module's weight, which a quantized one would have to make."""
    if isinstance(module, nn.Linear):
        return module.out_features, module.in_features
    return tuple(module.weight.shape)


def unwrap(module: str) -> tuple[Component | None, str]:
    """The component that the module's name starts with, or None, and the rest without any wrappers.

    Some trainers save a component that is wrapped more than once: unet.unet., unet.base_model.model.
    """
    named: Component | None = None
    while True:
        for prefix in WRAPPED:
            module = module.removeprefix(prefix)
        match = next((pair for pair in PREFIXES if module.startswith(pair[0])), None)
        if match is None or named not in (None, match[1]):
            return named, module
        prefix, named = match
        module = module.removeprefix(prefix)


def kohya_path(path: str) -> str:
    """The path as in kohya's keys."""
    return path.replace(".", "_")


def text_names(path: str) -> set[str]:
    """The paths of a text encoder's module with and without `text_model.`, since class versions differ."""
    return {path.removeprefix("text_model."), with_text_model(path)}


def with_text_model(path: str) -> str:
    """The path of a text encoder's module with `text_model.`, as in CLIP's own classes."""
    return f"text_model.{path.removeprefix('text_model.')}"


def sgm_names(paths: Iterable[str]) -> dict[str, str]:
    """The SGM paths of diffusers' paths. SGM is the code that SDXL was published with (openaimodel.py).

    SGM numbers the layers of all blocks consecutively: a resnet with its attention, and each downsampler. An
    upsampler belongs to the last layer of its block.
    """
    paths = list(paths)
    blocks = sgm_blocks({match[0] for path in paths if (match := BLOCK.match(path))})
    return {path: sgm_name(path, blocks) for path in paths}


def sgm_name(path: str, blocks: Mapping[str, str]) -> str:
    """The SGM path of one path, or the path itself where SGM has no name for it."""
    match = BLOCK.match(path)
    if not match or match[0] not in blocks:
        return SGM_OUTSIDE.get(path, path)
    inside = path[match.end() + 1 :]
    if ".downsamplers." in match[0]:
        inside = "op"
    return f"{blocks[match[0]]}.{SGM_RESNET.get(inside, inside)}"


def sgm_blocks(blocks: set[str]) -> dict[str, str]:
    """The SGM name of each resnet, attention, downsampler and upsampler, by diffusers' name."""
    names = {
        "mid_block.resnets.0": "middle_block.0",
        "mid_block.attentions.0": "middle_block.1",
        "mid_block.resnets.1": "middle_block.2",
    }
    index = 1
    for block in numbered_blocks("down_blocks.{}", blocks):
        for layer in numbered_blocks(f"{block}.resnets.{{}}", blocks):
            names[layer] = f"input_blocks.{index}.0"
            names[layer.replace("resnets", "attentions")] = f"input_blocks.{index}.1"
            index += 1
        if f"{block}.downsamplers.0" in blocks:
            names[f"{block}.downsamplers.0"] = f"input_blocks.{index}.0"
            index += 1
    index = 0
    for block in numbered_blocks("up_blocks.{}", blocks):
        for layer in numbered_blocks(f"{block}.resnets.{{}}", blocks):
            attention = layer.replace("resnets", "attentions")
            names[layer] = f"output_blocks.{index}.0"
            names[attention] = f"output_blocks.{index}.1"
            names[f"{block}.upsamplers.0"] = f"output_blocks.{index}.{2 if attention in blocks else 1}"
            index += 1
    return names


def numbered_blocks(name: str, blocks: set[str]) -> Iterator[str]:
    """The name formatted with 0, 1, 2 and so on, as long as there is a block of that name."""
    for number in itertools.count():
        numbered = name.format(number)
        if not any(f"{block}.".startswith(f"{numbered}.") for block in blocks):
            return
        yield numbered
