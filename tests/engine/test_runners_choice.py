"""How forwards are run is chosen by the device and the settings, and what is missing is done without."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch._inductor.runtime.cache_dir_utils import default_cache_dir
from torch.nn.attention import SDPBackend

from engine.messages import EngineSettings
from engine.runners import attention, choice
from engine.runners.captured import GraphCapturer
from engine.runners.choice import make_compiler, make_runner, usual_shapes
from engine.runners.compiled import BackgroundCompiler, CompiledRunner
from engine.runners.graphs import GraphRunner
from engine.runners.layout import TIMED, use_faster_layout
from engine.runners.runner import EagerRunner, Shape
from engine.runners.traced import Tracer
from engine.sdxl.model import Model
from tests.engine.small_unet import make_small_unet

SETTINGS = EngineSettings(model="demo")


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", default_cache_dir())  # as torch sets it
    yield
    torch.compiler.set_stance("default")


def test_a_small_unet_on_a_cpu_is_traced_and_a_compiled_or_a_large_one_is_not(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    unet = model.base.unet
    traced = make_runner(unet, SETTINGS)
    assert isinstance(traced, GraphRunner)
    assert isinstance(traced._maker, Tracer)

    compiled = make_runner(unet, replace(SETTINGS, compile=True), BackgroundCompiler())
    assert isinstance(compiled, CompiledRunner)
    monkeypatch.setattr(choice, "LARGEST_TRACED", 10**6)
    assert type(make_runner(unet, SETTINGS)) is EagerRunner


def test_on_a_gpu_forwards_are_captured_and_usual_sizes_are_prepared(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choice, "CudaCapturer", object)
    shapes = usual_shapes(model.base.unet)
    monkeypatch.setattr(choice, "usual_shapes", lambda _: shapes)

    runner = make_runner(SimpleNamespace(device=torch.device("cuda")), SETTINGS)

    assert isinstance(runner, GraphRunner)
    assert isinstance(runner._maker, GraphCapturer)
    assert runner.can_prepare
    assert [dict_of(shape)["sample"] for shape in shapes] == [(2, 4, side, side) for side in (16, 12, 8)]


def dict_of(shape: Shape) -> dict[str, torch.Size]:
    return {name: size for name, size, _ in shape}


def test_compiled_code_is_kept_beside_the_stored_files(tmp_path: Path) -> None:
    make_compiler(replace(SETTINGS, files=str(tmp_path / "data" / "files")))

    assert os.environ["TORCHINDUCTOR_CACHE_DIR"] == str(tmp_path / "data" / "compiled")


def test_code_on_which_the_compiler_failed_is_forgotten_for_the_next_start(tmp_path: Path) -> None:
    compiler = make_compiler(replace(SETTINGS, files=str(tmp_path / "files")))
    (tmp_path / "compiled" / "cut_off.so").touch()

    def fail(_twin: object) -> None:
        raise ImportError("file too short")

    compiler.submit(make_small_unet(), fail)
    compiler.start()
    compiler.join()

    assert not (tmp_path / "compiled").exists()


@pytest.mark.parametrize("broken", ["read-only", "full"])
def test_a_folder_that_is_read_only_or_full_is_done_without_and_the_log_says_so(
    broken: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    if broken == "full":
        usage = shutil.disk_usage(tmp_path)
        monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    else:
        (tmp_path / "compiled").touch()  # a file, since root may write into any folder

    make_compiler(replace(SETTINGS, files=str(tmp_path / "files")))

    assert os.environ["TORCHINDUCTOR_CACHE_DIR"] == default_cache_dir()
    assert caplog.text.count("Compiled code cannot be kept in") == 1


@pytest.mark.parametrize(
    ("layout", "seconds"), [(torch.channels_last, (2.0, 1.0)), (torch.contiguous_format, (1.0, 2.0))]
)
def test_the_layout_that_measures_faster_is_left(
    model: Model, layout: torch.memory_format, seconds: tuple[float, float]
) -> None:
    times = iter([0.0, seconds[0], 10.0, 10.0 + seconds[1]])
    waits: list[None] = []

    chosen = use_faster_layout(model.base.unet, 8, lambda: waits.append(None), lambda: next(times))

    assert chosen == layout
    assert model.base.unet.conv_in.weight.is_contiguous(memory_format=layout)
    assert len(waits) == 2 * 2
    assert TIMED > 1


@pytest.mark.parametrize(("capability", "first"), [((9, 0), True), ((8, 9), False)])
def test_cudnn_attends_first_where_the_card_has_it(
    capability: tuple[int, int], first: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)

    def order() -> list[object]:
        return [*torch.nn.attention._cur_sdpa_kernel_backends(with_priority=True)]

    before = order()
    with attention.fast_attention(torch.device("cuda")):
        assert (order()[0] == SDPBackend.CUDNN_ATTENTION) == first
    assert order() == before
    with attention.fast_attention(torch.device("cpu")):
        assert order() == before
