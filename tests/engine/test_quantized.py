"""A UNet whose weights are held in few bits: it paints with LoRAs and learns, and takes less memory."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from engine.lora.adapter_file import parse_adapter
from engine.lora.adapters import Adapters
from engine.messages import EngineSettings, FileStore, WeightFormat
from engine.sdxl.model import CannotLoad, Model, can_hold_weights, load_model
from engine.sdxl.quantized_linear import QuantizedLinear, quantize_layers
from engine.studio import Studio
from tests.engine.adapter_cases import PLENTY, use
from tests.engine.studio_work import paint, request
from tests.engine.training_cases import checkpoints, run, trained, training
from tests.lora_files import answered, attention, farthest, kohya, make_lora, store

FEW_BITS = [form for form in WeightFormat if form is not WeightFormat.FULL]
BYTES = {WeightFormat.INT8: 1.1, WeightFormat.FP8: 1.1, WeightFormat.NF4: 0.6}  # of a number, with scales
LOST = {WeightFormat.INT8: 0.01, WeightFormat.FP8: 0.04, WeightFormat.NF4: 0.12}  # of a layer's output


def quantized(pipeline: Any, form: WeightFormat) -> Any:
    """A copy of the pipeline whose UNet is held so."""
    other = copy.deepcopy(pipeline)
    quantize_layers(other.unet, form)
    return other


@pytest.mark.parametrize("form", FEW_BITS)
def test_a_layer_in_few_bits_takes_as_little_memory_and_computes_nearly_the_same(form: WeightFormat) -> None:
    torch.manual_seed(0)
    plain = nn.Linear(256, 512)
    held = QuantizedLinear(plain, form)
    x = torch.randn(3, 5, 256, requires_grad=True)

    output, expected = held(x), plain(x)

    stored = sum(buffer.nbytes for buffer in held.buffers())
    assert stored <= BYTES[form] * plain.weight.numel()
    assert (output - expected).norm() < LOST[form] * expected.norm()
    (gradient,) = torch.autograd.grad(output.square().sum(), x)
    (same,) = torch.autograd.grad(nn.functional.linear(x, held.weight, held.bias).square().sum(), x)
    assert torch.allclose(gradient, same, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("form", FEW_BITS)
def test_a_mix_is_added_to_the_weights_as_they_are_held_and_goes_again(
    original: Any, tmp_path: Path, form: WeightFormat
) -> None:
    ink, chalk = (
        store(tmp_path, kohya(make_lora(original, of=attention, seed=seed)), name=name)
        for seed, name in ((1, "ink"), (2, "chalk"))
    )
    held, whole = quantized(original, form), copy.deepcopy(original)
    with torch.no_grad():  # the same numbers, whole
        for module, other in zip(held.unet.modules(), whole.unet.modules(), strict=True):
            if isinstance(module, QuantizedLinear):
                other.weight.copy_(module.weight)
    plain = answered(held)
    adapters, expected = Adapters(held, tmp_path, PLENTY), Adapters(whole, tmp_path, PLENTY)

    for mix in ((ink,), (ink, chalk)):
        use(adapters, *mix)
        use(expected, *mix)

        assert farthest(answered(held), answered(whole)) < 1e-4
        assert farthest(answered(held), plain) > 1e-3
    adapters.activate(())
    assert farthest(answered(held), plain) == 0


@pytest.fixture(scope="module")
def int8() -> Model:
    return load_model(EngineSettings(model="demo", device="cpu", weights=WeightFormat.INT8))


def test_int8_paints_nearly_the_picture_of_float32_with_a_lora_too(
    int8: Model, model: Model, tmp_path: Path
) -> None:
    ink = store(tmp_path, kohya(make_lora(model.base, of=attention, seed=3, alphas=(2.0,))), name="ink")
    asked = [request("plain", steps=6), request("inked", steps=6, adapters=(ink,))]
    settings = EngineSettings(model="demo", files=str(tmp_path), weights=WeightFormat.INT8)

    held, whole = (paint(Studio(each, settings), *asked) for each in (int8, model))

    for name in ("plain", "inked"):
        gap = np.abs(held[name].astype(int) - whole[name].astype(int)).mean()
        assert 0 < gap < 4
    assert np.abs(held["plain"].astype(int) - held["inked"].astype(int)).mean() > 4


def test_a_lora_is_trained_beside_the_held_weights_which_stay_as_they_are(
    int8: Model, tmp_path: Path
) -> None:
    settings = EngineSettings(model="demo", files=str(tmp_path), weights=WeightFormat.INT8)
    before = [buffer.clone() for buffer in int8.base.unet.buffers()]

    events = run(Studio(int8, settings), training(tmp_path, learning_rate=0.02, checkpointing=True))

    trained(events)
    adapter = checkpoints(events)[-1].adapter
    assert adapter is not None
    read = parse_adapter(FileStore(tmp_path).get(adapter), Adapters(int8.base, tmp_path, PLENTY).names, "it")
    assert read.changes
    assert all(torch.equal(now, then) for now, then in zip(int8.base.unet.buffers(), before, strict=True))


def test_a_device_that_cannot_hold_them_is_refused_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(weight: Tensor, form: WeightFormat) -> tuple[Tensor, Tensor]:
        raise RuntimeError("no such numbers here")

    assert all(can_hold_weights(form, torch.device("cpu")) for form in WeightFormat)
    assert not can_hold_weights(WeightFormat.INT8, torch.device("meta"))
    monkeypatch.setattr("engine.sdxl.quantized_linear.quantize", fail)
    with pytest.raises(CannotLoad) as refusal:
        load_model(EngineSettings(model="demo", device="cpu", weights=WeightFormat.INT8))

    assert str(refusal.value) == (
        "The weights cannot be held in int8 on cpu. Set [engine] weights to another."
    )
