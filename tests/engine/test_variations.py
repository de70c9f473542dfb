"""Pictures near another one: the noise of two seeds, mixed along an arc."""

import io
import json
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from engine.messages import Painted, Sampler
from engine.sdxl.noise import slerp
from engine.studio import Studio
from tests.engine.studio_work import Pixels, furthest, paint, request, work


def distance(first: Pixels, second: Pixels) -> float:
    """The mean difference of the pixels, of 255."""
    return float(np.abs(first.astype(int) - second.astype(int)).mean())


@pytest.mark.parametrize("sampler", [Sampler.EULER, Sampler.EULER_ANCESTRAL])
def test_a_variation_goes_from_the_seeds_picture_to_the_other_seeds(studio: Studio, sampler: Sampler) -> None:
    def picture(**changes: Any) -> Pixels:
        return paint(studio, request(sampler=sampler, **changes))["j"]

    plain, second = picture(seed=7), picture(seed=9)
    none, little, more, all_of_it = [
        picture(seed=7, variation=strength, variation_seed=9) for strength in (0.0, 0.1, 0.5, 1.0)
    ]

    assert furthest(none, plain) == 0
    assert furthest(all_of_it, second) == 0
    assert 0 < distance(little, plain) < distance(more, plain)
    assert distance(little, plain) < distance(second, plain) / 2


def test_each_picture_of_a_variation_is_near_in_its_own_way_and_can_be_painted_again_alone(
    studio: Studio,
) -> None:
    several = request(count=3, variation=0.2, variation_seed=20)

    (result,) = [event for event in work(studio, {0: [several]}) if isinstance(event, Painted)]

    images = [Image.open(io.BytesIO(picture.png)) for picture in result.pictures]
    recipes = [json.loads(image.info["recipe"]) for image in images]
    assert [picture.seed for picture in result.pictures] == [7, 7, 7]
    assert [(recipe["seed"], recipe["variation"], recipe["variation_seed"]) for recipe in recipes] == [
        *((7, 0.2, 20), (7, 0.2, 21), (7, 0.2, 22))
    ]
    assert "Variation seed: 22, Variation seed strength: 0.2" in images[2].info["parameters"]
    again = paint(studio, request(variation=0.2, variation_seed=22))["j"]
    assert furthest(again, np.asarray(images[2])) <= 1
    assert furthest(again, np.asarray(images[0])) > 1


def test_the_noise_between_two_draws_is_as_strong_as_they_are() -> None:
    generator = torch.Generator().manual_seed(1)
    start, end = (torch.randn((1, 4, 16, 16), generator=generator) for _ in range(2))

    middle = slerp(start, end, 0.5)

    assert torch.equal(slerp(start, end, 0.0), start)
    assert torch.equal(slerp(start, end, 1.0), end)
    assert 0.95 < middle.std() < 1.05
    assert ((start + end) / 2).std() < 0.8
    assert torch.equal(slerp(start, start, 0.5), start)
    assert slerp(start.half(), end.half(), 0.5).dtype is torch.float16
