"""Pictures at SDXL's sizes: forwards, one person and eight, LoRAs, fast steps, and waits for the device."""

import time
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from traceback import extract_stack
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from bench.forward import forward
from bench.gpu_stages.subject import Subject
from bench.measuring import in_turns, seconds
from bench.mixes import SWITCHES, switch_times
from bench.painting import mixed_requests, paint_by_pipeline, request, rest, serve
from bench.serving import picture_parts
from engine.lora.adapters import Adapters
from engine.messages import Paint
from engine.sdxl.painting import Stage
from engine.studio import Studio

ROWS = (2, 16)  # of one person and of eight, with guidance
FEW = 2  # steps of a warm-up
UNCAPTURED = 6  # steps of a picture before whose end no forward is captured
PAUSE = 0.5  # seconds between looks at what is compiled
WAITS = ("_local_scalar_dense", "_to_copy", "copy_")  # operations that may wait for a device
HERE = Path(__file__).parents[2]

Result = Mapping[str, object]


def syncs(subject: Subject) -> Result:
    """Where a picture's steps read from the device, or copy to or from it, and where CUDA says they wait."""
    studio = subject.engine
    list(studio.accept(request(0, UNCAPTURED, 5.0, subject.sides[0])))
    (painting,) = studio._paintings
    while not painting.step:  # words, and the first step, which chooses kernels
        list(studio.step())
    with Transfers(subject.device) as counts, warnings.catch_warnings(record=True) as waits:
        warnings.simplefilter("always")
        set_sync_warnings(subject, "warn")
        while painting.stage is not Stage.DECODE:
            list(studio.step())
        set_sync_warnings(subject, "default")
    finish(studio)
    lines = Counter(f"{Path(wait.filename).name}:{wait.lineno}" for wait in waits)
    return {"steps": painting.steps - 1, "transfers": dict(counts.places), "waits": dict(lines)}


def set_sync_warnings(subject: Subject, mode: str) -> None:
    """Have CUDA warn of each wait for the device, or not."""
    if not subject.is_tiny:
        torch.cuda.set_sync_debug_mode(mode)


class Transfers(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """A context that counts where numbers of this device are read, and tensors come to it or leave it."""

    def __init__(self, device: torch.device) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._device = device.type
        self.places: Counter[str] = Counter()

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[Any],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        output = func(*args, **(kwargs or {}))
        if func.overloadpacket.__name__ in WAITS:
            tensors = [each for each in (*args, output) if isinstance(each, torch.Tensor)]
            devices = {tensor.device.type for tensor in tensors}
            is_read = not isinstance(output, torch.Tensor)
            if len(devices) > 1 or (is_read and devices == {self._device}):
                self.places[place()] += 1
        return output


def place() -> str:
    """The innermost of our own lines that runs now."""
    ours = [frame for frame in extract_stack() if Path(frame.filename).is_relative_to(HERE / "engine")]
    return f"{Path(ours[-1].filename).relative_to(HERE)}:{ours[-1].lineno}" if ours else "elsewhere"


def eager_forwards(side: int, subject: Subject) -> Result:
    """Milliseconds of the UNet's own forward of one person and of eight."""
    works = [forward(subject.model.base.unet, rows, side // subject.model.factor) for rows in ROWS]
    times = in_turns(works, subject.rounds)
    return {
        "milliseconds": {
            f"{rows} rows": round(1000 * time, 2) for rows, time in zip(ROWS, times, strict=True)
        }
    }


def pictures(side: int, people: int, subject: Subject, *, compiled: bool = False) -> Result:
    """Seconds of one person's picture, or of eight people's: by the engine and by the pipeline."""
    studio = subject.compiled_engine if compiled else subject.engine
    if compiled and studio.is_preparing:
        raise RuntimeError("blocks are not compiled yet")
    asked = requests(subject, side, people)
    warm_up(studio, asked, subject)
    engine = seconds(partial(serve, studio, asked))
    fast = [replace(one, fast=True) for one in asked]
    warm_up(studio, fast, subject)
    fast_engine = seconds(partial(serve, studio, fast))
    times = {"engine": engine, "engine, fast": fast_engine}
    if not compiled:
        paint_by_pipeline(subject.model, few_steps(asked[:1]))
        times["pipeline, eager"] = seconds(partial(paint_by_pipeline, subject.model, asked))
    return {
        "seconds": {who: round(time, 3) for who, time in times.items()},
        "pictures_a_second": {who: round(len(asked) / time, 3) for who, time in times.items()},
    }


def wait_for_compiler(until: float, subject: Subject) -> Result:
    """Compile what the stages after this one measure. Raises TimeoutError where that takes too long.

    until: when it must be done, by time.monotonic.
    """
    while subject.compiled_engine.is_preparing:
        if time.monotonic() > until:
            raise TimeoutError("blocks are still being compiled")
        time.sleep(PAUSE)
    return {}


def lora_each(side: int, subject: Subject) -> Result:
    """Seconds of people's pictures with a LoRA each, by the engine."""
    studio = subject.engine
    people = zip(requests(subject, side, subject.people), subject.loras, strict=True)
    asked = [replace(one, adapters=(lora,)) for one, lora in people]
    warm_up(studio, asked, subject)
    time = seconds(partial(serve, studio, asked))
    studio._adapters.apply(())
    return {"seconds": round(time, 3), "pictures_a_second": round(len(asked) / time, 3)}


def lora_switch(subject: Subject) -> Result:
    """Milliseconds of a LoRA's first use, of switches between mixes, and back to none."""
    adapters = Adapters(subject.model.base, subject.files, 2**34)
    times = switch_times(adapters, subject.loras, 1 if subject.is_tiny else SWITCHES)
    adapters.apply(())
    return {"milliseconds": {what: round(time, 2) for what, time in times.items()}}


def parts(side: int, subject: Subject) -> Result:
    """Milliseconds of words, preview, decode and PNG, by the engine and by the pipeline."""
    times = {}
    for what, ways in picture_parts.parts(subject.model, side).items():
        times[what] = [round(1000 * time, 2) for time in in_turns(ways, subject.rounds)]
    return {"milliseconds": times}


def requests(subject: Subject, side: int, people: int) -> list[Paint]:
    """One person's request, or those of eight people, in this many steps or up to half as many more."""
    if people == 1:
        return [request(0, subject.steps, 5.0, side)]
    mixed = mixed_requests(side)[:people]
    return few_steps(mixed) if subject.is_tiny else mixed


def few_steps(asked: Sequence[Paint]) -> list[Paint]:
    """The same in so few steps as a warm-up needs."""
    return [replace(one, steps=FEW) for one in asked]


def warm_up(studio: Studio, asked: Sequence[Paint], subject: Subject) -> None:
    """Paint the same in few steps, and let the engine rest."""
    for _ in range(1 if subject.is_tiny else 2):
        serve(studio, few_steps(asked))
        rest(studio)


def finish(studio: Studio) -> None:
    """Paint what is begun."""
    while not studio.idle:
        list(studio.step())
