"""An adapter's numbers are optimized as one vector, and saved parameter by parameter as before."""

import copy
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from engine.lora.flat_factors import FlatFactors
from engine.messages import Optimizer, TrainingSettings
from engine.training.flat_optimizer import FlatOptimizer
from engine.training.optimizers import ELEMENTWISE, Group, make_optimizer
from engine.training.state_file import pack_state, unpack_state

SHAPES = ((3, 2, 8), (3, 4, 2), (2, 8), (4, 2))  # a stack's factors, and a module's
NO_TOKENS = Group(parameters=(), rate=0.0, decay=0.0)


def make_group() -> Group:
    torch.manual_seed(0)
    return Group(parameters=[nn.Parameter(torch.randn(shape)) for shape in SHAPES], rate=1e-2, decay=1e-2)


def set_gradients(group: Group, step: int) -> None:
    torch.manual_seed(step)
    for parameter in group.parameters:
        gradient = torch.randn(parameter.shape)
        if parameter.grad is None:
            parameter.grad = gradient
        else:
            parameter.grad.copy_(gradient)


def gap(group: Group, other: Group) -> float:
    pairs = zip(group.parameters, other.parameters, strict=True)
    return max(float((own - its).detach().abs().max()) for own, its in pairs)


def flat_optimizer(settings: TrainingSettings, group: Group) -> tuple[FlatFactors, FlatOptimizer]:
    flat = FlatFactors([group.parameters], torch.float32)
    return flat, FlatOptimizer(settings, [group], flat, NO_TOKENS)


RATES = {Optimizer.PRODIGY: 1.0, Optimizer.ADAMW_8BIT: 1e-3}
SETTINGS = [
    TrainingSettings(optimizer=optimizer, learning_rate=RATES.get(optimizer, 1e-2)) for optimizer in Optimizer
]


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda settings: str(settings.optimizer))
def test_a_state_goes_through_its_file_and_on_as_if_nothing_had_happened(settings: TrainingSettings) -> None:
    group, resumed = make_group(), make_group()
    _, optimizer = flat_optimizer(settings, group)
    for step in range(3):
        set_gradients(group, step)
        optimizer.optimizer.step()
    _, other = flat_optimizer(settings, resumed)
    for own, its in zip(resumed.parameters, group.parameters, strict=True):
        own.data.copy_(its.data)

    other.restore(unpack_state(pack_state(optimizer.to_state())))
    for running, of in ((optimizer, group), (other, resumed)):
        set_gradients(of, 3)
        running.optimizer.step()

    assert gap(group, resumed) == 0
    assert gap(group, make_group()) > 0


def test_a_state_of_prodigyopt_goes_on_where_it_was() -> None:
    """Three more steps of that package are in the file, after 30 of a module's factors and a token."""
    saved = unpack_state((Path(__file__).parents[1] / "data" / "prodigyopt_state.safetensors").read_bytes())
    parameters = [nn.Parameter(tensor.clone()) for tensor in saved["before"]]
    group = Group(parameters=parameters[:2], rate=1.0, decay=1e-2)
    token = Group(parameters=parameters[2:], rate=1.0, decay=0.0)
    settings = TrainingSettings(optimizer=Optimizer.PRODIGY, learning_rate=1.0)
    flat = FlatFactors([group.parameters], torch.float32)
    optimizer = FlatOptimizer(settings, [group], flat, token)

    optimizer.restore(saved["optimizer"])
    for step in range(30, 33):
        torch.manual_seed(100 + step)
        for parameter in parameters:
            gradient = torch.randn(parameter.shape) * 1e-2 + 0.02 * parameter.detach()
            if parameter.grad is None:
                parameter.grad = gradient
            else:
                parameter.grad.copy_(gradient)
        optimizer.optimizer.step()

    changes = [
        (after - before, parameter.detach() - before)
        for after, before, parameter in zip(saved["after"], saved["before"], parameters, strict=True)
    ]
    assert all((expected - actual).norm() < 1e-2 * expected.norm() for expected, actual in changes)


def test_of_factored_moments_each_module_has_its_own() -> None:
    group = make_group()
    _, optimizer = flat_optimizer(TrainingSettings(optimizer=Optimizer.ADAFACTOR), group)
    set_gradients(group, 0)

    optimizer.optimizer.step()

    rows = [tuple(entry["exp_avg_sq_row"].shape) for entry in optimizer.optimizer.state.values()]
    assert rows == [(2,)] * 3 + [(4,)] * 3 + [(2,), (4,)]


ELEMENTWISE_SETTINGS = [settings for settings in SETTINGS if settings.optimizer in ELEMENTWISE]


@pytest.mark.parametrize("settings", ELEMENTWISE_SETTINGS, ids=lambda settings: str(settings.optimizer))
def test_a_state_that_was_saved_parameter_by_parameter_goes_on_as_one_vector(
    settings: TrainingSettings,
) -> None:
    before, group = make_group(), make_group()
    by_parameter = make_optimizer(settings, [before])
    for step in range(3):
        set_gradients(before, step)
        by_parameter.step()
    _, optimizer = flat_optimizer(settings, group)
    for own, its in zip(group.parameters, before.parameters, strict=True):
        own.data.copy_(its.data)

    optimizer.restore(copy.deepcopy(by_parameter.state_dict()))
    saved = optimizer.to_state()
    for running, of in ((by_parameter, before), (optimizer.optimizer, group)):
        set_gradients(of, 3)
        running.step()

    assert gap(group, before) <= 1e-6
    assert saved["state"].keys() == by_parameter.state_dict()["state"].keys()
    for number, shape in enumerate(SHAPES):
        for state in (saved, optimizer.to_state()):
            vectors = [
                each for each in state["state"][number].values() if torch.is_tensor(each) and each.ndim
            ]
            assert vectors
            assert {each.shape for each in vectors} == {shape}


def test_a_state_of_other_parameters_is_refused() -> None:
    group = make_group()
    _, optimizer = flat_optimizer(SETTINGS[0], group)
    set_gradients(group, 0)
    optimizer.optimizer.step()
    state = optimizer.to_state()
    state["param_groups"][0]["params"].pop()

    with pytest.raises(ValueError, match="number of parameters"):
        optimizer.restore(state)


def test_eight_bits_and_their_blocks_stay_within_a_module() -> None:
    """A vector would have blocks that reach from one module into the next."""
    group = replace(make_group(), parameters=[nn.Parameter(torch.zeros(64, 64 + n)) for n in range(2)])
    _, optimizer = flat_optimizer(TrainingSettings(optimizer=Optimizer.ADAMW_8BIT), group)
    set_gradients(group, 0)

    optimizer.optimizer.step()

    entries = optimizer.optimizer.state.values()
    assert [tuple(entry["state1"].shape) for entry in entries] == [(64, 64), (64, 65)]
