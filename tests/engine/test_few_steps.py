"""What few steps give: every sampler begins with noise alone, and paints what so few can paint."""

from typing import Any

import numpy as np
import pytest

from engine.demo.captions import plain
from engine.demo.judge import Verdict, judge
from engine.demo.world import Scene, Thing
from engine.messages import Sampler
from engine.sdxl.model import Model
from engine.sdxl.samplers import make_scheduler
from engine.studio import Studio
from tests.engine.studio_work import paint, request

SAMPLERS = pytest.mark.parametrize("sampler", list(Sampler), ids=lambda sampler: sampler.name)
EVEN = [sampler for sampler in Sampler if sampler is not Sampler.DPM_2M_KARRAS]  # its last step is at t = 0
RED_CIRCLE = Scene(things=(Thing(shape="circle", colour="red", size="big"),), background="white")
SEEDS = 8


def verdicts(studio: Studio, **changes: Any) -> list[Verdict]:
    requests = [request(str(seed), prompt=plain(RED_CIRCLE), seed=seed, **changes) for seed in range(SEEDS)]
    return [judge(picture, RED_CIRCLE) for picture in paint(studio, *requests).values()]


@SAMPLERS
@pytest.mark.parametrize("steps", [1, 2, 3, 4, 8])
def test_however_few_its_steps_every_sampler_begins_with_noise_alone(
    model: Model, sampler: Sampler, steps: int
) -> None:
    scheduler = make_scheduler(sampler, model.base.scheduler.config, steps)

    assert scheduler.timesteps[0] == 999


@pytest.mark.parametrize("steps", [10, 20])
@pytest.mark.parametrize("spacing", ["leading", "trailing", "linspace"])
def test_from_ten_steps_on_the_models_own_spacing_holds(model: Model, spacing: str, steps: int) -> None:
    own = {"leading": 1001 - 1000 / steps, "trailing": 999, "linspace": 999}
    config = {**model.base.scheduler.config, "timestep_spacing": spacing}

    scheduler = make_scheduler(Sampler.EULER, config, steps)

    assert scheduler.timesteps[0] == own[spacing]


@pytest.mark.parametrize("sampler", [Sampler.EULER, Sampler.DDIM], ids=lambda sampler: sampler.name)
def test_four_steps_with_little_guidance_paint_a_red_circle(studio: Studio, sampler: Sampler) -> None:
    """With more guidance so few steps overshoot: it becomes black."""
    several = verdicts(studio, steps=4, sampler=sampler, guidance_scale=3.0)

    assert sum(verdict.background and verdict.colours and verdict.shapes for verdict in several) >= SEEDS / 2


@pytest.mark.parametrize("sampler", [Sampler.EULER, Sampler.HEUN], ids=lambda sampler: sampler.name)
def test_one_step_paints_the_background_that_was_asked_for(studio: Studio, sampler: Sampler) -> None:
    """From t = 1, where one step began, it is noise."""
    several = verdicts(studio, steps=1, sampler=sampler, guidance_scale=3.0)

    assert sum(verdict.background for verdict in several) >= SEEDS / 2


@pytest.mark.parametrize("sampler", EVEN, ids=lambda sampler: sampler.name)
def test_a_refiner_whose_share_is_no_step_leaves_the_picture_to_the_base(
    studio: Studio, sampler: Sampler
) -> None:
    alone, refined = (
        request(name, steps=2, sampler=sampler, refiner=refiner)
        for name, refiner in (("a", 0.0), ("b", 0.05))
    )
    pictures = {**paint(studio, alone), **paint(studio, refined)}

    assert np.array_equal(pictures["a"], pictures["b"])
