"""What PEFT keeps private and low_rank.py uses, as in version 0.21.2: an upgrade that moves it fails here."""

from collections.abc import Mapping

import pytest
import torch
from peft import LoraConfig
from peft.tuners.lora import Linear
from torch import nn

from engine.lora.low_rank import LowRankLinear

NAMES = ("ink", "chalk")


@pytest.fixture
def layer() -> LowRankLinear:
    """Two adapters, one of which is being trained."""
    config = LoraConfig(init_lora_weights=False)
    layer = LowRankLinear(nn.Linear(8, 8).requires_grad_(False), "ink", config, r=4, lora_alpha=4.0)
    layer.update_layer("chalk", 4, lora_alpha=4.0, config=config)
    layer.set_adapter(["ink"])
    return layer


@pytest.mark.parametrize("scales", [{}, {"ink": 0.5}, {"chalk": -1.0}, {"ink": 0.5, "chalk": 2.0}])
def test_what_is_chosen_is_what_peft_applies(layer: LowRankLinear, scales: Mapping[str, float]) -> None:
    x = torch.randn(3, 8)
    expected = layer.base_layer(x)
    for name, scale in scales.items():
        expected = expected + scale * layer.lora_B[name](layer.lora_A[name](x))

    layer.activate_adapters(scales)

    assert layer.active_adapters == list(scales)
    assert torch.allclose(Linear.forward(layer, x), expected, atol=1e-6)


def test_what_is_chosen_is_as_trainable_as_before(layer: LowRankLinear) -> None:
    before = {name: parameter.requires_grad for name, parameter in layer.named_parameters()}

    layer.activate_adapters({"chalk": 1.0})

    assert set(before.values()) == {True, False}
    assert {name: parameter.requires_grad for name, parameter in layer.named_parameters()} == before


def test_a_layer_keeps_by_adapter_what_is_read_of_it(layer: LowRankLinear) -> None:
    by_name = (layer.lora_A, layer.lora_B, layer.lora_dropout, layer.scaling, layer.r, layer.lora_alpha)

    assert all(set(kept) == set(NAMES) for kept in by_name)
    assert not layer.lora_variant
    assert not layer.lora_magnitude_vector
    assert (layer.disable_adapters, layer.merged) == (False, False)
