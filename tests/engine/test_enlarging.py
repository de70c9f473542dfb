"""Pictures enlarged by a network in tiles, refined, or painted small and finished large."""

import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import torch
from PIL import Image
from PIL.Image import Resampling
from safetensors.torch import save_file

import engine.vision.upscaler
from engine.demo.super_resolution import draw_pair, psnr
from engine.messages import (
    HIRES_STRENGTH,
    Cancel,
    Cancelled,
    EngineSettings,
    Failed,
    FileStore,
    Finish,
    InvalidRequest,
    JobId,
    Paint,
    Painted,
    Progress,
    Sha256,
    Size,
    Source,
)
from engine.sdxl.model import CannotLoad, Model
from engine.sdxl.sizes import hires_size
from engine.sdxl.tiles import join_tiles, place_overlapping
from engine.studio import Studio
from engine.vision.spandrel_library import import_spandrel
from engine.vision.upscaler import SHIPPED, Upscaler
from tests.engine.oracle import Oracle
from tests.engine.studio_work import furthest, paint, request, work

CPU = torch.device("cpu")
SMALL = Size(width=64, height=64)


@pytest.fixture
def store(files: Path) -> FileStore:
    return FileStore(files)


@pytest.fixture(scope="module")
def shipped() -> Upscaler:
    return Upscaler(SHIPPED, CPU, torch.float32)


def finish(upscaler: Upscaler, picture: Image.Image, factor: int) -> tuple[np.ndarray[Any, Any], int]:
    """The enlarged picture, and in how many steps."""
    steps, count = upscaler.enlarge(picture, factor), 0
    while True:
        try:
            next(steps)
            count += 1
        except StopIteration as end:
            return np.asarray(end.value), count


def put(store: FileStore, picture: Image.Image) -> Sha256:
    file = io.BytesIO()
    picture.save(file, "PNG")
    return store.put_bytes(file.getvalue())


def enlargement(sha256: Sha256, job: str = "j", **finish: Any) -> Paint:
    """A request without a prompt that only finishes this picture."""
    return request(job, prompt="", source=Source(sha256=sha256, strength=0), finish=Finish(**finish))


def failure(studio: Studio, recipe: Paint) -> str:
    (failed,) = [event for event in work(studio, {0: [recipe]}) if isinstance(event, Failed)]
    assert failed.expected
    return failed.reason


def test_held_out_drawings_are_enlarged_better_than_by_lanczos(studio: Studio, store: FileStore) -> None:
    rng = np.random.default_rng(5)
    pairs = [draw_pair(rng, unseen=True) for _ in range(5)]
    requests = [
        enlargement(put(store, Image.fromarray(small)), str(number), enlarge=4)
        for number, (small, _) in enumerate(pairs)
    ]

    enlarged = paint(studio, *requests)

    gains = []
    for number, (small, large) in enumerate(pairs):
        lanczos = Image.fromarray(small).resize((512, 512), Resampling.LANCZOS)
        gains.append(psnr(enlarged[str(number)], large) - psnr(np.asarray(lanczos), large))
    assert np.mean(gains) > 3


def test_a_picture_of_any_size_becomes_twice_as_large_and_stays_the_same(
    studio: Studio, store: FileStore
) -> None:
    small, large = draw_pair(np.random.default_rng(2))
    odd = Image.fromarray(small).crop((0, 0, 101, 77))

    enlarged = paint(studio, enlargement(put(store, odd), enlarge=2))["j"]

    assert enlarged.shape == (154, 202, 3)
    aim = Image.fromarray(large).crop((0, 0, 404, 308)).resize((202, 154), Resampling.BOX)
    assert psnr(enlarged, np.asarray(aim)) > 25


@pytest.fixture
def small_tiles() -> Iterator[None]:
    with patch.object(engine.vision.upscaler, "TILE", 64):
        yield


@pytest.mark.usefixtures("small_tiles")
def test_tiles_leave_no_seams(shipped: Upscaler) -> None:
    picture = Image.fromarray(draw_pair(np.random.default_rng(3))[0]).crop((0, 0, 120, 99))

    in_tiles, count = finish(shipped, picture, 4)

    assert count == shipped.count_steps(120, 99, 4) == 16
    with patch.object(engine.vision.upscaler, "TILE", 192):
        at_once, count = finish(shipped, picture, 4)
    assert count == 1
    assert furthest(in_tiles, at_once) <= 1


@pytest.mark.usefixtures("small_tiles")
def test_between_tiles_others_are_painted_and_it_can_be_cancelled(studio: Studio, store: FileStore) -> None:
    picture = put(store, Image.fromarray(draw_pair(np.random.default_rng(4))[0]))
    kept, cancelled = (enlargement(picture, job, enlarge=4) for job in ("kept", "cancelled"))
    other = request("other", size=SMALL, steps=2)

    with patch("engine.job.PROGRESS_SECONDS", 0.0):
        events = work(studio, {0: [kept, cancelled], 3: [other, Cancel(job=JobId("cancelled"))]})

    ended = [event.job for event in events if isinstance(event, Painted | Cancelled)]
    assert ended == ["cancelled", "other", "kept"]
    progress = [event for event in events if isinstance(event, Progress) and event.job == "kept"]
    assert {event.steps for event in progress} == {16}
    shown = [event.step for event in progress]
    assert shown == sorted(shown) and len(set(shown)) > 3
    assert Image.open(io.BytesIO(progress[0].preview)).size == (96, 96)


