"""`python -m bot caption`: what a person at a terminal gets beside their pictures."""

from functools import partial
from pathlib import Path

import pytest

from bot.cli.exit_status import FINE
from bot.cli.imagine import main
from bot.engine_client.client import EngineClient
from tests.bot.fake_chat import quick
from tests.bot.uploads.one_pixel import png

ROOT = Path(__file__).parents[3]


def test_pictures_without_a_caption_get_one_in_a_text_file_beside_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "config.toml").write_text('[engine]\nmodel = "quick"\n')
    folder = tmp_path / "pictures"
    (folder / "more").mkdir(parents=True)
    for number, name in enumerate(("a.png", "b.png", "more/c.png")):
        (folder / name).write_bytes(png(number))
    (folder / "b.txt").write_text("my own words")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setattr("bot.cli.caption.EngineClient", partial(EngineClient, program=quick(tmp_path, 0.0)))

    assert main(["caption", "pictures"]) == FINE

    output = capfd.readouterr()
    assert not output.err, output.err
    assert output.out == "2 captions written beside the pictures in pictures\n"
    texts = {path.name: path.read_text() for path in folder.rglob("*.txt")}
    assert texts == {
        "a.txt": "the captioner's a.png\n",
        "b.txt": "my own words",
        "c.txt": "the captioner's c.png\n",
    }
    assert main(["caption", "pictures"]) == FINE
    assert "Every picture there has a caption already." in capfd.readouterr().err
