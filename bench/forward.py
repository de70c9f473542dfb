"""t(B): what one UNet forward costs for a batch of B rows, plain and with different LoRAs in the batch."""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig
from peft.tuners.lora import LoraLayer
from torch import Tensor

from bench.measuring import in_turns, table
from engine.lora.adapter_export import encode_adapter
from engine.lora.adapters import Adapters
from engine.messages import AdapterUse, FileStore, TrainingSettings
from engine.sdxl.model import Model

BATCHES = (1, 2, 4, 8, 16)
ROUNDS = 9
RANK = 16


def measure(model: Model, sides: Sequence[int], rounds: int = ROUNDS) -> str:
    """Tables (c) and (d): milliseconds per forward, and the gain of sharing over one row at a time."""
    unet = model.base.unet
    rows: list[list[object]] = []
    for side in sides:
        works = [forward(unet, batch, side // model.factor) for batch in BATCHES]
        rows.append([f"no LoRA, {side}x{side}", *cells(in_turns(works, rounds))])
    for side in sides:
        with engines_own(model):
            works = [forward(unet, batch, side // model.factor) for batch in BATCHES]
            rows.append(
                [f"1 LoRA of rank {RANK} as it is served, {side}x{side}", *cells(in_turns(works, rounds))]
            )
    names = [f"bench{number}" for number in range(4)]
    for name in names:
        unet.add_adapter(LoraConfig(r=RANK, target_modules=["to_q", "to_k", "to_v", "to_out.0"]), name)
    for side in sides:
        for count in (1, 2, 4):
            unet.set_adapters(names[0])
            works = []
            for batch in BATCHES:
                work = forward(unet, batch, side // model.factor)
                mixed = [names[row % count] for row in range(batch)]
                works.append(work if count == 1 else per_sample(unet, mixed, work))
            rows.append(
                [
                    f"{count} LoRA{'s' * (count > 1)} of rank {RANK} by PEFT, {side}x{side}",
                    *cells(in_turns(works, rounds)),
                ]
            )
    return table(
        ["milliseconds a forward (rows/s against B = 1)", *[f"B = {batch}" for batch in BATCHES]], rows
    )


def cells(times: Sequence[float]) -> list[str]:
    """Each batch's milliseconds, and how many times the rows per second of B = 1."""
    return [
        f"{seconds * 1000:.1f} ({batch * times[0] / seconds:.2f}x)"
        for batch, seconds in zip(BATCHES, times, strict=True)
    ]


def forward(unet: Any, batch: int, latents: int) -> Callable[[], Tensor]:
    """One forward of `batch` rows, each at a timestep of its own."""
    device, dtype = unet.device, unet.dtype
    width: int = unet.config.cross_attention_dim
    pooled: int = unet.config.projection_class_embeddings_input_dim - 6 * unet.config.addition_time_embed_dim
    generator = torch.Generator().manual_seed(batch)

    def random(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator).to(device, dtype)

    sample = random(batch, unet.config.in_channels, latents, latents)
    timesteps = torch.linspace(900, 100, batch, device=device)
    hidden, text = random(batch, 77, width), random(batch, pooled)
    ids = torch.full((batch, 6), 128.0, device=device, dtype=dtype)

    @torch.inference_mode()
    def work() -> Tensor:
        told = {"text_embeds": text, "time_ids": ids}
        answer: Tensor = unet(sample, timesteps, hidden, added_cond_kwargs=told, return_dict=False)[0]
        return answer

    return work


@contextmanager
def engines_own(model: Model) -> Iterator[None]:
    """Within, one LoRA of the UNet's attention counts as people's pictures have it."""
    with tempfile.TemporaryDirectory() as folder:
        adapters = Adapters(model.base, Path(folder), 2**31)
        places = adapters.targets(TrainingSettings(rank=RANK, alpha=RANK))
        adapters.begin_training("bench", places, seed=0)
        file = encode_adapter(adapters.trained_changes("bench"), None, adapters.names, metadata={})
        adapters.end_training("bench")
        served = AdapterUse(name="bench", sha256=FileStore(Path(folder)).put_bytes(file))
        adapters.apply([served])
        try:
            yield
        finally:
            adapters.unload(served.sha256)


def per_sample(unet: Any, names: Sequence[str], work: Callable[[], Tensor]) -> Callable[[], Tensor]:
    """The forward with another adapter for each row, through PEFT's `adapter_names`."""

    def run_named() -> Tensor:
        with adapters_by_row(unet, names):
            return work()

    return run_named


@contextmanager
def adapters_by_row(unet: Any, names: Sequence[str]) -> Iterator[None]:
    """PEFT passes `adapter_names` from its own model class only, so here a hook gives them to its layers."""

    def tell(module: Any, args: Any, named: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        return args, named | {"adapter_names": list(names)}

    layers = [module for module in unet.modules() if isinstance(module, LoraLayer)]
    hooks = [layer.register_forward_pre_hook(tell, with_kwargs=True) for layer in layers]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
