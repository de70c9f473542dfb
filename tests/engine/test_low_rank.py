"""Adapters that are added to a module's weight answer as PEFT's own layer does."""

from collections.abc import Sequence

import pytest
import torch
from peft import LoraConfig
from peft.tuners.lora import Conv2d, Linear
from torch import Tensor, nn

from engine.lora.low_rank import LowRankConv2d, LowRankLinear, flatten_weight, make_stacks

SMALL, WIDE = 64, 1280  # the model that ships, SDXL


@pytest.fixture(autouse=True)
def products(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How often PEFT's own way was gone."""
    gone: list[int] = []
    own = Linear.forward

    def forward(layer: Linear, *arguments: object, **options: object) -> object:
        gone.append(1)
        return own(layer, *arguments, **options)

    monkeypatch.setattr(Linear, "forward", forward)
    return gone


def layer(width: int, seed: int = 0, **settings: object) -> LowRankLinear:
    """A module with two random adapters that count, one of them turned around."""
    torch.manual_seed(seed)
    config = LoraConfig(init_lora_weights=False, **settings)
    module = LowRankLinear(nn.Linear(width, width).requires_grad_(False), "ink", config, r=16, lora_alpha=8.0)
    module.eval()
    module.update_layer("chalk", 32, lora_alpha=4.0, config=config)
    module.set_adapter(["ink", "chalk"])
    module.set_scale("chalk", -0.5)
    return module


def error(layers: Sequence[nn.Module], x: Tensor, target: Tensor) -> Tensor:
    """How far they are from the target, one after another."""
    for layer in layers:
        x = layer(x)
    return (x - target).square().mean()


def test_what_it_answers_is_what_both_factors_answer(products: list[int]) -> None:
    module, x = layer(SMALL), torch.randn(2, 256, SMALL)

    with torch.no_grad():
        added = module(x)

    assert not products
    assert torch.allclose(added, Linear.forward(module, x), atol=1e-5)


def test_what_a_stack_learns_is_what_both_factors_learn(products: list[int]) -> None:
    layers = [layer(SMALL, seed) for seed in range(3)]
    for wrapped in layers:
        wrapped.set_adapter(["ink"])
    x, target = torch.randn(2, 256, SMALL), torch.randn(2, 256, SMALL)
    factors = [
        factor
        for wrapped in layers
        for factor in (wrapped.lora_A["ink"].weight, wrapped.lora_B["ink"].weight)
    ]
    apart = torch.autograd.grad(error(layers, x, target), factors)
    products.clear()

    (stack,) = make_stacks(layers, "ink")
    stack.merge()
    down, up = torch.autograd.grad(error(layers, x, target), [stack.down, stack.up])

    assert not products
    torch.testing.assert_close(down, torch.stack(apart[::2]), rtol=1e-3, atol=1e-7)
    torch.testing.assert_close(up, torch.stack(apart[1::2]), rtol=1e-3, atol=1e-7)


def convolution(seed: int = 0, channels_last: bool = True) -> LowRankConv2d:
    """A convolution of the model that ships with an adapter that counts."""
    torch.manual_seed(seed)
    module = nn.Conv2d(SMALL, SMALL, 3, stride=2, padding=1).requires_grad_(False)
    if channels_last:
        module.weight.data = module.weight.data.to(memory_format=torch.channels_last)
    wrapped = LowRankConv2d(module, "ink", LoraConfig(init_lora_weights=False), r=16, lora_alpha=8.0)
    wrapped.eval()
    wrapped.set_scale("ink", -0.5)
    return wrapped


@pytest.mark.parametrize("channels_last", [True, False])
def test_a_convolution_answers_and_learns_as_both_factors_do(channels_last: bool) -> None:
    module, x = convolution(channels_last=channels_last), torch.randn(2, SMALL, 16, 16)
    down, up = module.lora_A["ink"].weight, module.lora_B["ink"].weight
    expected = Conv2d.forward(module, x)
    apart = torch.autograd.grad(expected.square().mean(), [down, up])

    with torch.no_grad():
        served = module(x)
    (stack,) = make_stacks([module], "ink")
    stack.merge()
    learning = module(x)
    gradients = torch.autograd.grad(learning.square().mean(), [stack.down, stack.up])

    torch.testing.assert_close(served, expected, rtol=0, atol=1e-5)
    torch.testing.assert_close(learning, expected, rtol=0, atol=1e-5)
    for gradient, factor in zip(gradients, apart, strict=True):
        torch.testing.assert_close(gradient[0], flatten_weight(factor), rtol=1e-3, atol=1e-7)


def test_a_layer_follows_its_stack_and_answers_by_itself_when_it_is_off() -> None:
    module, x = layer(SMALL), torch.randn(2, 256, SMALL)
    module.set_adapter(["ink"])
    (stack,) = make_stacks([module], "ink")
    stack.up.data += 0.1

    answer = module(x)
    stack.merge()
    added = module(x)
    stack.unmerge()

    assert added.requires_grad
    assert not answer.requires_grad
    assert torch.allclose(added, answer, atol=1e-5)
    assert torch.equal(module(x), answer)


@pytest.mark.parametrize("why", ["wide", "half precision"])
def test_what_is_wide_or_in_half_precision_is_in_no_stack(why: str) -> None:
    module = layer(WIDE if why == "wide" else SMALL)

    assert not make_stacks([module.to(torch.bfloat16) if why == "half precision" else module], "ink")


def test_without_an_adapter_that_counts_it_is_the_module_itself() -> None:
    module, x = layer(SMALL), torch.randn(2, 256, SMALL)
    module.set_adapter([])

    assert torch.equal(module(x), module.base_layer(x))


@pytest.mark.parametrize("why", ["wide", "half precision", "autocast", "DoRA", "dropout"])
def test_pefts_own_way_is_gone_where_adding_is_no_gain_or_not_the_same(why: str, products: list[int]) -> None:
    width = WIDE if why == "wide" else SMALL
    module = layer(width, use_dora=why == "DoRA", lora_dropout=0.5 if why == "dropout" else 0.0)
    x = torch.randn(1, 4096 if why == "wide" else 256, width)
    if why == "half precision":
        module, x = module.to(torch.bfloat16), x.to(torch.bfloat16)
    module.train(why == "dropout")

    with torch.autocast("cpu", torch.bfloat16, enabled=why == "autocast"):
        module(x)

    assert products
