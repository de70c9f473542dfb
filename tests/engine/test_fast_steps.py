"""Fast pictures leave out guidance and deep features where they say, and nothing of anybody else's."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor

from engine.messages import Sampler, Size
from engine.sdxl.fast_steps import FastStep, ReusingUnet, plan_steps
from engine.sdxl.model import Model
from engine.studio import Studio
from tests.engine.oracle import Oracle
from tests.engine.studio_work import furthest, paint, pictures, request, work

WHOLE = FastStep(guided=True, reuses=False)


@contextmanager
def leaving_out(unet: Any, plan: Sequence[FastStep]) -> Iterator[None]:
    """A context in which the UNet of a pipeline, at each forward, does what a step of the plan does.

    Unguided, it answers for the negative prompt as for the prompt, so that guidance has nothing to add.
    """
    steps, step, deep = iter(plan), WHOLE, torch.empty(0)

    def begin(_module: Any, _args: Any) -> None:
        nonlocal step
        step = next(steps)

    def reuse(_module: Any, args: Any, named: Mapping[str, Any]) -> tuple[Any, Mapping[str, Any]]:
        nonlocal deep
        deep = deep if step.reuses else named["hidden_states"]
        return args, {**named, "hidden_states": deep}

    def leave_unguided(_module: Any, _args: Any, output: tuple[Tensor]) -> tuple[Tensor]:
        return output if step.guided else (output[0].chunk(2)[1].repeat(2, 1, 1, 1),)

    with ExitStack() as hooks:
        for hook in (
            unet.register_forward_pre_hook(begin),
            unet.up_blocks[-1].register_forward_pre_hook(reuse, with_kwargs=True),
            unet.register_forward_hook(leave_unguided),
        ):
            hooks.callback(hook.remove)
        yield


@pytest.mark.parametrize("sampler", [Sampler.EULER, Sampler.DPM_2M, Sampler.HEUN])
def test_a_fast_picture_is_the_pipelines_without_what_is_left_out(
    studio: Studio, oracle: Oracle, sampler: Sampler
) -> None:
    recipe = request(
        sampler=sampler, steps=10, negative_prompt="yellow", fast=True, size=Size(width=152, height=104)
    )
    plan = plan_steps(19 if sampler is Sampler.HEUN else 10, guidance=True)

    fast = paint(studio, recipe)["j"]

    with leaving_out(oracle.base.unet, plan):
        assert furthest(fast, oracle.paint(recipe)) <= 1
    assert furthest(fast, oracle.paint(recipe)) > 1


def test_fast_and_exact_pictures_do_not_change_each_other(studio: Studio) -> None:
    people = [
        request("exact"),
        request("fast", fast=True, steps=8),
        request("later", fast=True, seed=3, guidance_scale=7.0, refiner=0.3, steps=7),
        request("unguided", fast=True, guidance_scale=1.0, seed=4, steps=5),
    ]
    alone = {recipe.job: paint(studio, recipe)[recipe.job] for recipe in people}

    together = pictures(work(studio, {0: people[:2], 3: people[2:]}))

    assert max(furthest(alone[job], together[job]) for job in alone) <= 1


def test_fast_pictures_share_forwards_however_they_come(studio: Studio, model: Model) -> None:
    rows: list[int] = []
    model.base.unet.conv_in.register_forward_hook(lambda _module, args, _output: rows.append(len(args[0])))

    work(studio, {0: [request("one", fast=True)], 3: [request("two", fast=True, seed=8)]})

    alone = sum(1 + step.guided for step in plan_steps(6, guidance=True))
    assert sum(rows) == 2 * alone
    assert len(rows) <= 10
    assert max(rows) > 2


@pytest.mark.parametrize("guidance", [True, False])
@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 8, 20, 29, 30, 100])
def test_guidance_is_in_the_middle_and_features_are_used_twice_at_most(count: int, *, guidance: bool) -> None:
    steps = plan_steps(count, guidance=guidance)

    guided = [place for place, step in enumerate(steps) if step.guided]
    assert len(steps) == count
    assert guided == (list(range(guided[0], guided[-1] + 1)) if guided else [])
    assert bool(guided) is guidance
    assert not steps[0].reuses
    for before, step in itertools.pairwise(steps):
        assert not (step.reuses and (before.reuses or step.guided > before.guided))
    assert sum(step.reuses for step in steps) == count // 2


@pytest.mark.parametrize("levels", [1, 2])
@pytest.mark.parametrize("side", [16, 13])
def test_with_its_own_deep_features_a_forward_is_the_unets_own(model: Model, levels: int, side: int) -> None:
    unet = model.base.unet
    draw = torch.Generator().manual_seed(1)
    words = torch.randn(2, 77, unet.config.cross_attention_dim, generator=draw)
    added = {"text_embeds": torch.randn(2, 96, generator=draw), "time_ids": torch.full((2, 6), 128.0)}
    inputs = torch.randn(2, 4, side, side, generator=draw), torch.tensor([900.0, 400.0])
    options = {"encoder_hidden_states": words, "added_cond_kwargs": added}

    with torch.inference_mode():
        exact = unet(*inputs, **options, return_dict=False)[0]
        whole, deep = ReusingUnet(unet, levels)(*inputs, **options)
        again, _ = ReusingUnet(unet, levels)(*inputs, words, added | {"deep": deep})

    assert torch.equal(whole, exact)
    assert torch.equal(again, exact)
