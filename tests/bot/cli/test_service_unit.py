"""`python -m bot service`: the unit is one that systemd takes."""

import shutil
import subprocess
from pathlib import Path

import pytest

from bot.cli.exit_status import BAD_INPUT, FINE
from bot.cli.service_unit import main


def test_the_unit_starts_this_bot_and_writes_to_its_data_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "100% mine"
    home.mkdir()
    (home / "config.toml").write_text('[engine]\nfiles = "pictures/files"\n')
    monkeypatch.chdir(home)

    assert main([]) == FINE

    unit = capsys.readouterr().out
    escaped = str(home).replace("%", "%%")
    assert f'ReadWritePaths="{escaped}/adapters" "{escaped}/data" "{escaped}/pictures"' in unit
    assert f'-m bot --config "{escaped}/config.toml"' in unit
    assert main(["--config", "nowhere.toml"]) == BAD_INPUT
    if (analyse := shutil.which("systemd-analyze")) is not None:
        (tmp_path / "atelier.service").write_text(unit)
        checked = subprocess.run(
            [analyse, "verify", str(tmp_path / "atelier.service")], capture_output=True, text=True
        )
        assert (checked.returncode, checked.stderr) == (0, "")
