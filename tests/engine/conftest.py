"""The model that ships, loaded once, with diffusers' own pipelines on the same weights beside it; and a small
random SDXL for adapters."""

import copy
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers import StableDiffusionXLPipeline
from torch import Tensor

from engine.demo.lora_trials import LoraTrials
from engine.lora.adapters import Adapters
from engine.messages import AdapterUse, EngineSettings
from engine.sdxl.model import DEMO, Model, load_model
from engine.studio import Studio
from tests.engine.adapter_cases import PLENTY
from tests.engine.adapter_cases import copies as copies_of
from tests.engine.model_copies import Copies
from tests.engine.oracle import Oracle
from tests.lora_files import attention, diffusers_new, kohya, make_lora, seen, small_sdxl, store


@pytest.fixture(scope="session")
def loaded_and_copies() -> tuple[Model, Copies]:
    """The model, and copies of it, made ready before anything used it, which may leave hooks in it."""
    model = load_model(EngineSettings(model="demo", device="cpu"))
    return model, Copies(model)


@pytest.fixture(scope="session")
def loaded(loaded_and_copies: tuple[Model, Copies]) -> Model:
    return loaded_and_copies[0]


@pytest.fixture(scope="module")
def school(tmp_path_factory: pytest.TempPathFactory, loaded: Model) -> LoraTrials:
    """An engine that is taught, and keeps what it has learned for the tests of a file."""
    folder = tmp_path_factory.mktemp("files")
    return LoraTrials(Studio(copy.deepcopy(loaded), EngineSettings(model="demo", files=str(folder))), folder)


@pytest.fixture(scope="session")
def copies(loaded_and_copies: tuple[Model, Copies]) -> Copies:
    return loaded_and_copies[1]


@pytest.fixture
def model(copies: Copies) -> Model:
    """The model as it was loaded: what one test does to it, no other sees."""
    copied: Model = copies.one()
    return copied


@pytest.fixture(scope="session")
def oracle() -> Oracle:
    return Oracle(str(DEMO / "base"), str(DEMO / "refiner"))


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of adapter files by content hash."""
    return tmp_path_factory.mktemp("files")


@pytest.fixture(scope="session")
def loras(files: Path, oracle: Oracle, loaded: Model) -> tuple[AdapterUse, AdapterUse]:
    """Two random LoRAs on the UNet and both text encoders, which the oracle knows as well."""
    tensors_of = {
        "ink": kohya(make_lora(loaded.base, of=attention, seed=1, alphas=(2.0,))),
        "chalk": diffusers_new(make_lora(loaded.base, of=attention, seed=2, ranks=(8,))),
    }
    ink, chalk = (store(files, tensors, name=name) for name, tensors in tensors_of.items())
    for name, tensors in tensors_of.items():
        oracle.teach(name, tensors)
    return replace(ink, weight=0.8), replace(chalk, weight=-0.3)


@pytest.fixture
def studio(model: Model, files: Path) -> Studio:
    return Studio(model, EngineSettings(model="demo", files=str(files), largest_batch=4))


@pytest.fixture(scope="session")
def original() -> StableDiffusionXLPipeline:
    torch.set_num_threads(1)
    return small_sdxl()


@pytest.fixture(scope="session")
def plain(original: StableDiffusionXLPipeline) -> list[Tensor]:
    return seen(original)


@pytest.fixture
def pipeline(original: StableDiffusionXLPipeline) -> StableDiffusionXLPipeline:
    copied: StableDiffusionXLPipeline = copies_of(original).one()
    return copied


@pytest.fixture
def adapters(pipeline: StableDiffusionXLPipeline, tmp_path: Path) -> Adapters:
    return Adapters(pipeline, tmp_path, PLENTY)
