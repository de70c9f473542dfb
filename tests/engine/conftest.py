"""The model that ships, loaded once, with diffusers' own pipelines on the same weights beside it."""

import os
from pathlib import Path

import pytest

from engine.messages import EngineSettings
from engine.model import DEMO, Model, load_model
from engine.studio import Studio
from tests.engine.oracle import Oracle

DEV = os.environ.get("DEV_MODEL")


@pytest.fixture(scope="session")
def model() -> Model:
    return load_model(
        EngineSettings(model=f"{DEV}/base", refiner=f"{DEV}/refiner") if DEV else EngineSettings(model="demo")
    )


@pytest.fixture(scope="session")
def oracle() -> Oracle:
    root = Path(DEV) if DEV else DEMO
    return Oracle(str(root / "base"), str(root / "refiner"))


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """The folder of adapter files by content hash."""
    return tmp_path / "files"


@pytest.fixture
def studio(model: Model, files: Path) -> Studio:
    return Studio(model, EngineSettings(model="demo", files=str(files), largest_batch=4))
