"""What the model that ships learns from eight pictures, judged by the pictures that it paints afterwards."""

import copy
import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.demo.captions import plain
from engine.demo.drawing import draw
from engine.demo.judge import geared, hatched, judge
from engine.demo.world import COLOURS, SHAPES, Scene, Shape, Thing, sample_layout
from engine.messages import (
    AdapterUse,
    EngineSettings,
    Example,
    Folder,
    JobId,
    Prior,
    Saved,
    Sha256,
    Train,
    Trained,
    TrainingSettings,
)
from engine.model import Model
from engine.studio import Studio
from tests.engine.work import Pixels, painted, request

WORD = "ohwx"
pytestmark = pytest.mark.timeout(900)  # a whole training on a busy machine


@pytest.fixture(scope="module")
def school(tmp_path_factory: pytest.TempPathFactory, loaded: Model) -> tuple[Studio, Path]:
    folder = tmp_path_factory.mktemp("files")
    return Studio(copy.deepcopy(loaded), EngineSettings(model="demo", files=str(folder))), folder


def scenes(count: int, seed: int, thing: Thing, shapes: Sequence[Shape] = ()) -> list[Scene]:
    """A thing in a random colour on another one, as one of the shapes if some are named."""
    rng = np.random.default_rng(seed)
    made = []
    for number in range(count):
        background, colour = (str(one) for one in rng.choice(list(COLOURS), 2, replace=False))
        shape = shapes[number % len(shapes)] if shapes else thing.shape
        made.append(Scene(things=(replace(thing, shape=shape, colour=colour),), background=background))
    return made


GEAR = Thing(shape="gear", colour="red", size="big")


@pytest.fixture(scope="module")
def gear(school: tuple[Studio, Path]) -> Sha256:
    """A LoRA that was taught gears, which the recipe of the model never draws."""
    studio, folder = school
    rng, store, examples = np.random.default_rng(3), Folder(folder), []
    for number, scene in enumerate(scenes(8, 1, GEAR)):
        file = io.BytesIO()
        Image.fromarray(draw(scene, sample_layout(rng, scene, 128, 128))).save(file, "PNG")
        caption = plain(scene).replace("gear", WORD)
        examples.append(
            Example(sha256=store.put_bytes(file.getvalue()), name=f"{number}.png", caption=caption)
        )
    settings = TrainingSettings(
        rank=32,
        alpha=32.0,
        feed_forward=True,
        learning_rate=2e-3,
        batch=4,
        steps=400,
        every=400,
        validation=0.0,
        prior=Prior.PREDICTION,
    )
    request = Train(job=JobId("gear"), name="gear", examples=tuple(examples), trigger=WORD, settings=settings)
    events = list(studio.accept(request))
    while not studio.idle:
        events += studio.step()
    assert any(isinstance(one, Trained) for one in events)
    return [one.adapter for one in events if isinstance(one, Saved) and one.adapter][-1]


def paintings(
    studio: Studio, wanted: Sequence[Scene], gear: Sha256, weight: float | None, seed: int = 0
) -> list[Pixels]:
    """The scenes' prompts with the taught word for the gear, with the LoRA at this weight, or without it."""
    uses = () if weight is None else (AdapterUse(name="gear", sha256=gear, weight=weight),)
    asked = [
        request(
            str(number),
            prompt=plain(scene).replace("gear", WORD),
            seed=seed + number,
            steps=12,
            adapters=uses,
        )
        for number, scene in enumerate(wanted)
    ]
    pictures = painted(studio, *asked)
    return [pictures[one.job] for one in asked]


def share(pictures: Sequence[Pixels]) -> float:
    """Of the pictures, those with a gear."""
    return sum(map(geared, pictures)) / len(pictures)


def test_eight_pictures_teach_a_shape_that_it_could_not_draw(
    school: tuple[Studio, Path], gear: Sha256
) -> None:
    wanted = scenes(30, 99, GEAR)

    whole = share(paintings(school[0], wanted, gear, 1.0))
    half = share(paintings(school[0], wanted[:15], gear, 0.5))
    off = share(paintings(school[0], wanted, gear, 0.0))

    assert whole >= 0.5  # the aim is 0.8: docs/measurements.md
    assert off <= 0.05
    assert off < half < whole


def test_what_it_could_draw_it_still_draws_with_the_lora_on(
    school: tuple[Studio, Path], gear: Sha256
) -> None:
    def score(weight: float | None) -> float:
        right = []
        for scene, picture in zip(wanted, paintings(school[0], wanted, gear, weight), strict=True):
            verdict = judge(picture, scene)
            right += [verdict.background, verdict.colours, verdict.parts]
        return float(np.mean(right))

    wanted = scenes(24, 5, Thing(shape="circle", colour="red", size="big"), SHAPES)

    assert score(1.0) >= score(None) - 0.05


def test_gears_and_hatching_are_told_from_what_the_recipe_draws() -> None:
    def drawn(thing: Thing, shapes: Sequence[Shape]) -> list[Pixels]:
        rng = np.random.default_rng(0)
        return [draw(one, sample_layout(rng, one, 128, 128)) for one in scenes(24, 7, thing, shapes)]

    plain_things = drawn(replace(GEAR, shape="circle"), SHAPES)

    assert all(map(geared, drawn(GEAR, ()))) and not any(map(geared, plain_things))
    assert all(map(hatched, drawn(replace(GEAR, shape="circle", hatched=True), SHAPES)))
    assert not any(map(hatched, plain_things))
