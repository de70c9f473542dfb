"""Captured forwards: static inputs are filled and replayed, a shape is captured once, and few are kept."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import Tensor

from engine.lora.adapters import Adapters
from engine.runners import captured
from engine.runners.captured import GraphCapturer
from engine.runners.compiled import BackgroundCompiler, CompiledRunner
from engine.runners.graphs import GraphRunner, Thresholds
from engine.runners.runner import UnetInputs
from engine.sdxl.model import Model
from tests.engine.adapter_cases import PLENTY, use
from tests.engine.small_unet import make_small_unet
from tests.lora_files import attention, kohya, make_lora, store

Work = Callable[[], tuple[Tensor, ...]]


@dataclass
class FakeRecording:
    """Work that writes its outputs to where they were at first, as a CUDA graph does."""

    work: Work
    outputs: tuple[Tensor, ...]
    wrong: bool
    replays: int = 0

    def replay(self) -> None:
        self.replays += 1
        for target, source in zip(self.outputs, self.work(), strict=True):
            target.copy_(-source if self.wrong else source)


class FakeCapturer:
    """Captures on a CPU."""

    def __init__(self, *, wrong: bool = False, full_from: int = 1000) -> None:
        """wrong: its graphs compute something else. full_from: captures for which there is memory."""
        self.recordings: list[FakeRecording] = []
        self.wrong, self.full_from = wrong, full_from

    def capture(self, work: Work) -> FakeRecording:
        if len(self.recordings) >= self.full_from:
            raise torch.OutOfMemoryError("no memory left")
        recording = FakeRecording(work, tuple(output.clone() for output in work()), self.wrong)
        self.recordings.append(recording)
        return recording

    @property
    def replays(self) -> list[int]:
        """Of each capture, without the one that checks it."""
        return [recording.replays - 1 for recording in self.recordings]


@pytest.fixture(autouse=True)
def inference(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(captured, "THRESHOLDS", Thresholds(busy=1, idle=1, full=1))
    monkeypatch.setattr(captured, "GRAPHS", 2)
    with torch.inference_mode():
        yield


def make_runner(model: Model, capturer: FakeCapturer) -> GraphRunner:
    return GraphRunner(model.base.unet, GraphCapturer(capturer))


def inputs(model: Model, rows: int, side: int, seed: int = 0) -> UnetInputs:
    examples = UnetInputs.examples(model.base.unet, rows, side, side)
    return UnetInputs(
        sample=examples.sample + seed,
        timestep=torch.linspace(900, 100, rows) + seed,
        hidden=examples.hidden.roll(seed, 0) * (1 + seed),
        added=examples.added,
    )


def run_both(model: Model, runner: GraphRunner, asked: UnetInputs) -> tuple[Tensor, Tensor]:
    return asked.run(runner)[0], asked.run(model.base.unet)[0]


def test_later_inputs_fill_the_static_ones_and_the_graph_is_replayed(model: Model) -> None:
    runner = make_runner(model, capturer := FakeCapturer())
    outputs = [run_both(model, runner, inputs(model, 2, 8, seed)) for seed in range(5)]

    assert capturer.replays == [4]  # the first forward was eager
    assert all(torch.equal(output, expected) for output, expected in outputs)
    assert len({output.data_ptr() for output, _ in outputs}) == 5  # no later replay writes over one


def test_a_shape_is_captured_once_and_no_more_graphs_are_held_than_allowed(model: Model) -> None:
    runner = make_runner(model, capturer := FakeCapturer())

    for _ in range(3):
        for side in (8, 9):
            run_both(model, runner, inputs(model, 1, side))
    assert capturer.replays == [2, 2]

    for _ in range(2):
        run_both(model, runner, inputs(model, 2, 8))
    assert len(capturer.recordings) == 3
    assert runner.graph_count == 2


def test_a_graph_follows_every_mix_of_loras(model: Model, files: Path) -> None:
    runner = make_runner(model, capturer := FakeCapturer())
    adapters, asked = Adapters(model.base, files, PLENTY), inputs(model, 2, 8)
    plain = [run_both(model, runner, asked)[0] for _ in range(2)][-1]
    for seed in (1, 2):
        lora = store(files, kohya(make_lora(model.base, of=attention, seed=seed)), name=f"l{seed}")
        use(adapters, lora)
        output, expected = run_both(model, runner, asked)
        assert torch.equal(output, expected)
        assert (output - plain).abs().max() > 1e-4

    assert capturer.replays == [3]


def test_usual_shapes_are_captured_while_nobody_waits_before_they_are_used(model: Model) -> None:
    runner = make_runner(model, capturer := FakeCapturer())
    runner.expect(inputs(model, 2, 8).shape)
    assert runner.can_prepare

    runner.prepare_next()
    output, expected = run_both(model, runner, inputs(model, 2, 8, seed=3))

    assert not runner.can_prepare
    assert capturer.replays == [1]
    assert torch.equal(output, expected)


@pytest.mark.parametrize(
    "capturer", [FakeCapturer(wrong=True), FakeCapturer(full_from=1)], ids=["wrong", "full"]
)
def test_where_a_capture_fails_forwards_are_eager_from_then_on_and_the_log_says_so_once(
    model: Model, capturer: FakeCapturer, caplog: pytest.LogCaptureFixture
) -> None:
    runner = make_runner(model, capturer)

    outputs = [run_both(model, runner, inputs(model, 1, side)) for side in (8, 8, 9, 9, 9, 8)]

    assert all(torch.equal(output, expected) for output, expected in outputs)
    assert runner.graph_count == 0
    assert not runner.can_prepare
    assert caplog.text.count("cannot be captured") == 1


def test_where_memory_is_short_graphs_are_given_up_before_the_picture_is(
    model: Model, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    runner = make_runner(model, FakeCapturer())
    for _ in range(2):
        run_both(model, runner, inputs(model, 1, 8))
    forward, calls = model.base.unet.forward, []

    def runs_short_once(*args: object, **options: object) -> object:
        calls.append(1)
        if len(calls) == 1:
            raise torch.OutOfMemoryError("no memory left")
        return forward(*args, **options)

    monkeypatch.setattr(model.base.unet, "forward", runs_short_once)
    inputs(model, 1, 12).run(runner)

    assert runner.graph_count == 0
    assert "cannot be captured" in caplog.text


def test_nothing_is_captured_while_blocks_are_compiled_and_then_what_is_compiled(model: Model) -> None:
    runner, compiler = make_runner(model, capturer := FakeCapturer()), BackgroundCompiler("eager")
    unet = make_small_unet()
    compiled = CompiledRunner(runner, unet, compiler)
    runner.use(unet)
    asked = UnetInputs.examples(unet, 2, 8, 12)
    for _ in range(3):
        asked.run(compiled)
    assert not compiled.can_prepare
    assert not capturer.recordings

    compiler.start()
    compiled.join()
    output = [asked.run(compiled)[0] for _ in range(2)][-1]

    assert capturer.replays == [2]
    assert torch.equal(output, capturer.recordings[0].outputs[0])
    torch.testing.assert_close(output, asked.run(unet)[0])
    torch.compiler.set_stance("default")
    torch.compiler.reset()


def test_where_all_places_are_taken_a_graph_goes_only_for_a_shape_that_is_used_much(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(captured, "THRESHOLDS", Thresholds(busy=1, idle=1, full=3))
    runner = make_runner(model, capturer := FakeCapturer())
    for side in (8, 9, 10):
        for _ in range(3):
            run_both(model, runner, inputs(model, 1, side))
    assert len(capturer.recordings) == 2
    assert not runner.can_prepare

    run_both(model, runner, inputs(model, 1, 10))
    assert len(capturer.recordings) == 3
    assert runner.graph_count == 2
