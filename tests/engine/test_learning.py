"""What the model that ships learns from eight pictures by the presets as they are, judged by its pictures."""

from dataclasses import replace

import numpy as np
import pytest

from commands.presets import find_preset, presets, training_settings
from engine.demo.lora_trials import ARROW, WORD, LoraTrials, TrialLoras
from engine.demo.world import SHAPES, Scene, Shape
from engine.messages import AdapterUse

LESSONS: tuple[tuple[Shape, int], ...] = (("arrow", 0), ("tee", 1))  # each with its seed
PROMPTS, ORDINARY = 25, 24
SCHEME, COLOUR = "zwx", "white"  # a word, and the colour that it gives to things
pytestmark = pytest.mark.timeout(900)  # a whole training on a busy machine


@pytest.fixture(scope="module")
def lessons(school: LoraTrials) -> dict[Shape, TrialLoras]:
    """What somebody gets who chooses the preset and leaves all else as it is, but for the seed."""
    return {
        shape: school.train(
            shape,
            school.training_pictures(replace(ARROW, shape=shape)),
            training_settings(find_preset("subject"), 8, {"seed": seed}, small=True),
        )
        for shape, seed in LESSONS
    }


@pytest.fixture(scope="module")
def rates(school: LoraTrials, lessons: dict[Shape, TrialLoras]) -> dict[Shape, float]:
    """How often what was taught is to be seen, of the LoRA that people get."""
    return {
        shape: school.success_rate(PROMPTS, replace(ARROW, shape=shape), taught.best)
        for shape, taught in lessons.items()
    }


@pytest.fixture(scope="module")
def arrow(lessons: dict[Shape, TrialLoras]) -> AdapterUse:
    return lessons["arrow"].best


def test_what_people_get_shows_what_was_taught_as_often_as_the_last_step_does(
    school: LoraTrials, lessons: dict[Shape, TrialLoras], rates: dict[Shape, float]
) -> None:
    best = list(rates.values())
    last = [
        rates[shape]
        if taught.last == taught.best
        else school.success_rate(PROMPTS, replace(ARROW, shape=shape), taught.last)
        for shape, taught in lessons.items()
    ]

    assert min(best) >= 0.7
    assert np.mean(best) >= 0.85
    assert np.mean(best) >= np.mean(last) - 0.03


def test_what_it_could_draw_it_still_draws_with_the_lora_on(
    school: LoraTrials, lessons: dict[Shape, TrialLoras]
) -> None:
    before = school.ordinary_score(ORDINARY)
    after = [school.ordinary_score(ORDINARY, taught.best) for taught in lessons.values()]

    assert min(after) >= before - 0.05
    assert np.mean(after) >= 0.95 * before


def test_the_last_step_and_a_spread_before_it_are_offered(lessons: dict[Shape, TrialLoras]) -> None:
    for taught in lessons.values():
        assert taught.last in (taught.best, *taught.others)
        assert len({use.sha256 for use in (taught.best, *taught.others)}) == 4


def test_a_shape_that_it_could_not_draw_shows_as_far_as_the_lora_counts(
    school: LoraTrials, arrow: AdapterUse, rates: dict[Shape, float]
) -> None:
    whole = rates["arrow"]
    half = school.success_rate(PROMPTS, ARROW, replace(arrow, weight=0.5))
    off = school.success_rate(PROMPTS, ARROW, replace(arrow, weight=0.0))
    without = school.success_rate(PROMPTS, ARROW)

    assert whole >= 0.8
    assert off <= 0.05
    assert without <= 0.05
    assert off <= half < whole


def test_no_preset_for_strokes_or_letters_mirrors_its_pictures() -> None:
    mirroring = {name for name in presets() if training_settings(find_preset(name), 16, {}).flip}

    assert mirroring == {"object", "fashion-study"}


def test_a_second_lora_mixes_with_the_first_and_both_show(school: LoraTrials, arrow: AdapterUse) -> None:
    taught = [
        Scene(things=(replace(ARROW, shape=shape, colour=COLOUR),), background="purple") for shape in SHAPES
    ]
    words = f"a big {SCHEME} {{}} on a purple background"
    pictures = school.store_pictures(
        taught, [words.format(scene.things[0].shape) for scene in taught], seed=4
    )
    style = training_settings(find_preset("style"), len(pictures), {}, small=True)
    scheme = school.train("scheme", pictures, style, SCHEME).best
    expected = [Scene(things=(replace(ARROW, colour=COLOUR),), background="purple")] * 25

    mixed = school.judge_prompts(expected, [words.format(WORD)] * 25, replace(arrow, weight=0.9), scheme)
    alone = school.judge_prompts(expected, [words.format(WORD)] * 25, arrow)

    assert np.mean([verdict.shapes for verdict in mixed]) >= 0.6
    assert np.mean([verdict.colours for verdict in mixed]) >= 0.6
    assert np.mean([verdict.colours for verdict in alone]) <= 0.2
