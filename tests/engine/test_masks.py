"""What a mask leaves out is learned less or not at all, and a mask is cut exactly as its picture."""

import copy
import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps

from engine.messages import (
    EngineSettings,
    Example,
    FileStore,
    Sha256,
    TrainingSettings,
    pair_masks,
    stored_path,
)
from engine.sdxl.model import Model
from engine.studio import Studio
from engine.training.loss import weighted_errors
from engine.training.pictures.masks import crop_mask, mask_problem, mask_weights
from tests.engine.test_training_loss import answers, rows
from tests.engine.training_cases import checkpoints, examples, largest_gap, refusal, run, training, weights

SETTINGS = TrainingSettings()


def named(*names: str) -> list[Example]:
    return [Example(sha256=Sha256(f"{number:064x}"), name=name) for number, name in enumerate(names)]


@pytest.mark.parametrize(
    ("names", "pairs"),
    [
        (("a.png", "a-mask.png"), {"a.png": 1}),
        (("b-mask.jpg", "B.webp", "a.png"), {"B.webp": 0, "a.png": None}),
        (("a-mask.png", "b.png"), {"a-mask.png": None, "b.png": None}),  # a picture of a mask
        (("a.png", "a.jpg", "a-mask.png", "a-mask.jpg"), {"a.png": 2, "a.jpg": 3}),  # of two folders
        (("a.png", "a-mask.png", "a-mask-mask.png"), {"a.png": 1, "a-mask-mask.png": None}),
    ],
)
def test_a_mask_is_found_by_its_name(names: Sequence[str], pairs: dict[str, int | None]) -> None:
    paired = {example.name: example.mask for example in pair_masks(named(*names))}

    assert paired == {
        name: None if place is None else Sha256(f"{place:064x}") for name, place in pairs.items()
    }


def store_picture(folder: Path, picture: Image.Image) -> Sha256:
    file = io.BytesIO()
    picture.save(file, "PNG")
    return FileStore(folder).put_bytes(file.getvalue())


@pytest.mark.parametrize("flip", [False, True])
def test_a_mask_is_scaled_mirrored_and_cut_as_its_picture(flip: bool) -> None:
    tiles = np.random.default_rng(0).integers(0, 2, (6, 8), dtype=np.uint8) * 255
    mask = Image.fromarray(tiles).resize((80, 60), Image.Resampling.NEAREST)
    resized, box = (160, 120), (40, 20, 120, 100)

    weights = crop_mask(mask, resized, box, (10, 10), flip=flip)

    picture = mask.resize(resized, Image.Resampling.LANCZOS)
    cut = (ImageOps.mirror(picture) if flip else picture).crop(box)
    pixels: NDArray[np.float64] = np.asarray(cut, dtype=np.float64).reshape(10, 8, 10, 8) / 255
    assert weights.shape == (1, 10, 10)
    assert np.abs(weights[0].numpy() - pixels.mean(axis=(1, 3))).mean() < 0.02
    assert mask_weights(weights, 0.25).min() == 0.25


def test_errors_count_by_the_mask_and_the_loss_is_the_mean_of_what_counts() -> None:
    half = torch.zeros(2, 1, 8, 8)
    half[:, :, :4] = 1
    off = answers(1.0, 1.0)
    off[:, :, 4:] = 9

    masked = replace(rows(1.0, 0.5), mask=half)

    assert weighted_errors(off, masked).tolist() == pytest.approx([1, 0.5])
    both = masked.concatenate(rows(1.0), 1.0)
    assert both.mask is not None
    assert both.mask[2].min() == 1
    assert masked.with_captions(("", ""), masked.target).mask is None


def test_a_mask_of_another_size_or_of_nothing_is_told_in_a_sentence(tmp_path: Path) -> None:
    picture = store_picture(tmp_path, Image.new("RGB", (40, 30), "red"))

    def problem(mask: Image.Image, settings: TrainingSettings = SETTINGS) -> str:
        example = Example(sha256=picture, mask=store_picture(tmp_path, mask))
        return mask_problem(tmp_path, example, settings, (40, 30))

    assert problem(Image.new("L", (30, 40), "white")) == (
        "Its mask has 30x40 pixels. It must have 40x30, as the picture has."
    )
    assert problem(Image.new("L", (40, 30))) == "Its mask is black everywhere, so nothing of it would count."
    assert problem(Image.new("L", (40, 30)), TrainingSettings(outside=0.1)) == ""
    assert problem(Image.new("L", (40, 30), "white")) == ""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("files")


@pytest.fixture(scope="module")
def studio(loaded: Model, folder: Path) -> Studio:
    return Studio(copy.deepcopy(loaded), EngineSettings(model="demo", files=str(folder)))


def left_half(size: tuple[int, int]) -> Image.Image:
    mask = Image.new("L", size)
    mask.paste(255, (0, 0, size[0] // 2, size[1]))
    return mask


def test_what_is_learned_depends_on_the_mask_and_on_what_is_outside(studio: Studio, folder: Path) -> None:
    (plain,) = examples(folder, [(64, 64)])
    masked = replace(plain, mask=store_picture(folder, left_half((64, 64))))
    clear = Image.open(stored_path(folder, plain.sha256)).convert("RGB")
    clear.putalpha(left_half((64, 64)))
    transparent = replace(plain, sha256=store_picture(folder, clear))

    def learn(*pictures: Example, **changes: Any) -> dict[str, torch.Tensor]:
        return weights(folder, checkpoints(run(studio, training(folder, examples=pictures, **changes)))[-1])

    whole, half = learn(plain), learn(masked)
    assert largest_gap(whole, half) > 1e-7
    assert largest_gap(half, learn(masked, outside=0.5)) > 1e-7
    assert largest_gap(whole, learn(masked, outside=1.0)) == 0
    assert largest_gap(learn(transparent), learn(transparent, alpha_mask=True)) > 1e-7


def test_a_picture_whose_mask_does_not_fit_is_left_out(studio: Studio, folder: Path) -> None:
    (plain,) = examples(folder, [(64, 64)])
    wrong = replace(plain, mask=store_picture(folder, left_half((32, 32))))

    assert refusal(run(studio, training(folder, examples=(wrong,)))).startswith("No picture is left")
