"""LoRA files in kohya's format, which every program reads: the same numbers under kohya's names."""

import re
from collections.abc import Mapping

import safetensors.torch
import torch
from torch import Tensor

from engine.lora.adapter_export import file_hashes, kind_fields, lycoris_tensors, set_metadata
from engine.lora.adapter_file import Adapter
from engine.lora.key_names import KeyNames
from engine.lora.lycoris_change import LycorisChange
from engine.lora.safetensors_file import Header

KOHYA, DIFFUSERS = "kohya", "diffusers"
FORMATS = (  # the prefix of a key, and whose names have it
    ("lycoris_", "LyCORIS"),
    ("text_encoders.", "ComfyUI"),
    ("diffusion_model.", "ComfyUI"),
    ("model.diffusion_model.", "ComfyUI"),
    ("clip_l.", "OMI"),
    ("clip_g.", "OMI"),
)
LYCORIS = re.compile(r"\.(lora_mid\.weight|hada_\w+|lokr_\w+|oft_blocks|rescale|weight|on_input)$")
ENDINGS = (".lora_down.weight", ".lora_up.weight", ".alpha", ".dora_scale")
OURS = ("lora_unet_", "lora_te1_", "lora_te2_", "bundle_emb.")
LONGEST_FIELD = 65_536  # characters of one metadata field that is kept: tag frequencies are the longest
BASE = {
    "ss_v2": "False",
    "ss_base_model_version": "sdxl_base_v1-0",
    "ss_network_module": "networks.lora",
    "modelspec.sai_model_spec": "1.0.1",
    "modelspec.architecture": "stable-diffusion-xl-v1-base/lora",
    "modelspec.implementation": "https://github.com/Stability-AI/generative-models",
}


def key_format(header: Header) -> str:
    """Whose key names the file has: "kohya", "diffusers", "PEFT", "LyCORIS", "ComfyUI" or "OMI"."""
    if all(key.startswith(OURS) for key in header.entries):
        return KOHYA
    if any("base_model.model." in key for key in header.entries):
        return "PEFT"
    return next(
        (name for prefix, name in FORMATS if any(key.startswith(prefix) for key in header.entries)), DIFFUSERS
    )


def is_kohya(header: Header) -> bool:
    """Whether the file is in kohya's format already, with an alpha for each module."""
    keys = set(header.entries)
    modules = {key.partition(".")[0] for key in keys if not key.startswith("bundle_emb.")}
    has_endings = all(
        key.startswith("bundle_emb.") or key.endswith(ENDINGS) or LYCORIS.search(key) for key in keys
    )
    has_alphas = all(
        f"{module}.alpha" in keys or f"{module}.on_input" in keys or f"{module}.oft_blocks" in keys
        for module in modules
    )
    return key_format(header) == KOHYA and has_endings and has_alphas


def encode_kohya(adapter: Adapter, names: KeyNames, metadata: Mapping[str, str]) -> bytes:
    """The bytes of the file, which depend on the numbers and the metadata alone."""
    tensors: dict[str, Tensor] = {}
    for place, change in adapter.changes.items():
        module = names.kohya_name(place)
        if isinstance(change, LycorisChange):
            tensors |= {
                f"{module}.{name}": to_cpu(tensor) for name, tensor in lycoris_tensors(change).items()
            }
        else:
            tensors[f"{module}.lora_down.weight"] = to_cpu(change.down)
            tensors[f"{module}.lora_up.weight"] = to_cpu(change.up)
            tensors[f"{module}.alpha"] = torch.tensor(change.alpha, dtype=torch.float32)
        if change.magnitude is not None:
            ones = [1] * (len(names.shapes[place]) - 2)
            shape = (1, -1, *ones) if change.by_input else (-1, 1, *ones)
            tensors[f"{module}.dora_scale"] = to_cpu(change.magnitude).view(shape)
    for word in adapter.tokens:
        tensors[f"bundle_emb.{word.word}.clip_l"] = to_cpu(word.first)
        tensors[f"bundle_emb.{word.word}.clip_g"] = to_cpu(word.second)
    content = safetensors.torch.save(tensors)
    fields = {**BASE, **network_fields(adapter), **metadata}
    return set_metadata(content, {**fields, **file_hashes(content, fields)})


def lasting_metadata(metadata: Mapping[str, str]) -> dict[str, str]:
    """The metadata that is still true of the same LoRA under other key names."""
    return {
        key: text
        for key, text in metadata.items()
        if key.startswith(("ss_", "modelspec.")) and len(key) + len(text) <= LONGEST_FIELD
    }


def network_fields(adapter: Adapter) -> dict[str, str]:
    """Kohya's metadata fields for the network, with the rank and alpha of its largest module."""
    largest = max(adapter.changes.values(), key=lambda change: change.rank, default=None)
    if largest is None:
        return {}
    arguments = {"dora_wd": "True"} if largest.magnitude is not None else {}
    return {
        "ss_network_dim": str(largest.rank),
        "ss_network_alpha": f"{largest.alpha:g}",
        **kind_fields(adapter.kind, arguments),
    }


def to_cpu(tensor: Tensor) -> Tensor:
    """The tensor on the CPU, contiguous; float64 becomes float32, which programs can read."""
    tensor = tensor.detach().to("cpu")
    return (tensor.float() if tensor.dtype == torch.float64 else tensor).clone().contiguous()
