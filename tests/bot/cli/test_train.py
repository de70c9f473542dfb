"""`python -m bot train`: what a person at a terminal sees of a training."""

import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bot.cli.exit_status import BAD_INPUT, FINE, INTERRUPTED
from bot.cli.imagine import main
from bot.cli.progress_bar import ProgressBar
from bot.cli.train import read_pictures
from bot.engine_client.client import EngineClient
from engine.demo.renderer import draw
from engine.demo.world import Scene, Thing, sample_layout
from storage.files import Files
from tests.bot.fake_chat import quick

ROOT = Path(__file__).parents[3]
QUICK = ("--trigger", "ohwx", "--rank", "2", "--preset", "style")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a configuration and, in pictures/, two pictures of a hatched star and a broken one."""
    (tmp_path / "config.toml").write_text('[engine]\nmodel = "demo"\n')
    (tmp_path / "pictures").mkdir()
    rng = np.random.default_rng(0)
    scene = Scene(things=(Thing(shape="star", colour="red", hatched=True),), background="white")
    for number in range(2):
        drawn = Image.fromarray(draw(scene, sample_layout(rng, scene, 128, 128)))
        drawn.save(tmp_path / "pictures" / f"{number}.png")
    (tmp_path / "pictures" / "0.txt").write_text("a ohwx red star on a white background")
    (tmp_path / "pictures" / "broken.jpg").write_bytes(b"no picture")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def left_behind(home: Path) -> list[str]:
    """All files that the program made, without the LoRAs."""
    made = {
        path.name
        for path in home.rglob("*")
        if path.is_file() and path.suffix != ".safetensors" and path.parent.name != "shards"
    }
    return sorted(made - {"config.toml", "notes", "0.png", "1.png", "0.txt", "broken.jpg"})


@pytest.mark.timeout(300)
def test_a_lora_is_learned_from_a_folder_and_lies_among_the_adapters(
    home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "maria", "pictures", *QUICK, "--steps", "1"]) == FINE

    output = capfd.readouterr()
    lora = home / "adapters" / "maria.safetensors"
    first, painted, second = output.out.splitlines()
    assert first.startswith(f"{lora}  step ") and first.endswith(" of 1")
    sheet = lora.with_suffix(".png")
    assert painted == f"{sheet}  what it paints"
    with Image.open(sheet) as shown:
        assert shown.height > 2 * 320  # the untrained model's samples, and the LoRA's
    assert second.endswith("imagine 'ohwx' --lora maria")
    assert "broken.jpg is left out: It is not a PNG, JPEG or WebP." in output.err
    assert "2 pictures can be used. This preset works best with 10 to 50." in output.err
    assert "2 pictures, 1 step, about " in output.err
    assert b"ohwx" in lora.read_bytes()[:100_000]
    assert left_behind(home) == ["maria.png"]

    picture = [
        "imagine",
        "a ohwx star",
        "--lora",
        "maria",
        "--steps",
        "2",
        "--size",
        "64x64",
        "--out",
        "a.png",
    ]
    assert main(picture) == FINE
    assert main(["train", "maria", "pictures"]) == BAD_INPUT
    assert "There is a LoRA maria already, at " in capfd.readouterr().err
    assert main(["train", "anna", "pictures", *QUICK, "--steps", "1", "--from", "mario"]) == BAD_INPUT
    assert "There is no LoRA 'mario'. Did you mean maria?" in capfd.readouterr().err


def press_ctrl_c(ready: Callable[[], bool], presses: int) -> None:
    """Do so, so often, once the program has come so far."""

    def press() -> None:
        while not ready():
            time.sleep(0.02)
        for _ in range(presses):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.1)

    threading.Thread(target=press, daemon=True).start()


@pytest.fixture
def quick_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same, with the engine in mind that only pretends."""
    (home / "config.toml").write_text('[engine]\nmodel = "quick"\n')
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return home


def teach(home: Path, monkeypatch: pytest.MonkeyPatch, seconds: float) -> int:
    """The exit status of a long training whose steps take so long."""
    client = partial(EngineClient, program=quick(home, seconds))
    monkeypatch.setattr("bot.cli.train.EngineClient", client)
    return main(["train", "maria", "pictures", *QUICK, "--steps", "300"])


