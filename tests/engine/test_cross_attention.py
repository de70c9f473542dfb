"""The keys and values of a prompt are computed once for a picture, with the numbers of each step's own."""

import copy
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

import engine.studio
from engine.messages import AdapterUse, EngineSettings
from engine.runners.runner import UnetInputs
from engine.sdxl.cross_attention import WordProjection, make_projection
from engine.sdxl.model import Model
from engine.studio import Studio
from tests.engine.studio_work import furthest, paint, request


@pytest.mark.parametrize("rows", [1, 2, 5])
def test_a_forward_has_the_same_numbers_to_the_last_bit(model: Model, rows: int) -> None:
    unet = model.base.unet
    inputs = UnetInputs.examples(unet, rows, 16, 16)
    with torch.inference_mode():
        (before,) = inputs.run(unet)
        projection = WordProjection(unet)

        (after,) = replace(inputs, hidden=projection(inputs.hidden)).run(unet)
        (states,) = inputs.run(unet)

    assert torch.equal(after, before)
    assert torch.equal(states, before)


def test_keys_and_values_are_computed_once_a_picture_with_its_own_loras(
    model: Model, files: Any, loras: tuple[AdapterUse, AdapterUse], monkeypatch: pytest.MonkeyPatch
) -> None:
    requests = [
        request("plain", refiner=0.4, steps=9),
        request("inked", adapters=loras[:1], steps=7),
        request("mixed", adapters=loras, steps=7, guidance_scale=1.0),
        request("fast", fast=True, steps=8),
    ]
    settings = EngineSettings(model="demo", files=str(files))
    monkeypatch.setattr(engine.studio, "make_projection", lambda _: None)
    at_every_step = paint(Studio(copy.deepcopy(model), settings), *requests)
    monkeypatch.undo()
    studio, calls = Studio(model, settings), Counter[str]()
    for name, module in model.base.unet.named_modules():
        if name.endswith("attn2.to_k"):
            module.register_forward_hook(count_calls(calls, name))

    once = paint(studio, *requests)

    assert set(calls.values()) == {len(requests)}
    assert all(furthest(once[job], at_every_step[job]) <= 1 for job in once)


def count_calls(calls: Counter[str], name: str) -> Callable[..., None]:
    def count(module: object, inputs: object, output: Tensor) -> None:
        calls[name] += 1

    return count


def test_a_unet_with_other_attention_goes_without(model: Model) -> None:
    attention = next(module for name, module in model.base.unet.named_modules() if name.endswith(".attn2"))
    attention.residual_connection = True

    assert make_projection(model.base.unet) is None
