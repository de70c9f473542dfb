"""Adapters that are added to a module's weight answer as PEFT's own layer does."""

import pytest
import torch
from peft import LoraConfig
from peft.tuners.lora import Linear
from torch import nn

from engine.low_rank import LowRankLinear

SMALL, WIDE = 64, 1280  # the model that ships, SDXL


@pytest.fixture(autouse=True)
def products(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How often PEFT's own way was gone."""
    gone: list[int] = []
    own = Linear.forward

    def forward(layer: Linear, *told: object, **options: object) -> object:
        gone.append(1)
        return own(layer, *told, **options)

    monkeypatch.setattr(Linear, "forward", forward)
    return gone


def layer(width: int, **settings: object) -> LowRankLinear:
    """A module with two random adapters that count, one of them turned around."""
    torch.manual_seed(0)
    config = LoraConfig(init_lora_weights=False, **settings)
    made = LowRankLinear(nn.Linear(width, width), "ink", config, r=16, lora_alpha=8.0)
    made.eval()
    made.update_layer("chalk", 32, lora_alpha=4.0, config=config)
    made.set_adapter(["ink", "chalk"])
    made.set_scale("chalk", -0.5)
    return made


def test_what_it_answers_is_what_both_factors_answer(products: list[int]) -> None:
    one, x = layer(SMALL), torch.randn(2, 256, SMALL)

    added = one(x)

    assert not products
    assert torch.allclose(added, Linear.forward(one, x), atol=1e-5)


def test_what_is_learned_is_what_both_factors_learn(products: list[int]) -> None:
    one, x = layer(SMALL), torch.randn(2, 256, SMALL)
    parameters = [one.lora_A["ink"].weight, one.lora_B["ink"].weight]
    target = torch.randn(2, 256, SMALL)

    added = torch.autograd.grad((one(x) - target).square().mean(), parameters)

    assert not products
    apart = torch.autograd.grad((Linear.forward(one, x) - target).square().mean(), parameters)
    assert all(torch.allclose(a, b, rtol=1e-3, atol=1e-7) for a, b in zip(added, apart, strict=True))


def test_without_an_adapter_that_counts_it_is_the_module_itself() -> None:
    one, x = layer(SMALL), torch.randn(2, 256, SMALL)
    one.set_adapter([])

    assert torch.equal(one(x), one.base_layer(x))


@pytest.mark.parametrize("why", ["wide", "half precision", "autocast", "DoRA", "dropout"])
def test_pefts_own_way_is_gone_where_adding_is_no_gain_or_not_the_same(why: str, products: list[int]) -> None:
    width = WIDE if why == "wide" else SMALL
    one = layer(width, use_dora=why == "DoRA", lora_dropout=0.5 if why == "dropout" else 0.0)
    x = torch.randn(1, 4096 if why == "wide" else 256, width)
    if why == "half precision":
        one, x = one.to(torch.bfloat16), x.to(torch.bfloat16)
    one.train(why == "dropout")

    with torch.autocast("cpu", torch.bfloat16, enabled=why == "autocast"):
        one(x)

    assert products
