"""Adapters on a small random SDXL for tests: the expected weights, and the layers that have adapters."""

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import torch
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn

from engine.lora.adapter_file import Change, LowRank
from engine.lora.adapters import Adapters
from engine.lora.key_names import COMPONENTS, Place
from engine.messages import AdapterUse
from tests.engine.model_copies import Copies
from tests.lora_files import Lora, attention, kohya, make_lora, merge, seen, store

PLENTY = 64 * 2**20
CLOSE = 1e-5


def use(adapters: Adapters, *mix: AdapterUse) -> None:
    for lora in mix:
        adapters.load(lora, keep={other.sha256 for other in mix})
    adapters.activate(mix)


@cache
def copies(original: Any) -> Copies:
    return Copies(original)


def truth(original: Any, *weighted: tuple[Lora, float]) -> list[Tensor]:
    merged = copies(original).one()
    for lora, weight in weighted:
        merge(merged, lora, weight)
    return seen(merged)


def low_rank(changes: Mapping[Place, Change]) -> dict[Place, LowRank]:
    """The changes, which must all be of two factors."""
    factors = {place: change for place, change in changes.items() if isinstance(change, LowRank)}
    assert len(factors) == len(changes)
    return factors


def layers(pipeline: Any) -> Iterator[Any]:
    for component in (pipeline.unet, pipeline.text_encoder, pipeline.text_encoder_2):
        yield from (module for module in component.modules() if isinstance(module, LoraLayer))


def changed_weights(original: Any, pipeline: Any) -> list[str]:
    """The paths of the modules whose weights are others than the original's."""
    return [
        path
        for component in COMPONENTS
        for path, module in getattr(original, component).named_modules()
        if hasattr(module, "weight")
        and not torch.equal(module.weight, getattr(pipeline, component).get_submodule(path).weight)
    ]


def first_address(module: nn.Module) -> int:
    """Where the numbers of a module's first own parameter lie."""
    return next((parameter.data_ptr() for parameter in module.parameters(recurse=False)), 0)


def loras_of_one_size(pipeline: Any, tmp_path: Path, count: int) -> tuple[list[AdapterUse], int]:
    """LoRAs of one size, and that size in bytes."""
    loras = [make_lora(pipeline, of=attention, seed=seed) for seed in range(count)]
    size = sum(factors.down.nbytes + factors.up.nbytes for factors in loras[0].values())
    return [store(tmp_path, kohya(lora), name=f"l{seed}") for seed, lora in enumerate(loras)], size
