"""Export of a trained adapter as fp16 safetensors under kohya's names, and its comparison with the training.

Plain files load everywhere. Those with magnitudes (DoRA) or new words do not load in diffusers, which drops
the first with a warning and refuses the second.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from engine.lora.adapter_file import Adapter, Change, parse_adapter
from engine.lora.adapters import Adapters
from engine.lora.key_names import KeyNames, Place
from engine.lora.lycoris_change import LycorisChange
from engine.messages import LOW_RANK, AdapterKind
from engine.sdxl.new_tokens import TokenVectors
from engine.sdxl.prompts import PromptEncoder

LEGACY_FROM, LEGACY_BYTES = 0x100000, 0x10000  # the bytes of the legacy hash of A1111's first LoRA extension
LOST = 0.05  # the largest error from rounding to fp16 and to the model's precision, relative to the change
ROUNDINGS = 4  # rounding steps of the model's output that are allowed where the change is tiny


class WronglySaved(Exception):
    """A file that was just written does not have the effect of the adapter in training."""


def encode_adapter(
    changes: Mapping[Place, Change],
    tokens: TokenVectors | None,
    names: KeyNames,
    *,
    metadata: Mapping[str, str],
) -> bytes:
    """The bytes of the file, which depend on the numbers and the metadata alone.

    Everything is fp16 but the magnitudes, whose changes are smaller than its steps. names: of the whole
    model, since SGM numbers its blocks. The hashes by which programs index LoRAs are added to the metadata.
    """
    tensors: dict[str, Tensor] = {}
    for place, change in changes.items():
        module = names.kohya_name(place)
        if isinstance(change, LycorisChange):
            tensors |= {
                f"{module}.{name}": to_half(tensor) for name, tensor in lycoris_tensors(change).items()
            }
            continue
        tensors[f"{module}.lora_down.weight"] = to_half(change.down)
        tensors[f"{module}.lora_up.weight"] = to_half(change.up)
        tensors[f"{module}.alpha"] = to_half(torch.tensor(change.alpha))
        if change.magnitude is not None:
            shape = (-1, *[1] * (change.down.ndim - 1))
            tensors[f"{module}.dora_scale"] = change.magnitude.detach().to("cpu", torch.float32).view(shape)
    if tokens is not None:
        tensors[f"bundle_emb.{tokens.word}.clip_l"] = to_half(tokens.first)
        tensors[f"bundle_emb.{tokens.word}.clip_g"] = to_half(tokens.second)
    content = safetensors.torch.save(tensors)
    return set_metadata(content, {**metadata, **file_hashes(content, metadata)})


def lycoris_tensors(change: LycorisChange) -> dict[str, Tensor]:
    """The tensors of a change of a kind of LyCORIS's by their names in a file, without magnitudes."""
    names = {"lora_down": "lora_down.weight", "lora_up": "lora_up.weight", "lora_mid": "lora_mid.weight"}
    tensors = {names.get(name, name): tensor for name, tensor in change.tensors.items()}
    # Some programs look for OFT's constraint, 0 where there is none. (IA)3 has no alpha.
    return tensors if change.kind is AdapterKind.IA3 else {**tensors, "alpha": torch.tensor(change.alpha)}


def kind_fields(kind: AdapterKind, arguments: Mapping[str, str]) -> dict[str, str]:
    """Kohya's metadata fields for the kind of network, with these arguments of its own."""
    if kind in LOW_RANK:
        return {"ss_network_module": "networks.lora", "ss_network_args": json.dumps(arguments)}
    algorithm = "diag-oft" if kind is AdapterKind.OFT else str(kind)
    return {
        "ss_network_module": "lycoris.kohya",
        "ss_network_args": json.dumps({"algo": algorithm, **arguments}),
    }


def to_half(tensor: Tensor) -> Tensor:
    """The tensor on the CPU, contiguous, in fp16 unless it is of whole numbers."""
    precision = torch.float16 if tensor.is_floating_point() else tensor.dtype
    return tensor.detach().to("cpu", precision).contiguous()


