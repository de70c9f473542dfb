"""One run on a GPU within a deadline: a line of JSON for each stage, of as many as still fit.

`python -m bench.gpu --seconds 560 > lines.json`; `--tiny` does the same on a CPU in seconds, to try it out.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch

from bench.gpu_stages import ceilings, pictures, training
from bench.gpu_stages.subject import Subject, full_subject, tiny_subject
from bench.measuring import where
from bench.tables import quiet

SECONDS = 560.0  # within the ten minutes that a lent machine gives a command

Measure = Callable[[Subject], Mapping[str, object]]


@dataclass(frozen=True, kw_only=True)
class Stage:
    """Something to measure, and the seconds that it needs on an H200 with its warm-up, as far as is known."""

    name: str
    needs: float
    measure: Measure


def stages(subject: Subject, until: float) -> list[Stage]:
    """All stages, what matters most first. What compiles comes last, as nobody knows how long that takes.

    until: when the run must end, by time.monotonic.
    """
    compilation = Stage(
        name="blocks are compiled", needs=60, measure=partial(pictures.wait_for_compiler, until)
    )
    chosen = [
        *ceiling_stages(),
        *picture_stages(subject),
        *lora_stages(subject.sides[0]),
        *training_stages(subject),
        *part_stages(subject),
        compilation,
        *picture_stages(subject, compiled=True),
    ]
    return [replace(stage, needs=0) for stage in chosen] if subject.is_tiny else chosen


def ceiling_stages() -> list[Stage]:
    return [
        Stage(name="device", needs=0, measure=device),
        Stage(name="ceilings: matrix product", needs=5, measure=ceilings.matmul),
        Stage(name="ceilings: copy", needs=5, measure=ceilings.copy),
        Stage(name="rounding of a merged LoRA", needs=5, measure=ceilings.rounding),
        Stage(name="attention kernels", needs=10, measure=ceilings.attention),
        Stage(name="the model is made", needs=20, measure=make_model),
        Stage(name="transfers in a picture's steps", needs=10, measure=pictures.syncs),
    ]


def picture_stages(subject: Subject, *, compiled: bool = False) -> list[Stage]:
    """One person at each size, and then several."""
    return [
        Stage(
            name=f"{'compiled ' * compiled}pictures, {people} at {side}",
            needs=10 + (3 if compiled else 5) * people * (side / 1024) ** 2,
            measure=partial(pictures.pictures, side, people, compiled=compiled),
        )
        for people in (1, subject.people)
        for side in subject.sides
    ]


def lora_stages(side: int) -> list[Stage]:
    return [
        Stage(name="a switch of LoRAs", needs=20, measure=pictures.lora_switch),
        Stage(name=f"a LoRA each at {side}", needs=20, measure=partial(pictures.lora_each, side)),
    ]


def training_stages(subject: Subject) -> list[Stage]:
    return [
        Stage(name=f"training, batch {batch}", needs=10 + batch, measure=partial(training.training, batch))
        for batch in subject.batches
    ]


def part_stages(subject: Subject) -> list[Stage]:
    """Forwards without anything around them, and what a picture costs beside them."""
    last = subject.sides[-1]
    forwards = [
        Stage(name=f"eager forwards at {side}", needs=5, measure=partial(pictures.eager_forwards, side))
        for side in subject.sides
    ]
    return [
        *forwards,
        Stage(name=f"parts of a picture at {last}", needs=10, measure=partial(pictures.parts, last)),
    ]


def device(subject: Subject) -> Mapping[str, object]:
    """What it runs on."""
    return {"where": where(), "precision": ceilings.name(subject.precision)}


def make_model(subject: Subject) -> Mapping[str, object]:
    """How many parameters the base has."""
    return {"parameters": sum(parameter.numel() for parameter in subject.model.base.unet.parameters())}


def run(
    subject: Subject, until: float, chosen: Sequence[Stage], write: Callable[[str], object] = print
) -> None:
    """Measure these stages one after another and write a line of JSON after each.

    A stage that needs more than is left of the time is skipped, and one that fails says why; the others go
    on. until: when the run must end, by time.monotonic.
    """
    for stage in chosen:
        left = until - time.monotonic()
        if stage.needs > left:
            result: Mapping[str, object] = {"skipped": f"needs {stage.needs:.0f} s, {left:.0f} s are left"}
        else:
            result = attempt(stage, subject)
        write(json.dumps({"stage": stage.name, **result}))


def attempt(stage: Stage, subject: Subject) -> Mapping[str, object]:
    """What the stage measures, its seconds and the memory that it took, or how it failed."""
    started = time.monotonic()
    if not subject.is_tiny:
        torch.cuda.reset_peak_memory_stats()
    try:
        result = {**stage.measure(subject)}
    except Exception as error:  # whatever it is, the next stages may work
        result = {"failed": f"{type(error).__name__}: {error}"[:500]}
    if not subject.is_tiny:
        result["peak_gigabytes"] = round(torch.cuda.max_memory_allocated() / 2**30, 2)
        torch.cuda.empty_cache()
    return result | {"seconds_taken": round(time.monotonic() - started, 2)}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.gpu", description=__doc__)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="the deadline")
    parser.add_argument("--tiny", action="store_true", help="a tiny model on a CPU, to try the script")
    asked = parser.parse_args()
    if not (asked.tiny or torch.cuda.is_available()):
        parser.error("there is no GPU here. Add --tiny to try the script on a CPU.")
    until = time.monotonic() + asked.seconds
    quiet()
    with tempfile.TemporaryDirectory() as folder:
        subject = (tiny_subject if asked.tiny else full_subject)(Path(folder))
        run(subject, until, stages(subject, until), partial(print, flush=True))


if __name__ == "__main__":
    main()
