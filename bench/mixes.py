"""LoRAs: pictures with none, one and several, first uses and switches, by the engine and by its peers."""

import itertools
import statistics
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from bench.measuring import in_turns, seconds, table
from bench.painting import mixed_requests, paint_by_pipeline, request, rest, serve
from bench.serving.peers import compiled_pipeline, openvino_pipeline
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
    """The engine, and diffusers' pipeline in several ways. `folder`: of the files of `loaded`'s LoRAs."""

    studio: Studio
    by_openvino: Studio | None
    plain: Model
    loaded: Model
    compiled: Model | None
    openvino: Model | None
    folder: Path


Way = Callable[[], object]


def load_peers(settings: EngineSettings, loras: Sequence[AdapterUse], *, others: bool = True) -> Peers:
    """All of them, each with a model of its own. others: whether to compile and convert one, too."""
    return Peers(
        studio=Studio(load_model(settings), settings),
        by_openvino=engine_by_openvino(settings) if others else None,
        plain=load_model(settings),
        loaded=load_with_loras(settings, loras),
        compiled=compiled_pipeline(settings) if others else None,
        openvino=openvino_pipeline(settings) if others else None,
        folder=Path(settings.files),
    )


def engine_by_openvino(settings: EngineSettings) -> Studio | None:
    """The engine with its forwards run by OpenVINO; None where that is not installed."""
    if find_spec("openvino") is None:
        return None
    settings = replace(settings, cpu_runtime="openvino")
    return Studio(load_model(settings), settings)


def measure(settings: EngineSettings, side: int) -> str:
    """Seconds of the same pictures by the engine and by each peer that can paint them, all in turns."""
    with stored_loras(settings) as (settings, loras):
        peers = load_peers(settings, loras)
        rows = [[name, *cells(ways, peers)] for name, ways in cases(peers, loras, side).items()]
    head = ["", *ENGINES, *PEERS, "speed-up over the best peer", "with OpenVINO"]
    missing = [
        name
        for name, peer in {"compiler": peers.compiled, "OpenVINO": peers.openvino}.items()
        if peer is None
    ]
    return "\n\n".join([table(head, rows), *(f"There is no {name} here." for name in missing)])


ENGINES = ("engine", "engine, OpenVINO")
PEERS = (
    "pipeline, set_adapters",
    "pipeline, fuse_lora",
    "pipeline, compiled",
    "pipeline, OpenVINO",
)


def cases(peers: Peers, loras: Sequence[AdapterUse], side: int) -> dict[str, Sequence[Way | None]]:
    """How each of ENGINES and of PEERS paints the same: None where it cannot, or is not installed."""
    one, people = request(0, 20, 5.0, side), mixed_requests(side)
    with_one = replace(one, adapters=(loras[0],))
    two = [replace(one, adapters=(lora,)) for lora in loras[:2]]
    each = [replace(asked, adapters=(lora,)) for asked, lora in zip(people, loras, strict=True)]
    return {
        "one picture": without_loras(peers, [one]),
        "eight people": without_loras(peers, people),
        "one picture, one LoRA": with_loras(peers, [with_one]),
        "one picture, two LoRAs": with_loras(peers, [replace(one, adapters=tuple(loras[:2]))]),
        "one picture, eight LoRAs": with_loras(peers, [replace(one, adapters=tuple(loras))]),
        "one picture, a LoRA's first use": [
            *engines(peers, partial(use_first, asked=with_one)),
            partial(use_first_by_pipeline, peers, with_one, fuse=False),
            partial(use_first_by_pipeline, peers, with_one, fuse=True),
            None,
            None,
        ],
        "two pictures, another LoRA each, one after the other": [
            *engines(peers, partial(serve_in_a_row, requests=two)),
            *with_loras(peers, two)[len(ENGINES) :],
        ],
        "eight people, one LoRA": with_loras(
            peers, [replace(asked, adapters=(loras[0],)) for asked in people]
        ),
        "eight people, a LoRA each": with_loras(peers, each),
    }


def without_loras(peers: Peers, requests: Sequence[Paint]) -> Sequence[Way | None]:
    """Pictures without LoRAs; what fuse_lora does for them is nothing."""
    models = (peers.plain, None, peers.compiled, peers.openvino)
    pipelines = [partial(paint_by_pipeline, model, requests) if model else None for model in models]
    return [*engines(peers, partial(serve, requests=requests)), *pipelines]


def with_loras(peers: Peers, requests: Sequence[Paint]) -> Sequence[Way | None]:
    """Pictures with LoRAs, which a compiled or converted UNet would have to be made anew for."""
    return [
        *engines(peers, partial(serve, requests=requests)),
        partial(paint_with_loras, peers, requests, fuse=False),
        partial(paint_with_loras, peers, requests, fuse=True),
        None,
        None,
    ]


def engines(peers: Peers, way: Callable[[Studio], object]) -> Sequence[Way | None]:
    """This way by each of ENGINES."""
    studios = peers.studio, peers.by_openvino
    return [None if studio is None else partial(way, studio) for studio in studios]


