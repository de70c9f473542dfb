"""OpenVINO, where it is installed, paints the same pictures with every mix of LoRAs; else torch goes on."""

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from engine.messages import AdapterUse, EngineSettings, Size
from engine.runners import openvino_graphs
from engine.runners.choice import make_runner
from engine.runners.graphs import GraphRunner, Thresholds
from engine.runners.runner import UnetInputs
from engine.runners.traced import Tracer
from engine.sdxl.model import Model
from engine.studio import Studio
from tests.engine.model_copies import Copies
from tests.engine.small_unet import make_small_unet
from tests.engine.studio_work import furthest, paint, request

SETTINGS = EngineSettings(model="demo", cpu_runtime="openvino")
SMALL = Size(width=64, height=64)


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    if importlib.util.find_spec("openvino") is None:
        pytest.skip("OpenVINO is not installed")
    monkeypatch.setattr(openvino_graphs, "THRESHOLDS", Thresholds(busy=10**6, idle=1, full=10**6))


@torch.inference_mode()
def run(inputs: UnetInputs, network: Any) -> Tensor:
    return inputs.run(network)[0]


def prepare(runner: Any) -> None:
    """Let it do what an idle engine does."""
    while runner.can_prepare:
        runner.prepare_next()
        runner.join()


@pytest.mark.usefixtures("installed")
def test_pictures_are_within_one_of_255_with_and_without_loras(
    model: Model, copies: Copies, files: Path, loras: tuple[AdapterUse, AdapterUse]
) -> None:
    torch_only = Studio(copies.one(), EngineSettings(model="demo", files=str(files)))
    model = replace(model, refiner=None)
    studio = Studio(model, replace(SETTINGS, files=str(files)))
    asked = [request(steps=4, size=SMALL, adapters=mix) for mix in ((), loras, loras[:1], ())]
    paint(studio, asked[0])
    prepare(studio._runners.base)
    assert isinstance(studio._runners.base, GraphRunner)
    assert studio._runners.base.graph_count == 1

    pictures = [paint(studio, each)["j"] for each in asked]

    assert all(
        furthest(picture, paint(torch_only, each)["j"]) <= 1
        for picture, each in zip(pictures, asked, strict=True)
    )
    assert furthest(pictures[0], pictures[1]) > 10
    assert studio._runners.base.graph_count == 1


@pytest.mark.usefixtures("installed")
def test_a_model_follows_linear_layers_and_leaves_changed_convolutions_to_torch(
    caplog: pytest.LogCaptureFixture,
) -> None:
    unet = make_small_unet()
    runner, inputs = make_runner(unet, SETTINGS), UnetInputs.examples(unet, 2, 8, 8)
    plain = run(inputs, runner)
    prepare(runner)
    (graph,) = runner._graphs.values()  # type: ignore[attr-defined]
    linear = unet.mid_block.attentions[0].transformer_blocks[0].attn1.to_v.weight
    convolution = unet.down_blocks[0].resnets[0].conv1.weight

    linear.mul_(5)
    assert (run(inputs, runner) - plain).abs().max() > 1e-3
    torch.testing.assert_close(run(inputs, runner), run(inputs, unet), rtol=0, atol=1e-4)
    convolution.mul_(5)
    assert graph(inputs) is None
    assert torch.equal(run(inputs, runner), run(inputs, unet))
    convolution.div_(5)
    linear.div_(5)
    assert graph(inputs) is not None
    torch.testing.assert_close(run(inputs, runner), plain, rtol=0, atol=1e-4)
    assert not caplog.text


@pytest.mark.usefixtures("installed")
def test_where_it_fails_torch_goes_on_and_the_log_says_so_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(openvino_graphs, "LARGEST_ERROR", -1.0)
    unet = make_small_unet()
    runner, inputs = make_runner(unet, SETTINGS), UnetInputs.examples(unet, 1, 8, 8)
    run(inputs, runner)

    prepare(runner)

    assert torch.equal(run(inputs, runner), run(inputs, unet))
    assert caplog.text.count("cannot be run by OpenVINO") == 1
    assert not runner.can_prepare


@pytest.mark.parametrize(("runtime", "sentences"), [("openvino", 1), ("auto", 0), ("torch", 0)])
def test_where_it_is_not_installed_forwards_are_traced(
    runtime: str, sentences: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)

    runner = make_runner(make_small_unet(), replace(SETTINGS, cpu_runtime=runtime))

    assert isinstance(runner, GraphRunner)
    assert isinstance(runner._maker, Tracer)
    assert caplog.text.count("OpenVINO is not installed") == sentences


@pytest.mark.usefixtures("installed")
def test_it_does_not_report_to_its_makers() -> None:
    openvino_graphs.import_openvino()

    assert not [name for name in sys.modules if name.startswith("openvino_telemetry")]
