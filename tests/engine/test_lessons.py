"""What people get who teach the model that ships a thing: the checkpoint handed out, by the preset as is."""

import copy
from dataclasses import replace

import numpy as np
import pytest

from commands.presets import preset, presets, settled
from engine.demo.teaching import ARROW, School, Taught
from engine.demo.world import Shape
from engine.messages import EngineSettings
from engine.model import Model
from engine.studio import Studio

LESSONS: tuple[tuple[Shape, int], ...] = (("house", 0), ("tee", 1), ("chevron", 2))  # each with its seed
PROMPTS, ORDINARY = 25, 24
pytestmark = pytest.mark.timeout(900)  # whole trainings on a busy machine


@pytest.fixture(scope="module")
def school(tmp_path_factory: pytest.TempPathFactory, loaded: Model) -> School:
    folder = tmp_path_factory.mktemp("files")
    return School(Studio(copy.deepcopy(loaded), EngineSettings(model="demo", files=str(folder))), folder)


@pytest.fixture(scope="module")
def lessons(school: School) -> dict[Shape, Taught]:
    return {
        shape: school.learns(
            shape,
            school.pictures_of(replace(ARROW, shape=shape)),
            settled(preset("subject"), 8, {"seed": seed}, small=True),
        )
        for shape, seed in LESSONS
    }


def test_what_people_get_shows_what_was_taught_as_often_as_the_last_step_does(
    school: School, lessons: dict[Shape, Taught]
) -> None:
    pairs = [(replace(ARROW, shape=shape), taught) for shape, taught in lessons.items()]
    best = [school.share(PROMPTS, thing, taught.best) for thing, taught in pairs]
    last = [school.share(PROMPTS, thing, taught.last) for thing, taught in pairs]

    assert np.mean(best) >= 0.8
    assert np.mean(best) >= np.mean(last) - 0.03


def test_ordinary_prompts_are_painted_as_before(school: School, lessons: dict[Shape, Taught]) -> None:
    after = [school.ordinary(ORDINARY, taught.best) for taught in lessons.values()]

    assert np.mean(after) >= 0.95 * school.ordinary(ORDINARY)


def test_the_last_step_and_a_spread_before_it_are_offered(lessons: dict[Shape, Taught]) -> None:
    for taught in lessons.values():
        assert taught.last in (taught.best, *taught.others)
        assert len({use.sha256 for use in (taught.best, *taught.others)}) == 4


def test_no_preset_for_strokes_or_letters_mirrors_its_pictures() -> None:
    mirroring = {name for name in presets() if settled(preset(name), 16, {}).flip}

    assert mirroring == {"object", "fashion-study"}