def cells(ways: Sequence[Way | None], peers: Peers) -> list[str]:
    """Seconds by each, and how many times as fast the engines are as the best of the others."""
    works = [way for way in ways if way is not None]
    rests = [partial(rest, studio) for studio in (peers.studio, peers.by_openvino) if studio is not None]
    times = iter(in_turns(works, ROUNDS, [*works, *rests, *works[: len(rests)], *rests]))
    taken = [next(times) if way is not None else None for way in ways]
    best = min(second for second in taken[len(ENGINES) :] if second is not None)
    shown = ["" if second is None else f"{second:.3f} s" for second in taken]
    return [*shown, *("" if second is None else f"{best / second:.2f}" for second in taken[: len(ENGINES)])]


def serve_in_a_row(studio: Studio, requests: Sequence[Paint]) -> None:
    """The requests by the engine, each when the one before is done."""
    for asked in requests:
        serve(studio, [asked])


def use_first(studio: Studio, asked: Paint) -> None:
    """A picture with LoRAs that the engine must read."""
    for use in asked.adapters:
        studio._adapters.unload(use.sha256)
    serve(studio, [asked])


def use_first_by_pipeline(peers: Peers, asked: Paint, *, fuse: bool) -> None:
    """A picture with LoRAs that the pipeline must read."""
    pipeline: Any = peers.loaded.base
    for use in asked.adapters:
        pipeline.delete_adapters(use.name)
        load_lora(pipeline, peers.folder, use)
    paint_with_loras(peers, [asked], fuse=fuse)


def switches(settings: EngineSettings) -> str:
    """Milliseconds of a LoRA's first use, of switches between mixes, and back to none."""
    with stored_loras(settings) as (settings, loras):
        limit = settings.adapter_cache_mb * 2**20
        times = switch_times(Adapters(load_model(settings).base, Path(settings.files), limit), loras)
    rows = [[what, f"{milliseconds:.1f}"] for what, milliseconds in times.items()]
    return table(["a LoRA of all attention layers, rank 16", "milliseconds"], rows)


def switch_times(
    adapters: Adapters, loras: Sequence[AdapterUse], switches: int = SWITCHES
) -> Mapping[str, float]:
    """Medians in milliseconds."""
    first = [timed(partial(adapters.apply, [lora])) for lora in loras]
    mixes = itertools.cycle([[lora] for lora in loras])
    between = [timed(partial(adapters.apply, next(mixes))) for _ in range(switches)]
    to_two = [timed(partial(adapters.apply, list(pair))) for pair in itertools.combinations(loras, 2)]
    to_all, off = list[float](), list[float]()
    for _ in range(switches):
        off.append(timed(partial(adapters.apply, ())))
        to_all.append(timed(partial(adapters.apply, loras)))
    return {
        "first use: read, checked, merged": statistics.median(first),
        "switch from one LoRA to another": statistics.median(between),
        "switch to a mix of two": statistics.median(to_two),
        f"switch to a mix of {len(loras)}": statistics.median(to_all),
        "back to no LoRA": statistics.median(off),
    }


def timed(work: Callable[[], None]) -> float:
    """Milliseconds that this takes, the device's queue included."""
    return seconds(work) * 1000


@contextmanager
def stored_loras(settings: EngineSettings) -> Iterator[tuple[EngineSettings, tuple[AdapterUse, ...]]]:
    """A context with settings whose store has eight LoRAs of the UNet's attention, with random numbers."""
    with tempfile.TemporaryDirectory() as folder:
        loras = store_loras(load_model(settings).base, Path(folder))
        yield replace(settings, files=folder), loras


def store_loras(base: Any, folder: Path, count: int = PEOPLE) -> tuple[AdapterUse, ...]:
    """LoRAs for this pipeline, written into the store of this folder."""
    store, adapters = FileStore(folder), Adapters(base, folder, 2**31)
    places = adapters.targets(TrainingSettings(rank=RANK, alpha=RANK))
    loras = []
    for number in range(count):
        adapters.begin_training("bench", places, seed=number)
        changes = {
            place: replace(change, up=0.02 * torch.randn_like(change.up))
            for place, change in adapters.trained_changes("bench").items()
            if isinstance(change, LowRank)
        }
        content = encode_adapter(changes, None, adapters.names, metadata={})
        adapters.end_training("bench")
        loras.append(AdapterUse(name=f"lora{number}", sha256=store.put_bytes(content), weight=0.8))
    return tuple(loras)


def load_with_loras(settings: EngineSettings, loras: Sequence[AdapterUse]) -> Model:
    """The model with these LoRAs loaded by diffusers, each under its name."""
    model = load_model(settings)
    for lora in loras:
        load_lora(model.base, Path(settings.files), lora)
    return model


def load_lora(pipeline: Any, folder: Path, lora: AdapterUse) -> None:
    """Load a LoRA of the store in this folder into diffusers' pipeline, under its name."""
    path = stored_path(folder, lora.sha256)
    file = path.with_name(f"{lora.name}.safetensors")
    if not file.exists():
        file.write_bytes(path.read_bytes())
    pipeline.load_lora_weights(str(file.parent), weight_name=file.name, adapter_name=lora.name)


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
