"""Compiled blocks serve every LoRA, sampler, size and number of people, and are compiled once."""

import itertools
import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from engine.messages import AdapterUse, EngineSettings, JobId, Paint, Sampler, Size
from engine.runners import choice
from engine.runners.compiled import BLOCKS, BackgroundCompiler, CompiledRunner, share_weights
from engine.runners.runner import EagerRunner, UnetInputs
from engine.sdxl.model import Model
from engine.studio import Studio
from tests.engine.model_copies import Copies
from tests.engine.small_unet import WIDTHS, make_small_unet
from tests.engine.studio_work import furthest, paint, request
from tests.lora_files import attention, diffusers_new, make_lora, store

LORAS = 12  # more than torch compiles a piece of code for before it gives up
SIZES = (Size(width=64, height=64), Size(width=96, height=64), Size(width=64, height=128))

# torch's compiler imports what it has itself put on the list of the past
pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")


class Backend:
    """Compiles nothing, and counts how often it is asked to and how often what it was given runs."""

    def __init__(self) -> None:
        self.compilations, self.runs = 0, 0
        self.is_broken = False

    def __call__(self, graph: torch.fx.GraphModule, inputs: Sequence[Tensor]) -> Any:
        self.compilations += 1

        def run(*inputs: Tensor) -> Any:
            self.runs += 1
            if self.is_broken:
                raise RuntimeError("no kernel")
            return graph.forward(*inputs)

        return run


@pytest.fixture(autouse=True)
def stance() -> Iterator[None]:
    # On a CPU convolutions are chosen by size, and what is compiled depends on it. On a GPU they are not.
    with torch.backends.mkldnn.flags(enabled=False, allow_tf32=None), torch.backends.nnpack.flags():
        yield
    torch.compiler.set_stance("default")
    torch.compiler.reset()


@pytest.fixture
def backend(monkeypatch: pytest.MonkeyPatch) -> Backend:
    backend = Backend()
    monkeypatch.setattr(choice, "make_compiler", lambda _: BackgroundCompiler(backend))
    return backend


def make_studio(model: Model, files: Path, *, compiled: bool) -> Studio:
    """A studio with a small UNet in place of the model's, and no refiner, to have less to compile."""
    model = replace(model, refiner=None)
    model.base.unet = make_small_unet(**{name: model.base.unet.config[name] for name in WIDTHS})
    return Studio(model, EngineSettings(model="demo", files=str(files), compile=compiled))


def loras(model: Model, files: Path) -> list[AdapterUse]:
    made = [make_lora(model.base, of=attention, seed=seed) for seed in range(LORAS)]
    return [store(files, diffusers_new(lora), name=f"lora{number}") for number, lora in enumerate(made)]


def cases(model: Model, files: Path) -> Iterator[list[Paint]]:
    """A LoRA each, with all samplers, three sizes, guided or not, for one to eight people."""
    turns = zip(loras(model, files), itertools.cycle(Sampler), itertools.cycle(SIZES), strict=False)
    for number, (use, sampler, size) in enumerate(turns):
        asked = request(
            steps=1,
            sampler=sampler,
            size=size,
            adapters=(use,),
            guidance_scale=5.0 if number % 2 else 1.0,
        )
        people = range(number + 1 if number < 8 else 1)
        yield [replace(asked, job=JobId(f"{number}-{person}"), seed=person) for person in people]


def count_blocks(module: torch.nn.Module) -> int:
    return sum(isinstance(part, BLOCKS) for part in module.modules())


def test_twelve_loras_all_samplers_and_sizes_and_one_to_eight_people_need_no_other_compilation(
    backend: Backend, model: Model, copies: Copies, files: Path, caplog: pytest.LogCaptureFixture
) -> None:
    studio, eager = make_studio(model, files, compiled=True), make_studio(copies.one(), files, compiled=False)
    studio.join()
    compilations = backend.compilations
    paint(studio, request("first", steps=1))
    unet_blocks, decoder_blocks = map(count_blocks, (model.base.unet, model.base.vae.decoder))
    torch.compiler.set_stance("default")  # or what is not foreseen would run uncompiled, and nobody would see
    assert {sampler for jobs in cases(model, files) for sampler in [jobs[0].sampler]} == set(Sampler)

    with torch._dynamo.config.patch(error_on_recompile=True):
        for jobs in cases(model, files):
            runs = backend.runs
            pictures = paint(studio, *jobs)
            assert backend.runs >= runs + unet_blocks + len(jobs) * decoder_blocks

    assert furthest(pictures[jobs[-1].job], paint(eager, jobs[-1])[jobs[-1].job]) <= 1
    assert backend.compilations == compilations
    assert "uncompiled" not in caplog.text


@pytest.fixture
def small() -> Any:
    return make_small_unet()


def make_runner(unet: Any, backend: Any) -> tuple[CompiledRunner, BackgroundCompiler]:
    compiler = BackgroundCompiler(backend)
    return CompiledRunner(EagerRunner(unet), unet, compiler), compiler


def run(unet: Any, runner: Any) -> Tensor:
    with torch.inference_mode():
        return UnetInputs.examples(unet, 2, 8, 12).run(runner)[0]


def test_until_it_is_compiled_it_runs_as_it_is_then_compiled_and_where_that_fails_as_it_is_again(
    small: Any, caplog: pytest.LogCaptureFixture
) -> None:
    backend = Backend()
    runner, compiler = make_runner(small, backend)
    expected = run(small, small)
    assert torch.equal(run(small, runner), expected)
    assert runner.is_preparing
    assert backend.compilations == 0

    compiler.start()
    runner.join()
    runs = backend.runs

    torch.testing.assert_close(run(small, runner), expected)
    assert backend.runs == runs + count_blocks(small)
    assert not runner.is_preparing

    backend.is_broken = True
    caplog.set_level(logging.WARNING, "engine")
    assert all(torch.equal(run(small, runner), expected) for _ in range(2))
    assert caplog.text.count("Compiled blocks failed") == 1


def test_what_cannot_be_compiled_runs_uncompiled_and_the_log_says_so_once(
    small: Any, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> Any:
        raise OSError("No space left on device")

    caplog.set_level(logging.WARNING, "engine")
    runner, compiler = make_runner(small, fail)
    compiler.start()
    runner.join()

    assert all(torch.equal(run(small, runner), run(small, small)) for _ in range(2))
    assert caplog.text.count("Blocks cannot be compiled") == 1
    assert not runner.is_preparing


def test_a_twin_has_the_same_weights_and_other_modules(model: Model) -> None:
    unet = model.base.unet

    twin = share_weights(unet)

    for (name, weight), (twins, shared) in zip(unet.named_parameters(), twin.named_parameters(), strict=True):
        assert name == twins
        assert weight is shared
    assert not set(map(id, unet.modules())) & set(map(id, twin.modules()))
