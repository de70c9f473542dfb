"""The report before a training: one picture a step, a contact sheet, and an estimate."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.ImageColor import getrgb

from engine.messages import (
    Example,
    FileStore,
    Inspect,
    Inspected,
    InvalidRequest,
    Optimizer,
    Train,
    TrainingProgress,
    TrainingSettings,
)
from engine.training.contact_sheet import FINE, LEFT_OUT, NOTED
from engine.training.inspection import Inspection
from tests.engine.test_dataset import a_training, draw_noise, store_picture

SECONDS = 0.25


def inspect(folder: Path, training: Train, side: int = 128) -> tuple[Inspected, int]:
    """The report, and how many steps it took."""
    inspection = Inspection(Inspect(training=training), folder, side, lambda size: SECONDS)
    steps = 1
    while not isinstance(report := inspection.step(), Inspected):
        steps += 1
    return report, steps


def examples(folder: Path, *pictures: Image.Image) -> list[Example]:
    return [
        Example(sha256=store_picture(folder, picture), name=f"{n}.png") for n, picture in enumerate(pictures)
    ]


def sheet_of(report: Inspected) -> Image.Image:
    with Image.open(io.BytesIO(report.sheet)) as sheet:
        assert sheet.format == "JPEG"
        return sheet.convert("RGB")


def has(sheet: Image.Image, colour: tuple[int, int, int]) -> int:
    """How many pixels of the sheet are of nearly this colour."""
    apart = np.abs(np.asarray(sheet, int) - colour).max(axis=2)
    return int((apart < 12).sum())


def test_every_step_looks_at_one_picture_and_the_last_reports(tmp_path: Path) -> None:
    training = a_training(examples(tmp_path, *(draw_noise(128, 128, seed) for seed in range(5))))

    report, steps = inspect(tmp_path, training)

    assert steps == 6
    assert report.job == training.job
    assert [note.name for note in report.notes] == [f"{n}.png" for n in range(5)]


@pytest.mark.parametrize(
    ("optimizer", "rate", "problem"),
    [
        (
            Optimizer.ADAMW,
            1e-8,
            "The learning rate is 1e-08, but adamw learns with 1e-06 to 0.01. It will learn almost nothing.",
        ),
        (
            Optimizer.ADAMW,
            0.05,
            "The learning rate is 0.05, but adamw learns with 1e-06 to 0.01. Pictures may become noise.",
        ),
        (
            Optimizer.PRODIGY,
            1e-4,
            "The learning rate is 0.0001, but prodigy learns with 0.1 to 10. It will learn almost nothing.",
        ),
        (Optimizer.PRODIGY, 1.0, None),
        (Optimizer.ADAMW, 1e-5, None),
    ],
)
def test_a_learning_rate_far_from_what_its_optimizer_wants_is_warned_of(
    tmp_path: Path, optimizer: Optimizer, rate: float, problem: str | None
) -> None:
    settings = TrainingSettings(optimizer=optimizer, learning_rate=rate)
    pictures = examples(tmp_path, *(draw_noise(128, 128, seed) for seed in range(5)))

    report, _ = inspect(tmp_path, a_training(pictures, settings=settings))

    assert [problem for problem in report.problems if "learning rate" in problem] == (
        [problem] if problem else []
    )


def test_the_estimate_is_steps_times_pictures_times_their_seconds(tmp_path: Path) -> None:
    settings = TrainingSettings(steps=100, batch=2, accumulation=3)
    few = a_training(examples(tmp_path, draw_noise(128, 128)), settings=settings)
    epochs = a_training(few.examples, settings=TrainingSettings(epochs=7))

    assert inspect(tmp_path, few)[0].steps == 100
    assert inspect(tmp_path, few)[0].seconds == pytest.approx(100 * 6 * SECONDS)
    assert inspect(tmp_path, epochs)[0].seconds == pytest.approx(7 * SECONDS)


def test_the_speed_is_asked_for_the_size_that_most_pictures_have(tmp_path: Path) -> None:
    sizes: list[tuple[int, int]] = []

    def rate(size: tuple[int, int]) -> float:
        sizes.append(size)
        return SECONDS

    pictures = examples(tmp_path, draw_noise(300, 200, 1), draw_noise(300, 200, 2), draw_noise(128, 128))
    inspection = Inspection(Inspect(training=a_training(pictures)), tmp_path, 128, rate)
    while not isinstance(inspection.step(), Inspected):
        pass

    assert sizes == [(152, 104)]


def test_it_says_how_many_pictures_are_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.training.inspection.PROGRESS_SECONDS", 0)
    training = a_training(examples(tmp_path, draw_noise(128, 128, 1), draw_noise(128, 128, 2)))
    inspection = Inspection(Inspect(training=training), tmp_path, 128, lambda size: SECONDS)

    events = [inspection.step() for _ in range(3)]

    assert [(event.step, event.steps) for event in events[:2] if isinstance(event, TrainingProgress)] == [
        (1, 2),
        (2, 2),
    ]
    assert isinstance(events[2], Inspected)


def test_without_a_usable_picture_there_is_a_report_and_nothing_to_do(tmp_path: Path) -> None:
    report, _ = inspect(tmp_path, a_training(examples(tmp_path, Image.new("RGB", (1, 1)))))

    assert report.problems == ("No picture is left to train on.", "Left out: 1 too small.")
    assert (report.steps, report.seconds) == (0, 0.0)
    assert has(sheet_of(report), LEFT_OUT)


def test_the_sheet_frames_what_is_fine_what_is_noted_and_what_is_left_out(tmp_path: Path) -> None:
    colours = {
        "fine": draw_noise(128, 128, 3),
        "noted": draw_noise(100, 100, 4),
        "left out": draw_noise(40, 40, 5),
    }
    sheets = {
        name: sheet_of(inspect(tmp_path, a_training(examples(tmp_path, picture)))[0])
        for name, picture in colours.items()
    }

    counts = {
        name: [has(sheet, colour) for colour in (FINE, NOTED, LEFT_OUT)] for name, sheet in sheets.items()
    }

    for place, name in enumerate(sheets):
        assert int(np.argmax(counts[name])) == place
        assert counts[name][place] > 1000


def test_the_sheet_shows_the_crop_bright_and_the_rest_dim(tmp_path: Path) -> None:
    red = Image.new("RGB", (900, 120), "red")

    sheet = sheet_of(inspect(tmp_path, a_training(examples(tmp_path, red)))[0])

    bright, dim = has(sheet, getrgb("red")[:3]), has(sheet, (89, 0, 0))
    assert bright / (bright + dim) == pytest.approx(480 / 900, abs=0.1)  # of its 900 pixels 480 are used
    assert bright + dim > 8000


@pytest.mark.parametrize("count", [1, 3, 8, 50])
def test_the_sheet_fits_on_a_screen_whatever_the_pictures_are(tmp_path: Path, count: int) -> None:
    broken = FileStore(tmp_path).put_bytes(b"no picture")
    pictures = [Example(sha256=broken, name="好" * 40)] * count
    pictures[0] = Example(sha256=store_picture(tmp_path, draw_noise(128, 128)), name="\u202e" + "long " * 30)

    sheet = sheet_of(inspect(tmp_path, a_training(pictures))[0])

    assert sheet.width <= 1280
    assert sheet.height <= 1280


def test_a_resolution_that_the_model_has_not_is_refused_at_once(tmp_path: Path) -> None:
    training = a_training(
        examples(tmp_path, draw_noise(128, 128)), settings=TrainingSettings(resolution=1024)
    )

    with pytest.raises(InvalidRequest, match="--resolution must be from 32 to 256 for this model, not 1024"):
        inspect(tmp_path, training)
