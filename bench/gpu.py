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


def stages(subject: Subject) -> list[Stage]:
    """All stages, what matters most first. What compiles comes last, since nothing limits its time."""
    sides, last = subject.sides, subject.sides[-1]
    chosen = [
        Stage(name="device", needs=0, measure=device),
        Stage(name="ceilings: matrix product", needs=5, measure=ceilings.matmul),
        Stage(name="ceilings: copy", needs=5, measure=ceilings.copy),
        Stage(name="rounding of a merged LoRA", needs=5, measure=ceilings.rounding),
        Stage(name="attention kernels", needs=10, measure=ceilings.attention),
        Stage(name="the model is made", needs=20, measure=make_model),
        Stage(name="transfers in a picture's steps", needs=10, measure=pictures.syncs),
    ]
    for people in (1, subject.people):
        for side in sides:
            measure = partial(pictures.pictures, side, people)
            needs = 10 + 5 * people * (side / 1024) ** 2
            chosen.append(Stage(name=f"pictures, {people} at {side}", needs=needs, measure=measure))
    chosen.append(Stage(name="a switch of LoRAs", needs=20, measure=pictures.lora_switch))
    chosen.append(
        Stage(name=f"a LoRA each at {sides[0]}", needs=20, measure=partial(pictures.lora_each, sides[0]))
    )
    chosen += [
        Stage(name=f"training, batch {batch}", needs=10 + batch, measure=partial(training.training, batch))
        for batch in subject.batches
    ]
    for side in sides:
        chosen.append(
            Stage(name=f"eager forwards at {side}", needs=5, measure=partial(pictures.eager_forwards, side))
        )
    chosen.append(
        Stage(name=f"parts of a picture at {last}", needs=10, measure=partial(pictures.parts, last))
    )
    chosen.append(Stage(name="blocks are compiled", needs=100, measure=pictures.wait_for_compiler))
    for people in (1, subject.people):
        for side in sides:
            measure = partial(pictures.pictures, side, people, compiled=True)
            needs = 10 + 3 * people * (side / 1024) ** 2
            chosen.append(Stage(name=f"compiled pictures, {people} at {side}", needs=needs, measure=measure))
    return [replace(stage, needs=0) for stage in chosen] if subject.is_tiny else chosen


def device(subject: Subject) -> Mapping[str, object]:
    """What it runs on."""
    return {"where": where(), "precision": ceilings.name(subject.precision)}


def make_model(subject: Subject) -> Mapping[str, object]:
    """How many parameters the base has."""
    return {"parameters": sum(parameter.numel() for parameter in subject.model.base.unet.parameters())}


def run(
    subject: Subject, seconds: float, chosen: Sequence[Stage], write: Callable[[str], object] = print
) -> None:
    """Measure these stages one after another and write a line of JSON after each.

    A stage that needs more than is left of the seconds is skipped, and one that fails says why; the others
    go on.
    """
    begun = time.monotonic()
    for stage in chosen:
        left = seconds - (time.monotonic() - begun)
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
    quiet()
    with tempfile.TemporaryDirectory() as folder:
        subject = (tiny_subject if asked.tiny else full_subject)(Path(folder))
        run(subject, asked.seconds, stages(subject), partial(print, flush=True))


if __name__ == "__main__":
    main()
