"""A LoRA under kohya's names, which every program reads: the same numbers, in the same floats."""

from collections.abc import Mapping

import safetensors.torch
import torch
from torch import Tensor

from engine.lora.adapter_export import hashes, with_metadata
from engine.lora.adapter_file import Adapter
from engine.lora.key_names import KeyNames
from engine.lora.safetensors_file import Header

KOHYA, DIFFUSERS = "kohya", "diffusers"
FORMS = (  # what a key begins with, and whose names have that
    ("lycoris_", "LyCORIS"),
    ("text_encoders.", "ComfyUI"),
    ("diffusion_model.", "ComfyUI"),
    ("model.diffusion_model.", "ComfyUI"),
    ("clip_l.", "OMI"),
    ("clip_g.", "OMI"),
)
ENDINGS = (".lora_down.weight", ".lora_up.weight", ".alpha", ".dora_scale")
OURS = ("lora_unet_", "lora_te1_", "lora_te2_", "bundle_emb.")
LONGEST_FIELD = 65_536  # characters of one field that comes along: frequencies of tags are the longest
BASE = {
    "ss_v2": "False",
    "ss_base_model_version": "sdxl_base_v1-0",
    "ss_network_module": "networks.lora",
    "modelspec.sai_model_spec": "1.0.1",
    "modelspec.architecture": "stable-diffusion-xl-v1-base/lora",
    "modelspec.implementation": "https://github.com/Stability-AI/generative-models",
}


def form_of(header: Header) -> str:
    """Whose names the file has: "kohya", "diffusers", "PEFT", "LyCORIS", "ComfyUI" or "OMI"."""
    if all(key.startswith(OURS) for key in header.entries):
        return KOHYA
    if any("base_model.model." in key for key in header.entries):
        return "PEFT"
    return next(
        (form for start, form in FORMS if any(key.startswith(start) for key in header.entries)), DIFFUSERS
    )


def is_kohya(header: Header) -> bool:
    """Whether the file can stay as it is: kohya's names throughout, and an alpha for each module."""
    keys = set(header.entries)
    modules = {key.partition(".")[0] for key in keys if not key.startswith("bundle_emb.")}
    named = all(key.startswith("bundle_emb.") or key.endswith(ENDINGS) for key in keys)
    return form_of(header) == KOHYA and named and all(f"{module}.alpha" in keys for module in modules)


def kohya_form(adapter: Adapter, names: KeyNames, metadata: Mapping[str, str]) -> bytes:
    """The file's bytes: the same ones for the same numbers and metadata."""
    tensors: dict[str, Tensor] = {}
    for place, change in adapter.changes.items():
        module = names.kohya(place)
        tensors[f"{module}.lora_down.weight"] = written(change.down)
        tensors[f"{module}.lora_up.weight"] = written(change.up)
        tensors[f"{module}.alpha"] = torch.tensor(change.alpha, dtype=torch.float32)
        if change.magnitude is not None:
            ones = [1] * (change.down.ndim - 2)
            shape = (1, -1, *ones) if change.by_input else (-1, 1, *ones)
            tensors[f"{module}.dora_scale"] = written(change.magnitude).view(shape)
    for word in adapter.tokens:
        tensors[f"bundle_emb.{word.word}.clip_l"] = written(word.first)
        tensors[f"bundle_emb.{word.word}.clip_g"] = written(word.second)
    content = safetensors.torch.save(tensors)
    told = {**BASE, **dimensions(adapter), **metadata}
    return with_metadata(content, {**told, **hashes(content, told)})


def kept(metadata: Mapping[str, str]) -> dict[str, str]:
    """What a file told of itself, as far as it is still true of the same LoRA under other names."""
    return {
        key: text
        for key, text in metadata.items()
        if key.startswith(("ss_", "modelspec.")) and len(key) + len(text) <= LONGEST_FIELD
    }


def dimensions(adapter: Adapter) -> dict[str, str]:
    """Kohya's fields for the rank and alpha, which are those of the largest module."""
    largest = max(adapter.changes.values(), key=lambda change: change.rank, default=None)
    if largest is None:
        return {}
    return {
        "ss_network_dim": str(largest.rank),
        "ss_network_alpha": f"{largest.alpha:g}",
        "ss_network_args": '{"dora_wd": "True"}' if largest.magnitude is not None else "{}",
    }


def written(tensor: Tensor) -> Tensor:
    """The numbers in a row on the CPU; float64 is more than anybody reads."""
    tensor = tensor.detach().to("cpu")
    return (tensor.float() if tensor.dtype == torch.float64 else tensor).clone().contiguous()
