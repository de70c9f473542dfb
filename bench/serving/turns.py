"""What people wait who ask at once with different LoRAs: in turns of whole pictures, and of a few steps."""

import statistics
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from bench.measuring import table
from bench.mixes import stored_loras
from bench.painting import mixed_requests, request, waits
from engine.batching import Batcher
from engine.forward_cost import ForwardCost
from engine.messages import EngineSettings
from engine.sdxl.model import load_model
from engine.sdxl.painting import Painting
from engine.step_clock import make_clock
from engine.studio import Studio

ROUNDS = 3


class ShortTurns(Batcher):
    """Changes the mix after a few steps, whoever waits."""

    def _goes_on_alone(self, groups: Mapping[Hashable, Sequence[Painting]]) -> bool:
        return False


def measure(settings: EngineSettings, side: int) -> str:
    """The mean wait and the longest of eight people with a LoRA each, of equal and of mixed steps."""
    with stored_loras(settings) as (settings, loras):
        model = load_model(settings)
        whole, short = Studio(model, settings), Studio(load_model(settings), settings)
        short._batcher = ShortTurns(settings.largest_batch, ForwardCost(make_clock(model.device)))
        cases = {
            "20 steps each": [replace(request(0, 20, 5.0, side), seed=seed) for seed in range(8)],
            "15 to 30 steps": mixed_requests(side),
        }
        rows = []
        for name, asked in cases.items():
            people = [
                replace(each, job=paint.job, adapters=(lora,))
                for each, paint, lora in zip(asked, mixed_requests(side), loras, strict=True)
            ]
            ways = [partial(waits, studio, people) for studio in (whole, short)]
            for way in ways:
                way()  # by now what a forward takes is known
            turns = [[way() for way in ways] for _ in range(ROUNDS)]
            rows.append([name, *cells(turns)])
    head = ["eight people, a LoRA each", "mean, whole pictures", "mean, a few steps"]
    return table([*head, "the last, whole pictures", "the last, a few steps"], rows)


def cells(turns: Sequence[Sequence[Sequence[float]]]) -> list[str]:
    """The medians of the mean waits of each way, and of the longest."""
    return [
        f"{statistics.median(which(turn[way]) for turn in turns):.2f} s"
        for which in (statistics.mean, max)
        for way in range(2)
    ]