def set_metadata(content: bytes, metadata: Mapping[str, str]) -> bytes:
    """A safetensors file with this metadata, sorted. safetensors itself writes it in random order."""
    size = int.from_bytes(content[:8], "little")
    header = {"__metadata__": dict(sorted(metadata.items())), **json.loads(content[8 : 8 + size])}
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + content[8 + size :]


def file_hashes(content: bytes, metadata: Mapping[str, str]) -> dict[str, str]:
    """The hashes of a file's tensors, which do not change when people edit its metadata.

    As in kohya's trainer (sd-scripts, precalculate_safetensors_hashes): the whole hash leaves out the header,
    and the legacy hash is of 64 KiB from 1 MiB on, in a file with the ss_ fields alone.
    """
    whole = hashlib.sha256(content[8 + int.from_bytes(content[:8], "little") :]).hexdigest()
    with_ss_fields = set_metadata(
        content, {key: value for key, value in metadata.items() if key.startswith("ss_")}
    )
    legacy = hashlib.sha256(with_ss_fields[LEGACY_FROM : LEGACY_FROM + LEGACY_BYTES]).hexdigest()
    return {
        "sshs_model_hash": whole,
        "sshs_legacy_hash": legacy[:8],
        "modelspec.hash_sha256": f"0x{whole}",
    }


@torch.no_grad()
def verify_file(
    content: bytes, adapters: Adapters, name: str, tokens: TokenVectors | None, pipeline: Any
) -> None:
    """Compare the model's outputs with this file and with the adapter in training. Raises WronglySaved.

    name: the adapter in training. tokens: its new words. The text embeddings and the UNet's output on fixed
    noise are compared. Afterwards no adapter in training is active.
    """
    saved = parse_adapter(content, adapters.names, "The LoRA")
    words = () if tokens is None else (tokens,)
    with adapters.try_adapter(Adapter(changes={})):
        plain = model_outputs(pipeline, ())
    with adapters.try_adapter(saved):
        loaded = model_outputs(pipeline, saved.tokens)
    adapters.activate_training(name)
    trained = model_outputs(pipeline, words)
    adapters.activate_training(None)
    for output, without, actual, expected in zip(OUTPUTS, plain, loaded, trained, strict=True):
        layers = len(adapters.names.shapes)
        allowed = (
            LOST * (expected - without).norm() + rounding_tolerance(expected.dtype, layers) * expected.norm()
        )
        error = (actual - expected).norm()
        # A comparison with NaN is false, so what is not finite is wrong.
        if not error <= allowed:
            raise WronglySaved(f"the saved LoRA is wrong by {error:.3g} in {output}, more than {allowed:.3g}")


OUTPUTS = ("the text embeddings", "the pooled embedding", "the UNet's output")


def rounding_tolerance(precision: torch.dtype, layers: int) -> float:
    """The largest relative difference by rounding between two computations of an output of so many layers.

    Layers sum up in float32. Each computation rounds by about a quarter of a step, two or three times a
    layer, which adds up like a random walk, with the root of the number of layers: about half a step times
    that root for both. Twice that is allowed, and a few rounding steps of the model's own precision.
    """
    return float(ROUNDINGS * torch.finfo(precision).eps + torch.finfo(torch.float32).eps * layers**0.5)


def model_outputs(pipeline: Any, tokens: Sequence[TokenVectors]) -> tuple[Tensor, Tensor, Tensor]:
    """The hidden and pooled embeddings of a text with the new words, and the UNet's output on fixed noise."""
    unet = pipeline.unet
    embedding = PromptEncoder(pipeline).encode_texts(
        [" ".join(["a photo of", *(token.word for token in tokens)])], tokens
    )
    side = max(8, unet.config.sample_size // 4)
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(1, unet.config.in_channels, side, side, generator=generator)
    pixels = side * 2 ** (len(pipeline.vae.config.block_out_channels) - 1)
    predicted: Tensor = unet(
        noise.to(unet.device, unet.dtype),
        torch.tensor([500.0], device=unet.device),
        encoder_hidden_states=embedding.hidden,
        added_cond_kwargs={
            "text_embeds": embedding.pooled,
            "time_ids": torch.tensor([[pixels, pixels, 0, 0, pixels, pixels]]).to(unet.device, unet.dtype),
        },
        return_dict=False,
    )[0]
    return embedding.hidden, embedding.pooled, predicted
