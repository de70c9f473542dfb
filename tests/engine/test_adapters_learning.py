"""Adapters in training beside those that are served: what they learn by, and that nobody else sees it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from engine.lora.adapter_file import Adapter
from engine.lora.adapters import Adapters
from engine.messages import AdapterKind, TrainingSettings
from tests.engine.adapter_cases import CLOSE, PLENTY, copies, layers, loras_of_one_size, low_rank, truth, use
from tests.lora_files import answered, attention, farthest, kohya, make_lora, seen, store


def begin(adapters: Adapters, places: Any, name: str = "learner", **options: Any) -> list[nn.Parameter]:
    """What there is to optimize of an adapter that begins to train."""
    adapters.begin_training(name, places, **options)
    return [each.parameter for each in adapters.trained_parameters(name)]


def test_an_adapter_in_training_goes_on_learning_and_stays_out_of_the_mix(
    original: Any, plain: list[Tensor], pipeline: Any, tmp_path: Path
) -> None:
    (first, second), size = loras_of_one_size(pipeline, tmp_path, 2)
    adapters = Adapters(pipeline, tmp_path, limit_bytes=size)
    use(adapters, first)
    places = adapters.targets(TrainingSettings(rank=2, alpha=2.0))
    # Dropout keeps every module's own parameters, which PEFT would freeze.
    parameters = begin(adapters, places, dropout=0.5, seed=0)
    assert all(parameter.requires_grad for parameter in parameters)
    assert len(parameters) == 2 * len(places)
    for parameter in parameters:
        parameter.data.normal_()

    use(adapters, second)

    assert farthest(seen(pipeline), truth(original, (make_lora(original, of=attention, seed=1), 1.0))) < CLOSE
    assert all(parameter.requires_grad for parameter in parameters)
    assert not list(layers(pipeline))
    adapters.activate(())
    assert farthest(seen(pipeline), plain) == 0
    adapters.unload(second.sha256)
    adapters.activate_training("learner")
    assert len([layer for layer in layers(pipeline) if "learner" in layer.lora_A]) == len(places)


@pytest.mark.parametrize("dora", [False, True])
def test_what_begins_to_train_changes_nothing_and_counts_only_when_it_learns(
    plain: list[Tensor], pipeline: Any, adapters: Adapters, tmp_path: Path, dora: bool
) -> None:
    served = store(tmp_path, kohya(make_lora(pipeline, of=attention)))
    use(adapters, served)
    mixed = seen(pipeline)
    everywhere = TrainingSettings(
        rank=4, alpha=8.0, feed_forward=True, text_encoder=True, text_encoder_2=True
    )
    places = adapters.targets(replace(everywhere, convolutions=not dora))

    parameters = begin(
        adapters, places, dropout=0.0, kind=AdapterKind.DORA if dora else AdapterKind.LORA, seed=3
    )

    assert farthest(seen(pipeline), mixed) == 0
    adapters.activate_training("learner")
    assert farthest(seen(pipeline), plain) < CLOSE
    with torch.no_grad():
        for parameter in parameters:
            parameter.add_(0.05)
    learnt = seen(pipeline)
    assert all((now - before).abs().max() > 1e-4 for now, before in zip(learnt, plain, strict=True))
    adapters.activate_training(None)
    assert farthest(seen(pipeline), mixed) == 0
    adapters.activate_training("learner")
    assert farthest(seen(pipeline), learnt) == 0
    adapters.activate((served,))
    assert farthest(seen(pipeline), mixed) == 0
    adapters.end_training("learner")
    assert farthest(seen(pipeline), mixed) == 0
    adapters.unload(served.sha256)
    assert not list(layers(pipeline))
    assert farthest(seen(pipeline), plain) == 0


def test_training_begins_with_the_same_numbers_for_a_seed_and_leaves_others_alone(
    pipeline: Any, adapters: Adapters
) -> None:
    places = adapters.targets(TrainingSettings(rank=2, alpha=1.0))
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)

    three = [
        begin(adapters, places, name, seed=seed) for name, seed in (("one", 1), ("same", 1), ("other", 2))
    ]

    assert torch.equal(torch.rand(4), expected)
    first, same, other = ([parameter.detach() for parameter in parameters] for parameters in three)
    assert farthest(first, same) == 0
    assert farthest(first, other) > 0
    assert all((up == 0).all() for up in first[1::2])
    assert all(0.5 < down.abs().max() * down.shape[-1] ** 0.5 <= 1 for down in first[::2])


def test_a_training_that_cannot_begin_leaves_nothing_of_itself(
    pipeline: Any, adapters: Adapters, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = adapters.targets(TrainingSettings(rank=2, alpha=1.0))
    layer, calls = adapters._training._layer, list[object]()

    def fail(*arguments: Any) -> Any:
        if len(calls) == 40:
            raise MemoryError
        calls.append(arguments)
        return layer(*arguments)

    monkeypatch.setattr(adapters._training, "_layer", fail)
    with pytest.raises(MemoryError):
        begin(adapters, places, seed=0)

    assert not list(layers(pipeline))


@pytest.mark.parametrize("dora", [False, True])
def test_what_was_learnt_can_be_put_back_exactly(pipeline: Any, adapters: Adapters, dora: bool) -> None:
    places = adapters.targets(TrainingSettings(rank=2, alpha=3.0, text_encoder=True))
    parameters = begin(
        adapters, places, dropout=0.0, kind=AdapterKind.DORA if dora else AdapterKind.LORA, seed=0
    )
    adapters.activate_training("learner")
    torch.manual_seed(0)
    for parameter in parameters:
        parameter.data += 0.1 * torch.randn_like(parameter)
    before, numbers = seen(pipeline), [parameter.detach().clone() for parameter in parameters]

    learnt = low_rank(adapters.trained_changes("learner"))
    for parameter in parameters:
        parameter.data.zero_()
    adapters.restore_training("learner", learnt)

    assert farthest(parameters, numbers) == 0
    assert farthest(seen(pipeline), before) == 0
    assert {(change.alpha, change.rank, change.magnitude is not None) for change in learnt.values()} == {
        (3.0, 2, dora)
    }


@pytest.mark.parametrize("dora", [False, True])
def test_dropout_drops_only_when_it_is_asked_to(pipeline: Any, adapters: Adapters, dora: bool) -> None:
    places = adapters.targets(TrainingSettings(rank=2, alpha=2.0))
    for parameter in begin(
        adapters, places, dropout=0.5, kind=AdapterKind.DORA if dora else AdapterKind.LORA, seed=0
    ):
        parameter.data += 0.1
    adapters.activate_training("learner")
    whole = seen(pipeline)
    assert farthest(seen(pipeline), whole) == 0

    adapters.activate_training("learner", dropout=True)
    torch.manual_seed(0)
    assert farthest(seen(pipeline), whole) > 1e-4

    adapters.activate_training("learner")
    assert farthest(seen(pipeline), whole) == 0


def test_the_next_training_drops_as_the_first_did(pipeline: Any, adapters: Adapters) -> None:
    places = adapters.targets(TrainingSettings(rank=2, alpha=2.0))
    for _ in range(2):
        begin(adapters, places, dropout=0.5, seed=0)
        adapters.activate_training("learner")
        dropouts = [layer.lora_dropout["learner"] for layer in layers(pipeline)]
        assert not any(dropout.training for dropout in dropouts)

        adapters.activate_training("learner", dropout=True)

        assert all(dropout.training for dropout in dropouts)
        with adapters.try_adapter(Adapter(changes={})):
            pass
        adapters.activate_training("learner")
        assert not any(dropout.training for dropout in dropouts)
        adapters.activate_training("learner", dropout=True)
        adapters.end_training("learner")


def test_gradients_reach_what_learns_and_nothing_else(
    pipeline: Any, adapters: Adapters, tmp_path: Path
) -> None:
    use(adapters, store(tmp_path, kohya(make_lora(pipeline, of=attention))))
    places = adapters.targets(TrainingSettings(rank=2, alpha=2.0))
    parameters = begin(adapters, places, kind=AdapterKind.DORA, seed=0)
    adapters.activate(())
    adapters.activate_training("learner")
    layer = next(layer for layer in layers(pipeline) if "learner" in layer.lora_A)

    layer(torch.ones(1, layer.in_features)).square().sum().backward()

    with_gradients = [parameter for parameter in pipeline.unet.parameters() if parameter.grad is not None]
    assert {id(tensor) for tensor in with_gradients} == {id(parameter) for parameter in parameters[:3]}
    assert with_gradients[0].dtype == torch.float32


def test_what_learns_gets_the_same_gradients_whether_modules_of_one_shape_are_stacked_or_not(
    original: Any, pipeline: Any, adapters: Adapters, tmp_path: Path
) -> None:
    second = copies(original).one()
    alone, settings = (
        Adapters(second, tmp_path, PLENTY),
        TrainingSettings(rank=2, alpha=3.0, text_encoder=True),
    )
    options: dict[str, Any] = {"seed": 0}
    stacked = begin(adapters, adapters.targets(settings), **options)
    # In half precision nothing is stacked; here it is computed in float32 all the same.
    single = begin(alone, alone.targets(settings), **options, precision=torch.bfloat16)
    assert len(stacked) < len(single) / 4
    draw = torch.Generator().manual_seed(1)
    learnt = {
        place: replace(change, up=0.2 * torch.randn(change.up.shape, generator=draw))
        for place, change in low_rank(adapters.trained_changes("learner")).items()
    }

    for holder, of, parameters in ((adapters, pipeline, stacked), (alone, second, single)):
        holder.restore_training("learner", learnt)
        with holder.training_pass("learner"):
            errors = [answer.square().sum() for answer in answered(of)]
            gradients = torch.autograd.grad(torch.stack(errors).sum(), parameters)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.data.copy_(gradient)

    # What is told module by module are the gradients now.
    single_changes = low_rank(alone.trained_changes("learner"))
    for place, change in low_rank(adapters.trained_changes("learner")).items():
        for ours, other in ((change.down, single_changes[place].down), (change.up, single_changes[place].up)):
            assert (ours - other).norm() < 0.01 * other.norm()


def test_what_is_optimized_stays_what_the_layers_tell_when_other_loras_come_and_go(
    pipeline: Any, adapters: Adapters, tmp_path: Path
) -> None:
    places = adapters.targets(TrainingSettings(rank=2, alpha=2.0))
    parameters = begin(adapters, places, seed=0)
    served = store(tmp_path, kohya(make_lora(pipeline, of=attention)))
    use(adapters, served)
    adapters.unload(served.sha256)
    with adapters.training_pass("learner"):
        gradients = torch.autograd.grad(answered(pipeline)[0].square().sum(), parameters)

    for parameter in parameters:
        parameter.data.fill_(0.5)

    assert all(of_up.any() for of_up in gradients[1::2])
    for change in low_rank(adapters.trained_changes("learner")).values():
        assert (change.down == 0.5).all()
        assert (change.up == 0.5).all()


def test_in_low_precision_training_keeps_float32(pipeline: Any, tmp_path: Path) -> None:
    for component in (pipeline.unet, pipeline.text_encoder, pipeline.text_encoder_2):
        component.to(torch.bfloat16)
    adapters = Adapters(pipeline, tmp_path, PLENTY)
    places = adapters.targets(TrainingSettings(rank=2, alpha=2.0))

    parameters = begin(adapters, places, kind=AdapterKind.DORA, seed=0)
    small = parameters[0].detach().clone()

    assert {parameter.dtype for parameter in parameters} == {torch.float32}
    assert not torch.equal(small, small.bfloat16().float())
    adapters.activate_training("learner")
    layer = next(layers(pipeline))
    assert layer(torch.ones(1, layer.in_features, dtype=torch.bfloat16)).dtype == torch.bfloat16
