"""What the engine paints with the model that ships, judged by its pixels."""

from collections import Counter

import pytest

from engine.demo.captions import plain
from engine.demo.judge import background_colour, find_parts, is_colour, judge
from engine.demo.world import SHAPES, Scene, Thing
from engine.messages import Sampler
from engine.studio import Studio
from tests.engine.studio_work import Pixels, paint, request

STAR_ABOVE_CIRCLE = Scene(
    things=(Thing(shape="star", colour="red"), Thing(shape="circle", colour="blue")),
    relation="above",
    background="white",
)
GREEN_HEART = Scene(things=(Thing(shape="heart", colour="green"),), background="black")


def colours(picture: Pixels) -> set[str]:
    """The names of the colours of the things in a picture."""
    pixels = picture.astype("float32")
    names = ("red", "orange", "yellow", "green", "blue", "purple", "white", "black")
    return {
        name
        for part in find_parts(pixels, background_colour(pixels))
        for name in names
        if is_colour(part.colour, name, False)
    }


def test_single_things_have_the_shape_and_colour_that_was_asked_for(studio: Studio) -> None:
    scenes = [
        Scene(things=(Thing(shape=shape, colour=colour),), background="white")
        for shape, colour in zip(
            SHAPES, ("red", "blue", "green", "purple", "orange", "black") * 2, strict=False
        )
    ]
    requests = [
        request(str(number), prompt=plain(scene), seed=number, steps=20)
        for number, scene in enumerate(scenes)
    ]

    pictures = paint(studio, *requests)

    verdicts = [judge(pictures[str(number)], scene) for number, scene in enumerate(scenes)]
    assert all(verdict.background and verdict.colours for verdict in verdicts)
    assert sum(verdict.shapes for verdict in verdicts) >= 6


@pytest.mark.parametrize("refiner", [0.0, 0.2], ids=["base alone", "refined"])
def test_a_red_star_above_a_blue_circle_is_there_to_see(studio: Studio, refiner: float) -> None:
    requests = [request(str(seed), seed=seed, steps=20, refiner=refiner) for seed in range(6)]

    verdicts = [judge(picture, STAR_ABOVE_CIRCLE) for picture in paint(studio, *requests).values()]

    assert (
        sum(
            verdict.background and verdict.colours and verdict.parts and verdict.relation
            for verdict in verdicts
        )
        >= 5
    )
    if not refiner:
        assert sum(verdict.right for verdict in verdicts) >= 5


@pytest.mark.parametrize("sampler", list(Sampler), ids=lambda sampler: sampler.name)
def test_every_sampler_paints_a_green_heart_on_black(studio: Studio, sampler: Sampler) -> None:
    requests = [
        request(str(seed), prompt="a green heart on a black background", seed=seed, steps=20, sampler=sampler)
        for seed in range(4)
    ]

    verdicts = [judge(picture, GREEN_HEART) for picture in paint(studio, *requests).values()]

    assert sum(verdict.background and verdict.colours and verdict.shapes for verdict in verdicts) >= 3


def test_a_negative_prompt_removes_what_it_names(studio: Studio) -> None:
    def hearts(**changes: object) -> dict[str, set[str]]:
        requests = [
            request(str(seed), prompt="a heart on a white background", seed=seed, steps=12, **changes)
            for seed in range(12)
        ]
        return {seed: colours(picture) for seed, picture in paint(studio, *requests).items()}

    usual = hearts()
    (colour, often), *_ = Counter(name for names in usual.values() for name in names).most_common(1)

    still = [seed for seed, names in hearts(negative_prompt=colour).items() if colour in names]

    assert often >= 3
    assert len(still) <= often // 2
