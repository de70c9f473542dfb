"""The changes of an adapter as pictures have them: brought onto the device and checked there, in steps."""

import itertools
from collections.abc import Callable, Generator

import torch
from torch import Tensor

from engine.lora.adapter_file import Adapter, Change
from engine.lora.key_names import Place
from engine.lora.low_rank import flatten_weight
from engine.lora.merged_weights import ServedChange, serve_change
from engine.messages import InvalidRequest

TOLERANCE = 16  # rounding steps of the model's precision between the file's effect and what is served
MODULES = 32  # in a step: of full-size SDXL about 50 ms on a CPU


@torch.no_grad()
def serve_in_steps(
    adapter: Adapter, weight_of: Callable[[Place], Tensor], lora: str
) -> Generator[None, None, dict[Place, ServedChange]]:
    """The changes of this adapter on the device, in the modules' precision, a few at each step.

    weight_of: the base's weight of a module. lora: opens the sentence of a refusal. Raises InvalidRequest
    where a change is not what the file says. The device is asked for that once a step.
    """
    served: dict[Place, ServedChange] = {}
    items = iter(adapter.changes.items())
    while batch := list(itertools.islice(items, MODULES)):
        faithful = []
        for place, change in batch:
            weight = weight_of(place)
            served[place] = serve_change(change, weight, weight.dtype)
            faithful.append(is_faithful(weight, served[place], change).to(weight.device))
        for (place, _), is_same in zip(batch, torch.stack(faithful).tolist(), strict=True):
            if not is_same:
                precision = str(weight_of(place).dtype).removeprefix("torch.")
                raise InvalidRequest(
                    f"{lora} cannot be applied exactly. In {precision} it loses too much of {place}."
                )
        yield
    return served


def is_faithful(weight: Tensor, served: ServedChange, change: Change) -> Tensor:
    """Whether what is served changes a random vector as the file says, () bool on the weight's device.

    weight: the module's. The error may be as large as the rounding of the factors, or of the module's own
    weights.
    """
    precision = torch.float32 if weight.device.type == "mps" else torch.float64  # which MPS lacks
    matrix = flatten_weight(weight).to(precision)
    generator = torch.Generator().manual_seed(0)
    probe = torch.randn(matrix.shape[1], generator=generator).to(weight.device, precision, non_blocking=True)
    exact = serve_change(change, weight, precision)
    expected = exact.added_output(matrix, probe)
    actual = served.to(precision).added_output(matrix, probe)
    error, rounding = (expected - actual).norm(), torch.finfo(weight.dtype).eps
    # A comparison with NaN is false, so an overflow is not faithful.
    is_same: Tensor = error <= torch.maximum(
        TOLERANCE * rounding * expected.norm(), rounding * (matrix @ probe).norm()
    )
    return is_same
