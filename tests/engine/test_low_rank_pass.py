"""In training a module applies its factors by few operations, and learns what PEFT's own layer learns."""

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig
from peft.tuners.lora import Conv2d, Linear
from torch import Tensor, nn

from bench.training_step import OperationCounter
from engine.lora.flat_factors import FlatFactors
from engine.lora.low_rank import LowRankConv2d, LowRankLinear
from engine.lora.low_rank_pass import TrainingFactors
from engine.messages import EngineSettings
from engine.sdxl.model import Model, load_model
from engine.studio import Studio
from tests.engine.training_cases import checkpoints, run, training

WIDTH, RANK = 64, 4


def make_layer(*, is_convolution: bool, dropout: float = 0.0) -> Any:
    """A module with random factors that are trained."""
    torch.manual_seed(0)
    config = LoraConfig(init_lora_weights=False, lora_dropout=dropout)
    module: nn.Module = nn.Conv2d(WIDTH, WIDTH, 3, padding=1) if is_convolution else nn.Linear(WIDTH, WIDTH)
    kind: Any = LowRankConv2d if is_convolution else LowRankLinear
    layer = kind(module.requires_grad_(False), "ink", config, r=RANK, lora_alpha=8.0)
    layer.train(dropout > 0)
    return layer


def flatten(layer: Any, precision: torch.dtype) -> FlatFactors:
    """The layer as in a training: its base in this format, its factors in one float32 vector."""
    down, up = layer.lora_A["ink"].weight, layer.lora_B["ink"].weight
    layer.base_layer.to(precision)
    flat = FlatFactors([[down, up]], precision)
    factors = TrainingFactors(down=flat.factor(down), up=flat.factor(up), scale=layer.scaling["ink"])
    layer.training_factors = {"ink": factors}
    return flat


def gradients(layer: Any, forward: Any, x: Tensor) -> Sequence[Tensor]:
    """The output, and the gradients of the input and of both factors."""
    x = x.clone().requires_grad_()
    torch.manual_seed(1)  # of the dropout
    output = forward(x)
    output.float().square().mean().backward()
    assert x.grad is not None
    return output.detach(), x.grad, layer.lora_A["ink"].weight.grad, layer.lora_B["ink"].weight.grad


@pytest.mark.parametrize("dropout", [0.0, 0.5])
@pytest.mark.parametrize("is_convolution", [False, True])
@pytest.mark.parametrize(("precision", "error"), [(torch.float32, 1e-5), (torch.bfloat16, 0.02)])
def test_it_learns_what_pefts_layer_learns(
    precision: torch.dtype, error: float, is_convolution: bool, dropout: float
) -> None:
    layer = make_layer(is_convolution=is_convolution, dropout=dropout)
    x = torch.randn(2, WIDTH, 8, 8) if is_convolution else torch.randn(2, 16, WIDTH)
    own = Conv2d.forward if is_convolution else Linear.forward
    expected = gradients(layer, lambda x: own(layer, x), x)
    flat = flatten(layer, precision)

    actual = gradients(layer, layer, x.to(precision))
    flat.collect_gradients()

    for ours, peft in zip(actual, expected, strict=True):
        assert (ours.float() - peft).norm() <= error * peft.norm()


def test_in_half_precision_nothing_is_cast_and_products_are_all_there_is() -> None:
    layer = make_layer(is_convolution=False)
    flatten(layer, torch.bfloat16)
    x = torch.randn(2, 16, WIDTH, dtype=torch.bfloat16, requires_grad=True)
    gradient = torch.randn(2, 16, WIDTH, dtype=torch.bfloat16)

    with OperationCounter() as forward:
        output = layer(x)
    with OperationCounter() as backward:
        torch.autograd.backward(output, gradient)

    assert forward.counts == {"addmm": 1, "mm": 1, "addmm_": 1}
    assert backward.counts == {"mm": 2, "addmm_": 3}


def test_without_gradients_it_answers_the_same() -> None:
    layer = make_layer(is_convolution=False)
    flatten(layer, torch.float32)
    x = torch.randn(2, 16, WIDTH)

    with torch.no_grad():
        answer = layer(x)

    torch.testing.assert_close(answer, layer(x).detach())


def test_gradients_add_up_in_float32_until_they_are_cleared() -> None:
    layer = make_layer(is_convolution=False)
    flat = flatten(layer, torch.bfloat16)
    x = torch.randn(2, 16, WIDTH, dtype=torch.bfloat16)
    sums = []
    for _ in range(2):
        layer(x).float().square().mean().backward()
        flat.collect_gradients()
        assert flat.vectors[0].grad is not None
        sums.append(flat.vectors[0].grad.clone())

    torch.testing.assert_close(sums[1], 2 * sums[0])
    assert sums[0].dtype is torch.float32
    flat.zero_gradients()
    assert not layer.lora_A["ink"].weight.grad.any()


def test_a_model_in_half_precision_learns_without_casts_what_it_learns_in_float32(
    tmp_path: Path, loaded: Model
) -> None:
    half = load_model(EngineSettings(model="demo", device="cpu", precision="bfloat16"))
    losses = []
    for model in (copy.deepcopy(loaded), half):
        studio = Studio(model, EngineSettings(model="demo", files=str(tmp_path)))
        with OperationCounter() as counter:
            (saved,) = checkpoints(run(studio, training(tmp_path, blocks=())))
        losses.append(saved.losses)

    assert losses[1] == pytest.approx(losses[0], rel=0.02)
    assert counter.counts["_to_copy"] < 0.12 * sum(counter.counts.values())
