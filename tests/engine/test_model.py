"""A model that cannot be loaded is told to the operator in one sentence; full size has SDXL's own shape."""

import pickle
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import StableDiffusionXLPipeline, UNet2DConditionModel

from bench.full_size import UNET
from engine.messages import EngineSettings
from engine.sdxl import model
from engine.sdxl.model import (
    DEMO,
    CannotLoad,
    load_in_range,
    load_model,
    load_pipeline,
    resolve_precisions,
)


def refusal(**settings: Any) -> str:
    with pytest.raises(CannotLoad) as refused:
        load_model(EngineSettings(**settings))
    return str(refused.value)


def copy_model(folder: Path) -> Path:
    """The model that ships, in a folder where it can be broken."""
    return Path(shutil.copytree(DEMO / "base", folder / "model"))


def test_a_folder_that_is_not_there() -> None:
    assert refusal(model="./nowhere").startswith("The model './nowhere' cannot be loaded. ")


def test_a_file_that_is_not_there() -> None:
    sentence = refusal(model="./nowhere.safetensors")

    assert sentence == "The model './nowhere.safetensors' cannot be loaded. There is no such file."


def test_truncated_weights(tmp_path: Path) -> None:
    weights = copy_model(tmp_path) / "unet" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:10_000])

    assert "cannot be loaded" in refusal(model=str(tmp_path / "model"))


def test_weights_that_are_a_pickle_are_never_opened(tmp_path: Path) -> None:
    unet = copy_model(tmp_path) / "unet"
    (unet / "diffusion_pytorch_model.safetensors").unlink()
    trap = tmp_path / "sprung"
    (unet / "diffusion_pytorch_model.bin").write_bytes(pickle.dumps(Trap(trap)))

    assert "cannot be loaded" in refusal(model=str(tmp_path / "model"))
    assert not trap.exists()


class Trap:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self._path,))


def test_a_device_that_is_not_here() -> None:
    assert refusal(model="demo", device="cuda:99").startswith("The device 'cuda:99' cannot be used here. ")


def test_a_vae_of_its_own_takes_the_place_of_the_models() -> None:
    loaded = load_model(EngineSettings(model="demo", vae=str(DEMO / "base" / "vae")))

    assert loaded.base.vae is loaded.refiner.vae


def test_the_full_size_of_the_benches_has_as_many_parameters_as_sdxl() -> None:
    with torch.device("meta"):
        unet: Any = UNet2DConditionModel(**UNET)

    assert sum(parameter.numel() for parameter in unet.parameters()) == 2_567_463_684


def test_a_model_whose_numbers_do_not_fit_into_float16_is_loaded_in_the_next_precision(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def with_large_numbers(kind: Any, name: str, precision: torch.dtype) -> Any:
        pipeline = load_pipeline(kind, name, precision)
        if kind is StableDiffusionXLPipeline:
            pipeline.unet.conv_in.weight.data.mul_(1e5 if precision is torch.float32 else 5e4)
        return pipeline

    settings, cpu = EngineSettings(model="demo"), torch.device("cpu")
    precisions = torch.float16, torch.float32
    assert load_in_range(settings, cpu, precisions).precision is torch.float16

    monkeypatch.setattr(model, "load_pipeline", with_large_numbers)
    assert load_in_range(settings, cpu, precisions).precision is torch.float32
    assert caplog.text.count("too large for float16") == 1

    with pytest.raises(CannotLoad) as refused:
        load_in_range(settings, cpu, (torch.float16,))
    assert str(refused.value).startswith("The model 'demo' cannot be loaded in float16. Its numbers are too")


@pytest.mark.parametrize(
    ("bfloat16", "precisions"),
    [(True, (torch.float16, torch.bfloat16)), (False, (torch.float16, torch.float32))],
)
def test_a_gpu_computes_in_float16_where_nothing_else_is_said(
    bfloat16: bool, precisions: tuple[torch.dtype, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: bfloat16)

    assert resolve_precisions("auto", torch.device("cuda")) == precisions
    assert resolve_precisions("bfloat16", torch.device("cuda")) == (torch.bfloat16,)
    assert resolve_precisions("auto", torch.device("cpu")) == (torch.float32,)
