"""The model that ships, as the bot names it to its engine."""

from pathlib import Path

import pytest

from engine.messages import EngineSettings


@pytest.fixture(scope="session")
def settings(tmp_path_factory: pytest.TempPathFactory) -> EngineSettings:
    return EngineSettings(
        model="demo",
        files=str(tmp_path_factory.mktemp("files")),
        deadline_floor_seconds=4.0,
    )


@pytest.fixture
def config_file(settings: EngineSettings, tmp_path: Path) -> Path:
    """A config.toml for a program of its own."""
    path = tmp_path / "config.toml"
    path.write_text(f'[engine]\nmodel = "{settings.model}"\nfiles = "{settings.files}"\n')
    return path
