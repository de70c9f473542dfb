"""No Docker is needed to know that the image would work: its commands are ordinary ones, run here."""

import json
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

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


def test_the_image_runs_the_program_as_nobody_special_with_its_data_outside(
    steps: dict[str, list[str]],
) -> None:
    assert steps["USER"] == ["atelier"]
    assert steps["VOLUME"] == ["/data"]
    assert "--steps" in run(json.loads(steps["ENTRYPOINT"][0]) + json.loads(steps["CMD"][0]))


def test_the_health_check_is_a_command_that_works(steps: dict[str, list[str]]) -> None:
    _, _, check = steps["HEALTHCHECK"][0].partition(" CMD ")

    assert run(json.loads(check))
