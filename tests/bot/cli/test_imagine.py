"""`python -m bot imagine`: what a person at a terminal sees."""

import asyncio
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from bot import __main__
from bot.cli.exit_status import BAD_INPUT, FAILED, FINE, INTERRUPTED
from bot.cli.imagine import main

HERE = (
    "imagine paints a picture, edit, extend, upscale and blend start from some, train trains a LoRA and "
    "caption describes pictures."
)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every command line is said in an empty folder."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.chdir(home)
    return home


@pytest.mark.timeout(120)
def test_a_picture_is_painted_and_its_path_and_seed_are_told(
    here: Path, config_file: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    words = ["imagine", "a green heart", "--steps", "4", "--seed", "7", "--size", "64x64"]

    status = main([*words, "--out", "heart.png", "--config", str(config_file)])

    assert status == FINE
    first, second = capfd.readouterr().out.splitlines()
    assert first == "heart.png  seed 7"
    assert second.startswith("Painted in ")
    with Image.open(here / "heart.png") as picture:
        assert picture.size == (64, 64)
    assert [path.name for path in here.iterdir()] == ["heart.png"]

    words = ["upscale", "4", "--image", "heart.png", "--out", "large.png", "--config", str(config_file)]
    assert main(words) == FINE
    with Image.open(here / "large.png") as picture:
        assert picture.size == (256, 256)


def wait_for_engine(program: int) -> None:
    """Until the program with this process id has started one."""
    while not Path(f"/proc/{program}/task/{program}/children").read_text():
        time.sleep(0.05)


def as_in_a_terminal() -> None:
    """A shell lets what it runs in the background ignore Ctrl-C, and the tests may run there."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.timeout(120)
async def test_ctrl_c_stops_the_painting_and_leaves_nothing(here: Path, config_file: Path) -> None:
    words = ["imagine", "a heart", "--steps", "100", "--size", "256x256", "--count", "4"]
    program = [sys.executable, "-m", "bot", *words, "--config", str(config_file)]
    root = Path(__file__).parents[3]
    process = await asyncio.create_subprocess_exec(
        *program,
        cwd=root,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        preexec_fn=as_in_a_terminal,
    )
    await asyncio.to_thread(wait_for_engine, process.pid)

    process.send_signal(signal.SIGINT)
    out, error = await process.communicate()

    assert process.returncode == INTERRUPTED
    assert out == b""
    assert b"Stopped." in error
    assert b"Traceback" not in error


def test_no_words_show_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == FINE
    assert "--steps" in capsys.readouterr().out


def test_help_tells_the_options_and_their_bounds(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["imagine", "--help"]) == FINE
    text = capsys.readouterr().out
    assert "  --steps                 Denoising steps (1 to 100, default 30)" in text
    assert "  --out                   PNG file to write" in text
    assert main(["upscale", "--help"]) == FINE
    assert "How many times as wide and high" in capsys.readouterr().out


def test_help_without_a_command_tells_how_the_bot_is_run_too(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["help"], ["serve", "--help"], ["--config", "other.toml", "-h"]):
        assert __main__.main(words) == FINE
        assert "serve: Serve the chats" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            ["paint", "a fox"],
            f"There is no command 'paint'. Here, {HERE}",
        ),
        (
            ["queue"],
            f"queue works in chats only. Here, {HERE}",
        ),
        (["imagine"], "The prompt is missing (what to paint)."),
        (["upscale", "3", "--image", "a.png"], "The times must be 2 or 4, not '3'."),
        (
            ["imagine", "fox", "--steps", "ten"],
            "--steps must be a whole number from 1 to 100, not 'ten'.",
        ),
        (["imagine", "fox", "--seeds", "1"], "There is no option --seeds. Did you mean --seed?"),
        (
            ["imagine", "fox", "--out", "no/heart.png"],
            "--out no/heart.png cannot be written. There is no folder no.",
        ),
        (["imagine", "fox", "--out", "."], "--out . is a folder. Name a file, such as heart.png."),
        (["imagine", "fox", "--out", "a.jpg"], "--out a.jpg does not end in .png. Pictures are PNG files."),
        (["imagine", "fox", "--out", f"{'a' * 300}.png"], "File name too long."),
        (["imagine", "fox", "--out", "/proc/heart.png"], "--out /proc/heart.png cannot be written: "),
        (["imagine", "fox"], "There is no configuration at "),
        (["imagine", "fox", "--config", "other.toml"], "There is no configuration at "),
        (
            ["imagine", "a\x07b", "--config", "CONFIG"],
            "The prompt has the control character U+0007. Leave it out.",
        ),
        (
            ["imagine", "fox", "--lora", "ink", "--config", "CONFIG"],
            "There is no LoRA 'ink'. No LoRA is here yet.",
        ),
        (
            ["imagine", "fox", "--size", "7x7", "--config", "CONFIG"],
            "The width must be from 64 to 2048, not 7.",
        ),
        (
            ["imagine", "fox", "--image", "cat.png", "--config", "CONFIG"],
            "There is no picture cat.png.",
        ),
        (
            ["imagine", "fox", "--image", "CONFIG", "--config", "CONFIG"],
            "This is not a picture that can be read. Send a PNG, JPEG or WebP.",
        ),
        (
            ["imagine", "\udcff", "--config", "CONFIG"],
            "The prompt has the control character U+DCFF. Leave it out.",
        ),
    ],
)
def test_bad_input_is_answered_with_one_sentence_before_anything_starts(
    words: list[str], sentence: str, config_file: Path, capfd: pytest.CaptureFixture[str], here: Path
) -> None:
    status = main([str(config_file) if word == "CONFIG" else word for word in words])

    output = capfd.readouterr()
    assert status == BAD_INPUT
    assert output.out == ""
    assert sentence in output.err
    assert output.err.count("\n") == 1
    assert list(here.iterdir()) == []


def test_a_picture_to_start_from_is_read_from_where_one_is(
    config_file: Path, capfd: pytest.CaptureFixture[str], here: Path
) -> None:
    frames = [Image.new("RGB", (96, 64), colour) for colour in ("red", "blue")]
    frames[0].save("fox.gif", save_all=True, append_images=frames[1:])

    assert main(["imagine", "--image", "fox.gif", "--config", str(config_file)]) == BAD_INPUT
    assert capfd.readouterr().err.splitlines() == [
        "The picture moves. Its first frame is taken.",
        "Nothing here knows which words painted that picture. Say what to paint.",
    ]


def test_a_mistake_in_the_configuration_is_answered_with_one_sentence(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "config.toml"
    config.write_text('[engine]\nmodle = "demo"')

    assert main(["imagine", "fox", "--config", str(config)]) == BAD_INPUT
    assert capfd.readouterr().err == (
        'config.toml: [engine] modle = "demo" is an unknown key. Did you mean model?\n'
    )


def test_a_full_disk_is_told_before_the_engine_starts(config_file: Path) -> None:
    words = ["imagine", "fox", "--out", str(config_file.with_name("heart.png")), "--config", str(config_file)]

    process = subprocess.run(
        [sys.executable, "-m", "bot", *words],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000)),
    )

    assert process.returncode == BAD_INPUT
    assert process.stderr.endswith("heart.png cannot be written: File too large.\n")
    assert not config_file.with_name("heart.png").exists()


@pytest.mark.timeout(120)
def test_an_engine_that_cannot_start_is_answered_with_its_reason(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "config.toml"
    config.write_text('[engine]\nmodel = "weights.safetensors"')
    (tmp_path / "weights.safetensors").write_bytes(b"these are no weights")

    assert main(["imagine", "fox", "--config", str(config)]) == FAILED
    assert "weights.safetensors" in capfd.readouterr().err.splitlines()[-1]


def test_what_nobody_expected_is_logged_and_answered_with_an_apology(
    config_file: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr("bot.cli.imagine.EngineClient", fail)

    assert main(["imagine", "fox", "--config", str(config_file)]) == FAILED
    assert "Something went wrong with job" in capfd.readouterr().err
    assert "a bug" in caplog.text
