"""The demo's world: what is drawn, how it is said, and a judge that sees the difference."""

from __future__ import annotations

import dataclasses
from itertools import pairwise

import numpy as np
import pytest

from engine.demo.captions import caption, plain
from engine.demo.judge import judge
from engine.demo.latents import sample_view
from engine.demo.renderer import draw
from engine.demo.world import (
    COLOURS,
    SHAPES,
    TAUGHT,
    Pixels,
    Scene,
    Shape,
    Thing,
    is_held_out,
    sample_layout,
    sample_scene,
)

STAR_ABOVE_CIRCLE = Scene(
    things=(Thing(shape="star", colour="red"), Thing(shape="circle", colour="blue")),
    relation="above",
    background="white",
)


def draw_scene(scene: Scene, seed: int = 0, width: int = 128, height: int = 128) -> Pixels:
    return draw(scene, sample_layout(np.random.default_rng(seed), scene, width, height))


def test_the_judge_finds_every_ideal_drawing_right() -> None:
    rng = np.random.default_rng(1)
    scenes = [sample_scene(rng, unseen=number % 2 == 0) for number in range(32)]

    assert all(judge(draw_scene(scene, seed), scene).right for seed, scene in enumerate(scenes))


@pytest.mark.parametrize(("width", "height"), [(160, 104), (96, 168), (256, 256)])
def test_the_judge_reads_other_forms_too(width: int, height: int) -> None:
    assert judge(draw_scene(STAR_ABOVE_CIRCLE, width=width, height=height), STAR_ABOVE_CIRCLE).right


def test_the_judge_says_what_is_wrong() -> None:
    star, circle = STAR_ABOVE_CIRCLE.things
    picture = draw_scene(STAR_ABOVE_CIRCLE)
    change = dataclasses.replace

    below = judge(picture, change(STAR_ABOVE_CIRCLE, relation="below"))
    on_black = judge(picture, change(STAR_ABOVE_CIRCLE, background="black"))
    green = judge(picture, change(STAR_ABOVE_CIRCLE, things=(change(star, colour="green"), circle)))
    moon = judge(picture, change(STAR_ABOVE_CIRCLE, things=(change(star, shape="moon"), circle)))
    hollow = judge(picture, change(STAR_ABOVE_CIRCLE, things=(star, change(circle, filled=False))))
    alone = judge(picture, Scene(things=(star,), background="white"))

    assert not below.relation and below.colours and below.shapes
    assert not on_black.background and on_black.colours
    assert not green.colours and green.shapes
    assert not moon.shapes and moon.colours
    assert not hollow.fills and hollow.shapes
    assert not alone.parts


def test_the_judge_takes_no_other_scene_for_the_one_drawn() -> None:
    rng = np.random.default_rng(2)
    scenes = list(dict.fromkeys(sample_scene(rng) for _ in range(20)))

    def same_but_for_size(scene: Scene) -> Scene:
        return dataclasses.replace(
            scene, things=tuple(dataclasses.replace(thing, size="medium") for thing in scene.things)
        )

    for scene, other in pairwise(scenes):
        if same_but_for_size(scene) != same_but_for_size(other):
            assert not judge(draw_scene(scene), other).right


def test_noise_is_no_picture_of_anything() -> None:
    noise = np.random.default_rng(3).integers(0, 256, (128, 128, 3)).astype(np.uint8)

    assert not judge(noise, STAR_ABOVE_CIRCLE).right
    assert not judge(np.full((128, 128, 3), 248, np.uint8), STAR_ABOVE_CIRCLE).shapes


def test_the_recipe_never_draws_what_is_held_out() -> None:
    rng = np.random.default_rng(4)

    assert not any(is_held_out(sample_view(rng, 128, 128).scene) for _ in range(3000))


def test_about_an_eighth_of_the_combinations_is_held_out() -> None:
    combinations = [
        is_held_out(Scene(things=(Thing(shape=shape, colour=colour),), background=background))
        for shape in SHAPES
        for colour in COLOURS
        for background in COLOURS
        if colour != background
    ]

    assert 0.09 < np.mean(combinations) < 0.16


@pytest.mark.parametrize("shape", TAUGHT)
def test_the_judge_tells_what_a_lora_is_taught_from_what_the_recipe_draws(shape: Shape) -> None:
    thing = Thing(shape=shape, colour="red", size="big")
    taught = Scene(things=(thing,), background="white")

    assert judge(draw_scene(taught), taught).right
    for other in SHAPES:
        assert not judge(
            draw_scene(dataclasses.replace(taught, things=(dataclasses.replace(thing, shape=other),))), taught
        ).shapes


def test_gears_arrows_and_hatching_are_never_drawn_by_the_recipe_but_can_be() -> None:
    rng = np.random.default_rng(5)
    things = [thing for _ in range(2000) for thing in sample_scene(rng).things]

    assert not any(thing.hatched or thing.shape in TAUGHT for thing in things)
    hatched = Scene(things=(Thing(shape="gear", colour="red", size="big", hatched=True),), background="white")
    assert len(np.unique(draw_scene(hatched).reshape(-1, 3), axis=0)) > 2


def test_a_full_caption_names_everything() -> None:
    small = Thing(shape="moon", colour="purple", size="small", filled=False)
    scene = Scene(
        things=(small, Thing(shape="heart", colour="green")),
        relation="left of",
        background="orange",
        grayscale=True,
    )

    assert plain(scene) == (
        "a small outlined purple moon to the left of a green heart on an orange background, in grayscale"
    )


def test_captions_vary_and_some_say_only_a_part() -> None:
    rng = np.random.default_rng(6)
    captions = [caption(rng, STAR_ABOVE_CIRCLE) for _ in range(400)]

    assert plain(STAR_ABOVE_CIRCLE) in captions
    assert {"red", "blue", ""} <= set(captions)
    assert len(set(captions)) > 60
    assert 0.1 < np.mean([len(words.split()) <= 3 for words in captions]) < 0.3


def test_things_do_not_touch_and_stay_inside() -> None:
    rng = np.random.default_rng(7)
    for _ in range(300):
        scene = sample_scene(rng)
        layout = sample_layout(rng, scene, 128, 128)
        for spot in layout.spots:
            assert spot.radius <= spot.x + 3 and spot.x <= 131 - spot.radius
            assert spot.radius <= spot.y + 3 and spot.y <= 131 - spot.radius
        if len(layout.spots) == 2:
            first, second = layout.spots
            assert np.hypot(first.x - second.x, first.y - second.y) > first.radius + second.radius
