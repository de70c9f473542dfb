"""No Docker is needed to know that the image would work: its commands are ordinary ones, run here."""

import asyncio
import json
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.bot.running_bot import change, quick_config, serving

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def steps() -> dict[str, list[str]]:
    """The arguments of each instruction, continued lines joined."""
    lines = re.sub(r"\\\n\s*", "", (ROOT / "Dockerfile").read_text()).splitlines()
    found: dict[str, list[str]] = {}
    for line in lines:
        if line and not line.startswith("#"):
            instruction, _, rest = line.partition(" ")
            found.setdefault(instruction, []).append(rest)
    return found


def run(words: list[str]) -> str:
    assert words[0] == "python"
    return subprocess.run(
        [sys.executable, *words[1:]], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout


def test_the_image_installs_what_the_project_declares(steps: dict[str, list[str]]) -> None:
    listing, _, installing = steps["RUN"][0].partition(" > /tmp/requirements.txt && ")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    requirements = run(shlex.split(listing)).splitlines()

    assert requirements == [*project["dependencies"], *project["optional-dependencies"]["engine"]]
    assert installing == "pip install -c constraints.txt -r /tmp/requirements.txt"
    assert steps["RUN"][1] == "pip install -c constraints.txt --no-deps spandrel"  # would bring torchvision


def test_the_image_runs_the_program_as_nobody_special_with_its_data_outside(
    steps: dict[str, list[str]],
) -> None:
    assert steps["USER"] == ["atelier"]
    assert steps["VOLUME"] == ["/data"]
    entry = json.loads(steps["ENTRYPOINT"][0])
    assert "--steps" in run([*entry, "imagine", "--help"])
    assert [*entry, *json.loads(steps["CMD"][0])] == ["python", "-m", "bot", "serve"]


@pytest.fixture
def config(steps: dict[str, list[str]], tmp_path: Path) -> Path:
    """The image's configuration, but for a port of its own and a quick engine."""
    path = Path(shutil.copy(ROOT / "config.toml", tmp_path))
    subprocess.run(shlex.split(steps["RUN"][-1]), cwd=tmp_path, check=True)
    change(path, "port = 8765", "port = 0")
    change(path, 'model = "demo"', 'model = "quick"')
    return path


async def test_in_the_image_the_chat_is_open_to_others_who_know_its_token(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(config) as refused:
        assert await refused.end() != 0
    assert "ATELIER_LOCAL_TOKEN" in "".join(refused.logged)

    monkeypatch.setenv("ATELIER_LOCAL_TOKEN", "a-secret-of-yours")
    async with serving(config) as service:
        await service.ready()
        assert service.address.startswith("http://0.0.0.0:")


def test_in_the_image_a_picture_is_painted_without_the_chats_token(
    steps: dict[str, list[str]], config: Path, tmp_path: Path
) -> None:
    change(config, 'model = "quick"', 'model = "demo"')
    words = ["imagine", "a red star", "--steps", "2", "--size", "64x64", "--out", str(tmp_path / "star.png")]

    run([*json.loads(steps["ENTRYPOINT"][0]), *words, "--config", str(config)])

    assert (tmp_path / "star.png").read_bytes().startswith(b"\x89PNG")


async def test_the_health_check_tells_a_bot_that_runs_from_one_that_does_not(
    steps: dict[str, list[str]], tmp_path: Path
) -> None:
    _, _, check = steps["HEALTHCHECK"][0].partition(" CMD ")
    assert steps["EXPOSE"] == ["8765"] and "http://127.0.0.1:8765/" in check

    async with serving(quick_config(tmp_path)) as service:
        await service.ready()
        here = json.loads(check.replace("http://127.0.0.1:8765", service.address))
        await asyncio.to_thread(run, here)

    with pytest.raises(subprocess.CalledProcessError):
        await asyncio.to_thread(run, here)
