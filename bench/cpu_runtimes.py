"""What runs forwards on a CPU: torch as it is, torch traced, and OpenVINO, where it is installed."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from bench.measuring import table
from bench.mixes import stored_loras
from bench.painting import mixed_requests, paint_by_pipeline, request, rest, serve
from engine.messages import AdapterUse, EngineSettings, Paint
from engine.runners.graphs import GraphMaker
from engine.runners.openvino_graphs import OpenVinoCompiler
from engine.runners.runner import UnetInputs
from engine.runners.traced import Tracer
from engine.sdxl.model import Model, load_model
from engine.studio import Studio

ROWS = (1, 2, 16)
FORWARDS, ROUNDS = 21, 5


def forwards(model: Model) -> str:
    """Milliseconds of a forward at the native size, and what a graph of it costs."""
    unet = model.base.unet
    makers: dict[str, GraphMaker] = {"traced": Tracer(), "OpenVINO": OpenVinoCompiler(unet)}
    lines = []
    for rows in ROWS:
        inputs = UnetInputs.examples(unet, rows, unet.config.sample_size, unet.config.sample_size)
        works, costs = [partial(run, inputs, unet)], []
        for maker in makers.values():
            before, started = resident_megabytes(), time.process_time()
            with torch.inference_mode():
                works.append(partial(run_graph, maker.make(unet, inputs.shape), inputs))
            costs.append(f"{time.process_time() - started:.1f} s, {resident_megabytes() - before:.0f} MB")
        eager, *times = processor_seconds(works, FORWARDS)
        cells = [f"{seconds * 1000:.1f} ({eager / seconds:.2f}x)" for seconds in times]
        lines.append([f"B = {rows}", f"{eager * 1000:.1f}", *cells, *costs])
    head = ["milliseconds of processor time a forward", "as it is", *makers]
    return table([*head, *(f"{name}: to make one" for name in makers)], lines)


def pictures(settings: EngineSettings, side: int) -> str:
    """Pictures by the engine with torch and with OpenVINO, and by diffusers' pipeline."""
    with stored_loras(settings) as (settings, loras):
        model = load_model(settings)
        studios = [
            Studio(load_model(settings), replace(settings, cpu_runtime=name))
            for name in ("torch", "openvino")
        ]
        lines = []
        for name, requests in cases(side, loras).items():
            works: list[Callable[[], object]] = [partial(serve, studio, requests) for studio in studios]
            if not requests[0].adapters:
                works.append(partial(paint_by_pipeline, model, requests))
            for studio in studios:
                serve(studio, requests)
                rest(studio)
            times = processor_seconds(works, ROUNDS)
            cells = [f"{seconds:.3f} s" for seconds in times] + [""] * (3 - len(times))
            lines.append([name, *cells, f"{times[0] / times[1]:.2f}"])
    head = ["seconds of processor time", "engine, torch", "engine, OpenVINO", "pipeline"]
    return table([*head, "OpenVINO over torch"], lines)


def cases(side: int, loras: tuple[AdapterUse, ...]) -> dict[str, list[Paint]]:
    """What is painted, by name."""
    one = request(0, 20, 5.0, side)
    people = [
        replace(asked, adapters=(lora,)) for asked, lora in zip(mixed_requests(side), loras, strict=True)
    ]
    return {
        "one picture": [one],
        "eight at once": mixed_requests(side),
        "one picture with a LoRA": [replace(one, adapters=loras[:1])],
        "eight people, a LoRA each": people,
    }


@torch.inference_mode()
def run(inputs: UnetInputs, unet: Any) -> None:
    """A forward as it is."""
    inputs.run(unet)


@torch.inference_mode()
def run_graph(graph: Callable[[UnetInputs], Any], inputs: UnetInputs) -> None:
    """A forward by a graph."""
    graph(inputs)


def processor_seconds(works: Sequence[Callable[[], object]], rounds: int) -> list[float]:
    """The median processor time of each work, in turns: other work on the machine hardly changes it."""
    for work in works:
        work()
    times: list[list[float]] = [[] for _ in works]
    for _ in range(rounds):
        for work, column in zip(works, times, strict=True):
            started = time.process_time()
            work()
            column.append(time.process_time() - started)
    return [statistics.median(column) for column in times]


def resident_megabytes() -> float:
    """Memory of this process that is in use."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2**20
