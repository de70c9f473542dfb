"""LoRAs: pictures with one, a mix, and a different one for each of eight people, and what a switch costs."""

import itertools
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from bench.measuring import in_turns, table
from bench.painting import mixed_requests, paint_by_pipeline, request, rest, serve
from engine.lora.adapter_export import encode_adapter
from engine.lora.adapter_file import LowRank
from engine.lora.adapters import Adapters
from engine.messages import AdapterUse, EngineSettings, FileStore, Paint, TrainingSettings, stored_path
from engine.sdxl.model import Model, load_model
from engine.studio import Studio

PEOPLE = 8
RANK = 16
ROUNDS = 5
SWITCHES = 20


@dataclass(frozen=True, kw_only=True)
class Peers:
    """The engine, and two of diffusers' pipelines that have the same LoRAs loaded."""

    studio: Studio
    plain: Model
    loaded: Model


def measure(settings: EngineSettings, side: int) -> str:
    """Pictures with LoRAs by the engine and by diffusers' pipeline: with set_adapters, and with fuse_lora."""
    with stored_loras(settings) as (settings, loras):
        peers = Peers(
            studio=Studio(load_model(settings), settings),
            plain=load_model(settings),
            loaded=load_with_loras(settings, loras),
        )
        one = request(0, 20, 5.0, side)
        people = [
            replace(asked, adapters=(lora,)) for asked, lora in zip(mixed_requests(side), loras, strict=True)
        ]
        cases = {
            "one picture, no LoRA": [one],
            "one picture, one LoRA": [replace(one, adapters=loras[:1])],
            "one picture, two LoRAs": [replace(one, adapters=loras[:2])],
            "one picture, eight LoRAs": [replace(one, adapters=loras)],
            "eight people, a LoRA each": people,
        }
        rows = [[name, *cells(peers, requests)] for name, requests in cases.items()]
    head = ["", "engine", "pipeline, set_adapters", "pipeline, fuse_lora", "speed-up", "speed-up over fused"]
    return table(head, rows)


def switches(settings: EngineSettings) -> str:
    """Milliseconds of a LoRA's first use, of switches between mixes, and back to none."""
    with stored_loras(settings) as (settings, loras):
        adapters = Adapters(
            load_model(settings).base, Path(settings.files), settings.adapter_cache_mb * 2**20
        )
        first = [timed(partial(adapters.apply, [lora])) for lora in loras]
        mixes = itertools.cycle([[lora] for lora in loras])
        between = [timed(partial(adapters.apply, next(mixes))) for _ in range(SWITCHES)]
        to_two = [timed(partial(adapters.apply, list(pair))) for pair in itertools.combinations(loras, 2)]
        off = []
        for _ in range(SWITCHES):
            adapters.apply(next(mixes))
            off.append(timed(partial(adapters.apply, ())))
    rows = [
        ["first use: read, checked, merged", f"{statistics.median(first):.1f}"],
        ["switch from one LoRA to another", f"{statistics.median(between):.1f}"],
        ["switch to a mix of two", f"{statistics.median(to_two):.1f}"],
        ["back to no LoRA", f"{statistics.median(off):.1f}"],
    ]
    return table(["a LoRA of all attention layers, rank 16", "milliseconds"], rows)


def timed(work: Callable[[], None]) -> float:
    """Milliseconds that this takes."""
    started = time.perf_counter()
    work()
    return (time.perf_counter() - started) * 1000


@contextmanager
def stored_loras(settings: EngineSettings) -> Iterator[tuple[EngineSettings, tuple[AdapterUse, ...]]]:
    """A context with settings whose store has eight LoRAs of the UNet's attention, with random numbers."""
    with tempfile.TemporaryDirectory() as folder:
        store, adapters = FileStore(Path(folder)), Adapters(load_model(settings).base, Path(folder), 2**31)
        places = adapters.targets(TrainingSettings(rank=RANK, alpha=RANK))
        loras = []
        for number in range(PEOPLE):
            adapters.begin_training("bench", places, seed=number)
            changes = {
                place: replace(change, up=0.02 * torch.randn_like(change.up))
                for place, change in adapters.trained_changes("bench").items()
                if isinstance(change, LowRank)
            }
            content = encode_adapter(changes, None, adapters.names, metadata={})
            adapters.end_training("bench")
            loras.append(AdapterUse(name=f"lora{number}", sha256=store.put_bytes(content), weight=0.8))
        yield replace(settings, files=folder), tuple(loras)


def load_with_loras(settings: EngineSettings, loras: Sequence[AdapterUse]) -> Model:
    """The model with these LoRAs loaded by diffusers, each under its name."""
    model = load_model(settings)
    for lora in loras:
        path = stored_path(Path(settings.files), lora.sha256)
        file = path.with_name(f"{lora.name}.safetensors")
        file.write_bytes(path.read_bytes())
        model.base.load_lora_weights(str(file.parent), weight_name=file.name, adapter_name=lora.name)
    return model


def cells(peers: Peers, requests: Sequence[Paint]) -> list[str]:
    """Seconds by each, and how many times as fast the engine is."""
    warm_up: list[Callable[[], object]] = [*ways(peers, requests)]
    warm_up += [partial(serve, peers.studio, requests), partial(rest, peers.studio)]
    engine, adapters, fused = in_turns(ways(peers, requests), ROUNDS, warm_up)
    return [
        *(f"{seconds:.3f} s" for seconds in (engine, adapters, fused)),
        f"{adapters / engine:.2f}",
        f"{fused / engine:.2f}",
    ]


def ways(peers: Peers, requests: Sequence[Paint]) -> list[Callable[[], None]]:
    """These requests by the engine, and by both ways of the pipeline."""
    return [
        partial(serve, peers.studio, requests),
        partial(paint_with_loras, peers, requests, fuse=False),
        partial(paint_with_loras, peers, requests, fuse=True),
    ]


def paint_with_loras(peers: Peers, requests: Sequence[Paint], *, fuse: bool) -> None:
    """The requests one after another by the pipeline, each with its own LoRAs active or fused."""
    pipeline: Any = peers.loaded.base
    for asked in requests:
        names, weights = [use.name for use in asked.adapters], [use.weight for use in asked.adapters]
        if not names:
            paint_by_pipeline(peers.plain, [asked])
            continue
        pipeline.set_adapters(names, weights)
        if fuse:
            pipeline.fuse_lora(adapter_names=names)
        paint_by_pipeline(peers.loaded, [asked])
        if fuse:
            pipeline.unfuse_lora()
