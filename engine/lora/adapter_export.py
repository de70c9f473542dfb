"""An adapter's file written: fp16 safetensors under kohya's names, with metadata that other programs show.

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

from engine.lora.adapter_file import Adapter, LowRank, parsed_adapter
from engine.lora.adapters import Adapters
from engine.lora.key_names import KeyNames, Place
from engine.sdxl.new_tokens import TokenVectors
from engine.sdxl.prompts import Reader

LEGACY_FROM, LEGACY_BYTES = 0x100000, 0x10000  # what the old short hash of A1111's first LoRA extension reads
LOST = 0.05  # of what the adapter changes, at most, by rounding to fp16 and to the model's precision
ROUNDINGS = 4  # of the model's own output in its precision, where the adapter changes next to nothing


class WronglySaved(Exception):
    """A file that was just written does not do what the module in training does."""


def adapter_file(
    changes: Mapping[Place, LowRank],
    tokens: TokenVectors | None,
    names: KeyNames,
    *,
    metadata: Mapping[str, str],
) -> bytes:
    """The file's bytes: the same ones for the same numbers and metadata.

    Everything is fp16 but the magnitudes, whose changes are smaller than its steps. names: those of the whole
    model, for SGM counts its blocks. The hashes that programs index LoRAs by are added to the metadata.
    """
    tensors: dict[str, Tensor] = {}
    for place, change in changes.items():
        module = names.kohya(place)
        tensors[f"{module}.lora_down.weight"] = half(change.down)
        tensors[f"{module}.lora_up.weight"] = half(change.up)
        tensors[f"{module}.alpha"] = half(torch.tensor(change.alpha))
        if change.magnitude is not None:
            shape = (-1, *[1] * (change.down.ndim - 1))
            tensors[f"{module}.dora_scale"] = change.magnitude.detach().to("cpu", torch.float32).view(shape)
    if tokens is not None:
        tensors[f"bundle_emb.{tokens.word}.clip_l"] = half(tokens.first)
        tensors[f"bundle_emb.{tokens.word}.clip_g"] = half(tokens.second)
    content = safetensors.torch.save(tensors)
    return with_metadata(content, {**metadata, **hashes(content, metadata)})


def half(tensor: Tensor) -> Tensor:
    """The numbers in fp16, on the CPU and in a row."""
    return tensor.detach().to("cpu", torch.float16).contiguous()


def with_metadata(content: bytes, metadata: Mapping[str, str]) -> bytes:
    """A safetensors file without metadata, with this; safetensors itself writes it in an order of chance."""
    size = int.from_bytes(content[:8], "little")
    header = {"__metadata__": dict(sorted(metadata.items())), **json.loads(content[8 : 8 + size])}
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + content[8 + size :]


def hashes(content: bytes, metadata: Mapping[str, str]) -> dict[str, str]:
    """The hashes of a file's numbers, whatever people write into its metadata later.

    As kohya's trainer counts them (sd-scripts, precalculate_safetensors_hashes): the whole hash leaves the
    header out, and the legacy one is of 64 KiB from 1 MiB on, in a file with the ss_ fields alone.
    """
    whole = hashlib.sha256(content[8 + int.from_bytes(content[:8], "little") :]).hexdigest()
    lasting = with_metadata(content, {key: value for key, value in metadata.items() if key.startswith("ss_")})
    legacy = hashlib.sha256(lasting[LEGACY_FROM : LEGACY_FROM + LEGACY_BYTES]).hexdigest()
    return {
        "sshs_model_hash": whole,
        "sshs_legacy_hash": legacy[:8],
        "modelspec.hash_sha256": f"0x{whole}",
    }


@torch.no_grad()
def check_saved(
    content: bytes, adapters: Adapters, name: str, tokens: TokenVectors | None, pipeline: Any
) -> None:
    """Read the file's bytes as pictures will, and compare what the model does with what it does in training.

    name: the adapter in training; tokens: its new words. The text embeddings and the UNet's output on noise
    of a fixed seed are compared; afterwards every adapter in training is silent. Raises WronglySaved.
    """
    saved = parsed_adapter(content, adapters.names, "the LoRA")
    words = () if tokens is None else (tokens,)
    with adapters.tried(Adapter(changes={})):
        plain = answers(pipeline, ())
    with adapters.tried(saved):
        read = answers(pipeline, saved.tokens)
    adapters.learn(name)
    trained = answers(pipeline, words)
    adapters.learn(None)
    for what, before, now, wanted in zip(ANSWERS, plain, read, trained, strict=True):
        layers = len(adapters.names.shapes)
        allowed = LOST * (wanted - before).norm() + rounding(wanted.dtype, layers) * wanted.norm()
        lost = (now - wanted).norm()
        # A comparison with NaN is false, so what is not finite is wrong.
        if not lost <= allowed:
            raise WronglySaved(f"the saved LoRA changes {what} by {lost:.3g} more than {allowed:.3g}.")


ANSWERS = ("the text embeddings", "the pooled embedding", "the UNet's output")


def rounding(precision: torch.dtype, layers: int) -> float:
    """How far two ways to count the same may come apart, as a part of an answer from so many layers.

    Layers sum up in float32. Each way rounds there by about a quarter of a step, two or three times a layer,
    and all that adds up like a walk at random, with the root of the number of layers: about half a step times
    that root for both ways. Twice that is allowed, and a few roundings in the model's own precision.
    """
    return float(ROUNDINGS * torch.finfo(precision).eps + torch.finfo(torch.float32).eps * layers**0.5)


def answers(pipeline: Any, tokens: Sequence[TokenVectors]) -> tuple[Tensor, Tensor, Tensor]:
    """The embeddings of a text with the new words, and what the UNet makes of them and of fixed noise."""
    unet = pipeline.unet
    read = Reader(pipeline).encode([" ".join(["a photo of", *(one.word for one in tokens)])], tokens)
    side = max(8, unet.config.sample_size // 4)
    draw = torch.Generator().manual_seed(0)
    noise = torch.randn(1, unet.config.in_channels, side, side, generator=draw)
    pixels = side * 2 ** (len(pipeline.vae.config.block_out_channels) - 1)
    predicted: Tensor = unet(
        noise.to(unet.device, unet.dtype),
        torch.tensor([500.0], device=unet.device),
        encoder_hidden_states=read.hidden,
        added_cond_kwargs={
            "text_embeds": read.pooled,
            "time_ids": torch.tensor([[pixels, pixels, 0, 0, pixels, pixels]]).to(unet.device, unet.dtype),
        },
        return_dict=False,
    )[0]
    return read.hidden, read.pooled, predicted
