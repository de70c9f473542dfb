"""Trainings for tests: small pictures in a store, requests that take moments, and what came of them."""

import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from engine.messages import (
    CheckpointSaved,
    Event,
    Example,
    Failed,
    FileStore,
    JobId,
    Schedule,
    Train,
    Trained,
    TrainingSettings,
)
from engine.studio import Studio
from engine.training.state_file import unpack_state

TINY: dict[str, Any] = {
    "resolution": 32,
    "rank": 2,
    "alpha": 2.0,
    "learning_rate": 1e-3,
    "steps": 2,
    "schedule": Schedule.CONSTANT,
    "caption_dropout": 0.0,
    "validation": 0.0,
    "blocks": ("mid",),
    "every": 100,
}
"""Two steps on squares of 32 pixels: what is left is mostly overhead."""

SIZES = ((64, 64), (80, 72))


def examples(folder: Path, sizes: Sequence[tuple[int, int]] = SIZES) -> tuple[Example, ...]:
    """Pictures of these sizes, each with a shape of its own and stored."""
    store, examples = FileStore(folder), []
    for number, (width, height) in enumerate(sizes):
        draw = np.random.default_rng(number)
        small = Image.fromarray(draw.integers(0, 256, (6, 6, 3), dtype=np.uint8))
        file = io.BytesIO()
        small.resize((width, height), Image.Resampling.NEAREST).save(file, "PNG")
        caption = f"a ohwx circle number {number}"
        examples.append(
            Example(sha256=store.put_bytes(file.getvalue()), name=f"{number}.png", caption=caption)
        )
    return tuple(examples)


def training(folder: Path, job: str = "t", **changes: Any) -> Train:
    """A tiny training; what is no field of Train is a setting."""
    fields = {name: changes.pop(name) for name in tuple(changes) if name in Train.__dataclass_fields__}
    values: dict[str, Any] = {"name": "teal", "trigger": "ohwx", "subject": "circle"}
    if "examples" not in fields:
        values["examples"] = examples(folder)
    return Train(job=JobId(job), settings=TrainingSettings(**TINY | changes), **values | fields)


def run(studio: Studio, request: Train) -> list[Event]:
    """Everything that happens until the training has ended."""
    events = list(studio.accept(request))
    while not studio.idle:
        events += studio.step()
    return events


def checkpoints(events: Iterable[Event]) -> list[CheckpointSaved]:
    """What was saved, the untrained look left out."""
    return [event for event in events if isinstance(event, CheckpointSaved) and event.step]


def trained(events: Iterable[Event]) -> Trained:
    """How it ended, which must be well."""
    (end,) = [event for event in events if isinstance(event, Trained | Failed)]
    assert isinstance(end, Trained), end
    return end


def refusal(events: Iterable[Event]) -> str:
    """The sentence with which it was refused."""
    (end,) = [event for event in events if isinstance(event, Trained | Failed)]
    assert isinstance(end, Failed), end
    assert end.expected, end
    return end.reason


def state(folder: Path, saved: CheckpointSaved) -> dict[str, Any]:
    """The state of a checkpoint, read from the store."""
    assert saved.state is not None
    values: dict[str, Any] = unpack_state(FileStore(folder).get(saved.state))
    return values


def weights(folder: Path, saved: CheckpointSaved) -> dict[str, Tensor]:
    """The numbers that were learned, in float32, by a name for each."""
    learner = state(folder, saved)["learner"]
    tensors = {
        f"{place}.{part}": tensor
        for place, down, up, magnitude, _ in learner["adapter"]
        for part, tensor in (("down", down), ("up", up), ("magnitude", magnitude))
        if tensor is not None
    }
    for place, _, factors, _ in learner.get("lycoris", ()):
        tensors |= {
            f"{place}.{name}": tensor for name, tensor in factors.items() if tensor.is_floating_point()
        }
    for first, second in learner["tokens"]:
        tensors |= {"tokens.first": first, "tokens.second": second}
    return tensors


def largest_gap(first: dict[str, Tensor], second: dict[str, Tensor]) -> float:
    """The largest difference of any number; infinite when they are not of the same modules and shapes."""
    if first.keys() != second.keys() or any(first[name].shape != second[name].shape for name in first):
        return float("inf")
    return max(float((first[name] - second[name]).abs().max()) for name in first)