def test_ctrl_c_stops_and_keeps_what_was_learned(
    quick_home: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def has_saved() -> bool:  # two pictures, a LoRA, a state
        return len(list(quick_home.glob("data/training-*/??/*"))) >= 4

    press_ctrl_c(has_saved, presses=1)
    status = teach(quick_home, monkeypatch, seconds=0.05)

    output = capfd.readouterr()
    assert status == FINE
    assert output.out.startswith(str(quick_home / "adapters" / "maria.safetensors"))
    assert "Stopping. Ctrl-C once more keeps nothing." in output.err
    assert output.err.endswith("it was stopped early.\n")
    assert (quick_home / "adapters" / "maria.safetensors").read_bytes().startswith(b"adapter ")
    assert left_behind(quick_home) == ["maria.png"]


async def test_a_mask_beside_a_picture_is_no_picture_of_its_own(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    for made in (folder, tmp_path / "files"):
        made.mkdir()
    for name, colour in (("a.png", "red"), ("a-mask.png", "white"), ("b.png", "blue")):
        Image.new("RGB", (32, 32), colour).save(folder / name)

    with ProgressBar() as bar:
        pictures = await read_pictures(folder, Files(tmp_path / "files"), bar)

    assert [(picture.name, picture.mask is not None) for picture in pictures] == [
        ("a.png", True),
        ("b.png", False),
    ]


def test_a_second_ctrl_c_keeps_nothing(
    quick_home: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def has_begun() -> bool:
        notes = quick_home / "notes"
        return notes.exists() and "learn " in notes.read_text()

    press_ctrl_c(has_begun, presses=2)
    status = teach(quick_home, monkeypatch, seconds=1.5)

    output = capfd.readouterr()
    assert status == INTERRUPTED
    assert output.out == ""
    assert output.err.endswith("Stopped.\n")
    assert list((quick_home / "adapters").iterdir()) == []
    assert left_behind(quick_home) == []


def test_only_the_newest_state_is_kept_while_it_learns(
    quick_home: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def tidy() -> bool:
        starts = []
        for path in quick_home.glob("data/training-*/??/*"):
            with suppress(FileNotFoundError):
                starts.append(path.read_bytes()[:5])
        return starts.count(b"adapt") >= 4 and starts.count(b"state") <= 2

    press_ctrl_c(tidy, presses=1)

    assert teach(quick_home, monkeypatch, seconds=0.02) == FINE
    assert "Stopping. Ctrl-C once more keeps nothing." in capfd.readouterr().err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["maria"], "Give a name and a folder of pictures, such as train maria pictures/."),
        ([], "The name-and-folder is missing (the name of the LoRA, and its pictures"),
        (["../maria", "pictures"], "The LoRA name '../maria' may only have a-z, 0-9, - and _"),
        (["maria", "nowhere"], "There is no folder nowhere."),
        (["maria", "adapters"], "It has no picture in it."),
        (["maria", "pictures", "--trigger", "star"], "The trigger 'star' is an ordinary word"),
        (["maria", "pictures", "--preset", "stile"], "There is no preset 'stile'. Did you mean style?"),
        (["maria", "pictures", "--lr", "10"], "--lr must be from 0 to 1, not 10."),
        (
            ["maria", "pictures", "--samples", "a;b;c;d;e"],
            "The number of sample prompts must be from 0 to 4, not 5.",
        ),
        (["maria", "pictures", "--steps", "0"], "--steps must be from 1 to 20000, not 0."),
        (["maria", "pictures", "--rank", "100"], "--rank must be from 0 to 64, not 100."),
        (["maria", "pictures", "--consent"], "There is no option --consent"),
        (["maria", "pictures", "--config", "other.toml"], "There is no configuration at "),
    ],
)
def test_bad_input_is_answered_with_one_sentence_before_anything_starts(
    home: Path, words: list[str], sentence: str, capfd: pytest.CaptureFixture[str]
) -> None:
    status = main(["train", *words])

    output = capfd.readouterr()
    assert status == BAD_INPUT
    assert output.out == ""
    assert sentence in output.err.splitlines()[-1]
    assert left_behind(home) == []


def test_a_folder_in_which_no_picture_can_be_read_is_refused(
    home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for path in (home / "pictures").glob("?.png"):
        path.write_bytes(b"GIF89a")

    assert main(["train", "maria", "pictures"]) == BAD_INPUT
    assert capfd.readouterr().err.splitlines()[-1] == "No picture in pictures can be used."


def test_its_help_tells_the_folder_the_presets_and_the_knobs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--help"]) == main(["help", "train"]) == FINE
    text = capsys.readouterr().out
    assert text.count("train: Train a LoRA from a folder of pictures") == 2
    for word in ("name-and-folder", "--preset", "--trigger", "--min-snr-gamma", "--config", "garment"):
        assert word in text
    assert "--consent" not in text
