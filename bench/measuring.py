"""How every bench measures: what it ran on, and two things timed in turns within one run."""

import datetime
import platform
import statistics
import time
from collections.abc import Callable, Generator, Sequence
from typing import TypeVar

import diffusers
import peft
import torch
import transformers

Result = TypeVar("Result")


def result_of(steps: Generator[object, None, Result]) -> Result:
    """What a generator of steps returns, once all are taken."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: Result = end.value
            return result


def where() -> str:
    """One line on the device, the versions and the date."""
    if torch.cuda.is_available():
        device = torch.cuda.get_device_name()
    else:
        device = f"CPU {processor()}, {torch.get_num_threads()} threads"
    return (
        f"{device}; Python {platform.python_version()}, torch {torch.__version__}, diffusers "
        f"{diffusers.__version__}, transformers {transformers.__version__}, peft {peft.__version__}; "
        f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}"
    )


def processor() -> str:
    """The processor's name and whether it has the instructions that matter here."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:  # noqa: PTH123  a kernel file, not a path of ours
            lines = dict(line.split(":", 1) for line in file.read().split("\n\n")[0].splitlines())
    except (OSError, ValueError):
        return platform.processor()
    fields = {name.strip(): value.strip() for name, value in lines.items()}
    wide = " with AVX-512" if "avx512f" in fields.get("flags", "") else ""
    return fields.get("model name", platform.machine()) + wide


def seconds(work: Callable[[], object]) -> float:
    """How long the work took, the device's queue included."""
    started = time.perf_counter()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - started


def in_turns(
    works: Sequence[Callable[[], object]], rounds: int, warm_up: Sequence[Callable[[], object]] | None = None
) -> list[float]:
    """The median seconds of each work, timed one after another in every round, after a round to warm up.

    warm_up: shorter works of the same kinds for that round, where the works themselves are long.

    Whatever else the machine does then falls on all of them alike, so that their ratios hold.
    """
    for work in works if warm_up is None else warm_up:
        work()
    times = [[seconds(work) for work in works] for _ in range(rounds)]
    return [statistics.median(column) for column in zip(*times, strict=True)]


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(str(cell) for cell in line)} |" for line in lines)
