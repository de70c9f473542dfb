"""Traced forwards are used on a CPU, equal the UNet's own to the last bit, and follow the weights."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from engine.lora.adapters import Adapters
from engine.messages import EngineSettings, Size
from engine.runners import graphs, traced
from engine.runners.graphs import GraphRunner, Thresholds
from engine.runners.traced import Tracer
from engine.sdxl.model import Model
from engine.studio import Studio
from tests.engine.adapter_cases import PLENTY, use
from tests.engine.studio_work import paint, request
from tests.lora_files import attention, kohya, make_lora, store

Forward = dict[str, Any]


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every shape is traced at its second forward."""
    monkeypatch.setattr(traced, "THRESHOLDS", Thresholds(busy=1, idle=8, full=1))


@pytest.fixture(autouse=True)
def inference() -> Iterator[None]:
    with torch.inference_mode():
        yield


def inputs(model: Model, rows: int, side: int, windows: int = 1) -> tuple[tuple[Tensor, Tensor], Forward]:
    unet = model.base.unet
    draw = torch.Generator().manual_seed(rows)
    added = {
        "text_embeds": torch.randn(rows, model.base.text_encoder_2.config.projection_dim, generator=draw),
        "time_ids": torch.full((rows, 6), 128.0),
    }
    hidden = torch.randn(rows, 77 * windows, unet.config.cross_attention_dim, generator=draw)
    sample = torch.randn(rows, 4, side, side, generator=draw)
    timestep = torch.linspace(900, 100, rows)
    options = {"encoder_hidden_states": hidden, "added_cond_kwargs": added, "return_dict": False}
    return (sample, timestep), options


@pytest.mark.parametrize(
    ("rows", "side", "windows"), [(1, 16, 1), (2, 16, 1), (3, 16, 2), (2, 9, 1), (4, 24, 1)]
)
def test_a_traced_forward_is_the_unets_own_to_the_last_bit(
    model: Model, rows: int, side: int, windows: int
) -> None:
    runner = GraphRunner(model.base.unet, Tracer())
    first, options = inputs(model, rows, side, windows)
    other = (first[0].flip(0) * 1.5, first[1].flip(0) + 7)

    for _ in range(4):
        for positional in (first, other):
            expected = model.base.unet(*positional, **options)[0]
            assert torch.equal(runner(*positional, **options)[0], expected)

    assert runner.graph_count == 1


def test_a_graph_follows_every_mix_of_loras(model: Model, files: Path) -> None:
    runner, adapters = GraphRunner(model.base.unet, Tracer()), Adapters(model.base, files, PLENTY)
    positional, options = inputs(model, 2, 16)
    mixes = [store(files, kohya(make_lora(model.base, of=attention, seed=s)), name=f"l{s}") for s in (1, 2)]
    plain = [runner(*positional, **options)[0] for _ in range(3)][-1]

    for mix in ((mixes[0],), tuple(mixes), (mixes[1],)):
        use(adapters, *mix)
        output = runner(*positional, **options)[0]
        assert torch.equal(output, model.base.unet(*positional, **options)[0])
        assert (output - plain).abs().max() > 1e-4

    adapters.activate(())
    assert torch.equal(runner(*positional, **options)[0], plain)
    assert runner.graph_count == 1


def test_an_idle_engine_traces_what_was_painted_and_then_waits(
    model: Model, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(traced, "THRESHOLDS", Thresholds(busy=1000, idle=8, full=1000))
    studio = Studio(model, EngineSettings(model="demo", files=str(files)))
    size = Size(width=64, height=64)
    before = paint(studio, request("one", steps=8, size=size))["one"]
    assert studio.can_prepare

    studio.prepare_next()

    assert not studio.can_prepare
    assert (paint(studio, request("one", steps=8, size=size))["one"] == before).all()
    assert not studio.can_prepare


def test_where_tracing_fails_forwards_go_on_and_the_log_says_so_once(
    model: Model, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def failing(*_: object, **__: object) -> object:
        raise RuntimeError("no tracer")

    monkeypatch.setattr(torch.jit, "trace", failing)
    runner = GraphRunner(model.base.unet, Tracer())
    positional, options = inputs(model, 1, 16)

    for _ in range(4):
        output = runner(*positional, **options)[0]

    assert torch.equal(output, model.base.unet(*positional, **options)[0])
    assert caplog.text.count("cannot be traced") == 1
    assert not runner.can_prepare


def test_pictures_go_through_graphs(model: Model, files: Path) -> None:
    studio = Studio(model, EngineSettings(model="demo", files=str(files)))

    paint(studio, request("one", steps=4, size=Size(width=64, height=64)))

    runner = studio._runners.base
    assert isinstance(runner, GraphRunner)
    assert runner.graph_count == 1


def test_no_more_shapes_are_counted_than_fit(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graphs, "SHAPES", 2)
    monkeypatch.setattr(traced, "THRESHOLDS", Thresholds(busy=1000, idle=2, full=1000))
    runner = GraphRunner(model.base.unet, Tracer())
    for side in (8, 9, 10, 8):
        positional, options = inputs(model, 1, side)
        runner(*positional, **options)

    assert not runner.can_prepare  # the first of 8 was forgotten


def test_what_runs_forwards_without_a_graph_is_prepared_too_but_for_shapes_that_have_one(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(traced, "THRESHOLDS", Thresholds(busy=1000, idle=2, full=1000))
    monkeypatch.setattr(traced, "GRAPHS", 1)
    inner = GraphRunner(model.base.unet, Tracer())
    runner = GraphRunner(inner, Tracer())
    for side in (8, 8, 8, 9, 9):
        positional, options = inputs(model, 1, side)
        runner(*positional, **options)

    runner.prepare_next()
    assert (runner.graph_count, inner.graph_count) == (1, 0)
    runner.prepare_next()
    assert (runner.graph_count, inner.graph_count) == (1, 1)
    assert not runner.can_prepare
