"""With compiled blocks every LoRA paints, and so does everybody else."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from engine.messages import AdapterUse, EngineSettings, Size
from engine.sdxl.model import Model, compile_blocks
from engine.studio import Studio
from tests.engine.model_copies import Copies
from tests.engine.studio_work import furthest, paint, request
from tests.lora_files import attention, diffusers_new, make_lora, store

LORAS = 12  # more than torch compiles one piece of code for before it gives up

# torch's compiler imports what it has itself put on the list of the past
pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")


class Compiled:
    """A backend that compiles nothing, and counts how often what it was given runs."""

    def __init__(self) -> None:
        self.runs = 0

    def __call__(self, graph: torch.fx.GraphModule, inputs: Sequence[Tensor]) -> Any:
        def run(*inputs: Tensor) -> Any:
            self.runs += 1
            return graph.forward(*inputs)

        return run


@pytest.fixture
def compiled(model: Model) -> Iterator[Compiled]:
    before = torch.compiler.config.recompile_limit
    backend = Compiled()
    compile_blocks(model.base.unet, backend)
    yield backend
    torch.compiler.config.recompile_limit = before
    torch.compiler.reset()


@pytest.fixture
def studio(compiled: Compiled, model: Model, files: Path) -> Studio:
    return Studio(model, EngineSettings(model="demo", files=str(files), compile=True))


@pytest.fixture
def eager(copies: Copies, files: Path) -> Studio:
    """The same engine, uncompiled."""
    return Studio(copies.one(), EngineSettings(model="demo", files=str(files)))


def twelve(model: Model, files: Path) -> list[AdapterUse]:
    loras = [make_lora(model.base, of=attention, seed=seed) for seed in range(LORAS)]
    return [store(files, diffusers_new(lora), name=f"lora{number}") for number, lora in enumerate(loras)]


def test_twelve_loras_paint_one_after_another_and_people_without_one_between_them(
    studio: Studio, eager: Studio, model: Model, files: Path, compiled: Compiled
) -> None:
    plain = request("plain", steps=1, size=Size(width=64, height=64))
    inked = [replace(plain, adapters=(use,)) for use in twelve(model, files)]
    runs, pictures = [], []

    for job in inked:
        pictures.append(paint(studio, job)["plain"])
        without = paint(studio, plain)["plain"]
        runs.append(compiled.runs)

    assert runs == sorted(set(runs))  # those without a LoRA run compiled to the end
    assert furthest(without, paint(eager, plain)["plain"]) <= 1
    assert furthest(pictures[-1], paint(eager, inked[-1])["plain"]) <= 1
