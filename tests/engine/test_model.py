"""A model that cannot be loaded is told to the operator in one sentence; full size has SDXL's own shape."""

import pickle
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import UNet2DConditionModel

from bench.full_size import UNET
from engine.messages import EngineSettings
from engine.sdxl.model import DEMO, CannotLoad, load_model


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
    model = load_model(EngineSettings(model="demo", vae=str(DEMO / "base" / "vae")))

    assert model.base.vae is model.refiner.vae


def test_the_full_size_of_the_benches_has_as_many_parameters_as_sdxl() -> None:
    with torch.device("meta"):
        unet: Any = UNet2DConditionModel(**UNET)

    assert sum(parameter.numel() for parameter in unet.parameters()) == 2_567_463_684
