"""People who come one by one: what they wait at several loads, in the engine and one after another."""

import itertools
import random
import statistics
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from bench.measuring import seconds, table
from bench.mixes import Peers, load_peers, paint_with_loras, stored_loras
from bench.painting import request, rest, serve
from engine.messages import AdapterUse, EngineSettings, JobId, Paint, Painted
from engine.studio import Studio

LOADS = (0.5, 0.7, 0.9, 1.1)  # of what can be done one after another
PEOPLE = 60
STEPS = (15, 20, 25, 30)
SCALES = (1.0, 4.5, 5.0, 7.0)


def measure(settings: EngineSettings, side: int, people: int = PEOPLE, loads: Sequence[float] = LOADS) -> str:
    """What the same people wait at each load: by the engine, and by the pipeline one after another.

    They come at random (Poisson), and a load of 1 is as many as the pipeline can just serve. Time is that of
    the work: nobody waits for the clock while nothing is to do.
    """
    with stored_loras(settings) as (settings, loras):
        peers = load_peers(settings, loras, others=False)
        asked = requests(loras, side, people)
        warm_up(peers, asked)
        before = time_each(peers, asked)
        dice = random.Random(1)
        gaps = [dice.expovariate(1.0) for _ in asked]
        mean = statistics.mean(before)
        arrivals = {load: list(itertools.accumulate(gap * mean / load for gap in gaps)) for load in loads}
        engine = {load: replay(peers.studio, asked, arrivals[load]) for load in loads}
        each = [statistics.mean(both) for both in zip(before, time_each(peers, asked), strict=True)]
    rows = []
    for load in loads:
        alone = wait_in_line(arrivals[load], each)
        pairs = [(statistics.mean(alone), statistics.mean(engine[load])), (p95(alone), p95(engine[load]))]
        rows.append(
            [f"{load:g}", *[f"{value:.2f} s" for pair in pairs for value in pair], f"{ratio(pairs[0]):.1f}"]
        )
    head = ["load", "mean, one after another", "mean, engine", "p95, one after another", "p95, engine"]
    return table([*head, "mean, times as short"], rows)


def requests(loras: Sequence[AdapterUse], side: int, count: int) -> list[Paint]:
    """So many people's requests: mixed steps and guidance, LoRAs by Zipf's law, the first of which is none.

    The n-th most popular is asked for 1/n times as often as the first (Zipf 1949).
    """
    dice = random.Random(0)
    mixes = [(), *((lora,) for lora in loras)]
    shares = [1 / place for place in range(1, len(mixes) + 1)]
    chosen = dice.choices(mixes, shares, k=count)
    return [
        replace(request(number, dice.choice(STEPS), dice.choice(SCALES), side), adapters=mix)
        for number, mix in enumerate(chosen)
    ]


def warm_up(peers: Peers, asked: Sequence[Paint]) -> None:
    """Let both paint what they will, and the engine rest."""
    for _ in range(2):
        serve(peers.studio, asked[:8])
        rest(peers.studio)
    time_each(peers, asked[:4])


def time_each(peers: Peers, asked: Sequence[Paint]) -> list[float]:
    """Seconds of each request by the pipeline, its LoRA fused, as is fastest for it."""
    return [seconds(partial(paint_with_loras, peers, [one], fuse=True)) for one in asked]


def replay(studio: Studio, asked: Sequence[Paint], arrivals: Sequence[float]) -> list[float]:
    """Seconds that each of these people waits who ask at these times."""
    began: dict[JobId, float] = {}
    waits, now, coming = list[float](), 0.0, deque(zip(arrivals, asked, strict=True))
    while coming or not studio.idle:
        if studio.idle:
            now = max(now, coming[0][0])
        while coming and coming[0][0] <= now:
            at, one = coming.popleft()
            began[one.job] = at
            for _ in studio.accept(one):
                raise RuntimeError("the studio refused a request of the bench")
        started = time.perf_counter()
        events = list(studio.step())
        now += time.perf_counter() - started
        waits += [now - began[event.job] for event in events if isinstance(event, Painted)]
    return waits


def wait_in_line(arrivals: Sequence[float], each: Sequence[float]) -> list[float]:
    """Seconds that each waits where everybody is served after the one before."""
    waits, free = [], 0.0
    for at, needed in zip(arrivals, each, strict=True):
        free = max(free, at) + needed
        waits.append(free - at)
    return waits


def p95(values: Sequence[float]) -> float:
    """What 95 of 100 stay under."""
    return statistics.quantiles(values, n=20, method="inclusive")[18]


def ratio(pair: tuple[float, float]) -> float:
    return pair[0] / pair[1]