def test_what_is_painted_small_is_finished_large_as_by_the_pipeline(
    studio: Studio, oracle: Oracle, shipped: Upscaler
) -> None:
    recipe = request(size=SMALL, steps=5, hires=1.5)

    together = paint(
        studio, recipe, request("small", size=SMALL, steps=5), replace(recipe, job=JobId("b"), seed=8)
    )

    enlarged = Image.fromarray(finish(shipped, Image.fromarray(together["small"]), 2)[0])
    start = enlarged.resize((96, 96), Resampling.LANCZOS)
    source = Source(sha256=Sha256(""), strength=HIRES_STRENGTH)
    theirs = oracle.paint(replace(recipe, size=Size(width=96, height=96), source=source), start)
    assert furthest(together["j"], theirs) <= 1
    assert together["b"].shape == (96, 96, 3)


def test_an_enlarged_picture_is_refined_in_tiles_with_its_recipe(studio: Studio, store: FileStore) -> None:
    plain = request("plain", size=SMALL, steps=5, finish=Finish(enlarge=4))

    done = paint(
        studio,
        plain,
        replace(plain, job=JobId("refined"), finish=Finish(enlarge=4, refine=0.1)),
        replace(plain, job=JobId("again"), finish=Finish(enlarge=4, refine=0.1)),
    )

    assert done["refined"].shape == done["plain"].shape == (256, 256, 3)
    assert furthest(done["refined"], done["again"]) <= 1
    assert furthest(done["refined"], done["plain"]) > 8
    assert psnr(done["refined"], done["plain"]) > 20


def test_overlapping_tiles_cover_a_picture_and_join_to_it() -> None:
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (150, 333, 3), np.uint8))

    areas = place_overlapping(333, 150, (128, 128), 16)
    tiles = [picture.crop((area.left, area.top, area.right, area.bottom)) for area in areas]

    assert furthest(np.asarray(join_tiles(picture, areas, tiles, 16)), np.asarray(picture)) == 0
    black = Image.new("RGB", picture.size)
    assert furthest(np.asarray(join_tiles(black, areas, tiles, 16)), np.asarray(picture)) == 0


def test_a_picture_too_large_to_enlarge_is_refused_with_the_largest(studio: Studio, store: FileStore) -> None:
    large = put(store, Image.new("RGB", (2000, 1200)))

    assert failure(studio, enlargement(large, enlarge=4)) == (
        "2000x1200 enlarged 4 times would be 8000x4800. At most 16,777,216 pixels are allowed, such as "
        "4096x4096. Enlarge it 2 times."
    )
    with pytest.raises(InvalidRequest) as refused:
        hires_size(Size(width=1536, height=640), 2.0, 1024)
    assert str(refused.value) == (
        "--hires 2 of 1536x640 would be 3072x1280. A side can have at most 2048 pixels."
    )


def test_a_model_without_an_upscaler_says_so(model: Model, files: Path, store: FileStore) -> None:
    studio = Studio(model, EngineSettings(model="another", files=str(files)))
    picture = put(store, Image.new("RGB", (64, 64)))

    assert failure(studio, enlargement(picture, enlarge=2)) == (
        "Nothing enlarges pictures here. Whoever runs this bot can set [engine] upscaler."
    )


def save_compact(path: Path, scale: int) -> None:
    """A network of Real-ESRGAN's compact kind, of random weights, that enlarges so many times."""
    import_spandrel()
    from spandrel.architectures.Compact import Compact

    save_file(Compact(num_feat=4, num_conv=1, upscale=scale).state_dict(), path)


def test_the_network_of_a_file_that_enlarges_twice_is_used_twice(
    model: Model, tmp_path: Path, files: Path, store: FileStore
) -> None:
    path = tmp_path / "double.safetensors"
    save_compact(path, 2)
    studio = Studio(model, EngineSettings(model="another", files=str(files), upscaler=str(path)))
    picture = Image.new("RGB", (80, 70), "red")

    enlarged = paint(studio, enlargement(put(store, picture), enlarge=4))["j"]

    theirs, steps = finish(Upscaler(path, CPU, torch.float32), picture, 4)
    assert enlarged.shape == (280, 320, 3) and steps == 2
    assert furthest(enlarged, theirs) == 0


class Code:
    """What a pickle runs when it is read without care."""

    def __reduce__(self) -> tuple[Any, ...]:
        return pytest.fail, ("code in a file of weights was run",)


def test_files_that_are_no_upscaler_are_refused_in_a_sentence(tmp_path: Path) -> None:
    save_compact(tmp_path / "eight.safetensors", 8)
    save_compact(tmp_path / "denoiser.safetensors", 1)
    save_file({"weight": torch.zeros(3)}, tmp_path / "other.safetensors")
    (tmp_path / "text.safetensors").write_text("hello")
    (tmp_path / "text.txt").write_text("hello")
    torch.save({"weight": Code()}, tmp_path / "code.pth")
    names = ("eight.safetensors", "denoiser.safetensors", "other.safetensors", "text.safetensors", "text.txt")

    reasons = {}
    for name in (*names, "code.pth", "missing.pth"):
        with pytest.raises(CannotLoad) as refused:
            Upscaler(tmp_path / name, CPU, torch.float32)
        begin, reasons[name] = str(refused.value).split(" cannot be loaded. ")
        assert begin == f"The upscaler {str(tmp_path / name)!r}"

    assert reasons["eight.safetensors"] == "It enlarges 8 times, and 2 or 4 times are needed."
    assert reasons["denoiser.safetensors"] == "It does not enlarge pictures in colour."
    assert reasons["other.safetensors"] == "It is no network of a kind that spandrel knows."
    assert reasons["text.txt"] == "Its name must end in .safetensors or .pth, .pt, .ckpt."
    assert reasons["missing.pth"] == "There is no such file."
    assert "weights" in reasons["code.pth"].lower()
