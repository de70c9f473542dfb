"""The engine against diffusers' own pipeline: one picture, and eight people at once."""

import statistics
import time
from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from functools import partial
from io import BytesIO
from typing import Any

import torch

from bench.measuring import in_turns, table
from engine.batching import Batcher
from engine.forward_cost import ForwardCost
from engine.messages import EngineSettings, JobId, Paint, Painted, Sampler, Size
from engine.sdxl.model import Model
from engine.sdxl.samplers import make_scheduler
from engine.step_clock import make_clock
from engine.studio import Studio

ROUNDS = 7


def measure(model: Model, settings: EngineSettings, sides: Sequence[int], *, quick: bool = False) -> str:
    """Tables (a) and (b): one picture, and eight requests of mixed steps and guidance.

    The engine has painted the same before, and had a moment's rest. quick: one round after a few steps of
    warm-up, for a large model on a GPU, whose times differ little.
    """
    rows = []
    for side in sides:
        one, eight = [request(0, 20, 5.0, side)], mixed_requests(side)
        for name, requests in (("one picture", one), ("eight at once", eight)):
            studio = Studio(model, settings)
            few = [replace(request, steps=3) for request in requests]
            warm_up = both(studio, model, few) if quick else both(studio, model, requests)
            warm_up = [*warm_up, partial(serve, studio, few if quick else requests), partial(rest, studio)]
            engine, pipeline = in_turns(both(studio, model, requests), 1 if quick else ROUNDS, warm_up)
            rows.append(
                [
                    f"{name}, {side}x{side}",
                    f"{engine:.3f} s",
                    f"{pipeline:.3f} s",
                    f"{len(requests) / engine:.2f}",
                    f"{len(requests) / pipeline:.2f}",
                    f"{pipeline / engine:.2f}",
                ]
            )
    head = [
        "",
        "engine",
        "pipeline, one after another",
        "engine pictures/s",
        "pipeline pictures/s",
        "speed-up",
    ]
    return table(head, rows)


def waiting(model: Model, settings: EngineSettings, sides: Sequence[int], rounds: int = 3) -> str:
    """What eight people wait who ask at once, when they share forwards as far as that pays, and always."""
    rows = []
    for side in sides:
        as_it_pays, always = Studio(model, settings), Studio(model, settings)
        always._batcher = Batcher(settings.largest_batch, Together(make_clock(model.device)))
        ways = [partial(waits, one, mixed_requests(side)) for one in (as_it_pays, always)]
        for way in ways:
            way()  # by now what a forward takes is known
        found = [[way() for way in ways] for _ in range(rounds)]
        cells = [
            f"{statistics.median(which(turn[nth]) for turn in found):.2f} s"
            for which in (statistics.mean, max)
            for nth in range(2)
        ]
        rows.append([f"{side}x{side}", *cells])
    head = ["eight at once", "mean, as far as it pays", "mean, always", "the last, as far as it pays"]
    return table([*head, "the last, always"], rows)


class Together(ForwardCost):
    """Always shares."""

    def best_count(self, kind: Hashable, rows: Sequence[int]) -> int:
        return len(rows)


def waits(studio: Studio, requests: Sequence[Paint]) -> list[float]:
    """The seconds from asking for all at once until each picture is there."""
    started, took = time.perf_counter(), list[float]()
    for one in requests:
        list(studio.accept(one))
    while not studio.idle:
        took += [time.perf_counter() - started for event in studio.step() if isinstance(event, Painted)]
    return took


def both(studio: Studio, model: Model, requests: Sequence[Paint]) -> list[Callable[[], None]]:
    """The requests by the engine, and by the pipeline."""
    return [partial(serve, studio, requests), partial(paint_by_pipeline, model, requests)]


def request(number: int, steps: int, guidance_scale: float, side: int) -> Paint:
    return Paint(
        job=JobId(str(number)),
        prompt="a red star above a blue circle on a white background",
        seed=number,
        steps=steps,
        guidance_scale=guidance_scale,
        size=Size(width=side, height=side),
        sampler=Sampler.EULER,
    )


def mixed_requests(side: int) -> list[Paint]:
    """Eight people's requests, no two alike in steps and guidance; two paint without guidance."""
    steps = (20, 25, 30, 20, 15, 28, 22, 30)
    scales = (5.0, 7.0, 4.5, 1.0, 6.0, 8.0, 1.0, 3.0)
    return [request(number, *both, side) for number, both in enumerate(zip(steps, scales, strict=True))]


def serve(studio: Studio, requests: Sequence[Paint]) -> None:
    """All requests at once through the engine's steps, to finished PNG files."""
    for one in requests:
        for _ in studio.accept(one):
            raise RuntimeError("the studio refused a request of the bench")
    while not studio.idle:
        for _ in studio.step():
            pass


def rest(studio: Studio) -> None:
    """Let the studio do what an idle engine does, as it has done before people ask."""
    studio.join()
    while studio.can_prepare:
        studio.prepare_next()
        studio.join()


def paint_by_pipeline(model: Model, requests: Sequence[Paint]) -> None:
    """The same requests one after another through StableDiffusionXLPipeline, to PNG files."""
    pipeline: Any = model.base
    for one in requests:
        if not isinstance(one.size, Size):
            raise TypeError("the bench asks for sizes in pixels")
        own = pipeline.scheduler
        pipeline.scheduler = make_scheduler(one.sampler, own.config, one.steps)
        painted = pipeline(
            prompt=one.prompt,
            num_inference_steps=one.steps,
            guidance_scale=one.guidance_scale,
            width=one.size.width,
            height=one.size.height,
            generator=torch.Generator("cpu").manual_seed(one.seed),
        )
        pipeline.scheduler = own
        painted.images[0].save(BytesIO(), "PNG")
