"""The optimizer of a training over the flat vectors of its adapter, with its state by parameter.

Saved states have an entry for each parameter of the adapter, as the states of older versions do.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from engine.lora.flat_factors import FlatFactors
from engine.messages import Optimizer, TrainingSettings
from engine.training.optimizers import ELEMENTWISE, FACTORED, Group, make_optimizer
from engine.training.prodigy_state import convert_prodigyopt, is_prodigyopt

State = dict[str, Any]


class FlatOptimizer:
    """The optimizer that the settings name. `optimizer`: torch's own."""

    def __init__(
        self, settings: TrainingSettings, groups: Sequence[Group], flat: FlatFactors, tokens: Group
    ) -> None:
        """groups: of the adapter's parameters, as they were flattened. Raises InvalidRequest."""
        self._settings = settings
        self._layout = []
        chosen = []
        for number, (group, vector) in enumerate(zip(groups, flat.vectors, strict=True)):
            if not group.parameters:
                continue
            parameters = _parameters(settings.optimizer, group, flat, number)
            is_flat = settings.optimizer in ELEMENTWISE
            self._layout.append(Spread(shapes=[each.shape for each in parameters], is_flat=is_flat))
            chosen.append(replace(group, parameters=[vector] if is_flat else parameters))
        if tokens.parameters:
            chosen.append(tokens)
            own = tuple(each.shape for each in tokens.parameters)
            self._layout.append(Spread(shapes=own, is_flat=False))
        self.optimizer = make_optimizer(settings, chosen)
        self._rates = [group["lr"] for group in self.optimizer.param_groups]

    def set_rates(self, factor: float) -> None:
        """Set the learning rates to the settings' times this factor."""
        for group, rate in zip(self.optimizer.param_groups, self._rates, strict=True):
            group["lr"] = rate * factor

    @property
    def averages(self) -> bool:
        """Whether the optimizer itself keeps an average of the steps."""
        return self._settings.optimizer is Optimizer.SCHEDULE_FREE

    def average(self) -> None:
        """Set the parameters to the average of the steps, where the optimizer keeps one."""
        if self.averages:
            self.optimizer.eval()

    def train(self) -> None:
        """Go on after `average`. The parameters have been set as they were before it."""
        for group in self.optimizer.param_groups if self.averages else ():
            group["train_mode"] = True

    def to_state(self) -> State:
        """The optimizer's state, for `restore`, with an entry for each parameter."""
        state: State = self.optimizer.state_dict()
        return split_state(state, self._layout)

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restore what `to_state` returned. Raises ValueError where it is of other parameters."""
        if self._settings.optimizer is Optimizer.PRODIGY and is_prodigyopt(state):
            state = convert_prodigyopt(state, self.optimizer.param_groups[0])
        self.optimizer.load_state_dict(join_state(state, self._layout))


def _parameters(optimizer: Optimizer, group: Group, flat: FlatFactors, number: int) -> list[Tensor]:
    """The parameters of this group that the optimizer's state is saved by."""
    return list(flat.matrices(number) if optimizer in FACTORED else group.parameters)


@dataclass(frozen=True, kw_only=True)
class Spread:
    """The shapes of the parameters of a group. is_flat: they are one vector in the optimizer."""

    shapes: Sequence[torch.Size]
    is_flat: bool

    @property
    def sizes(self) -> list[int]:
        return [math.prod(shape) for shape in self.shapes]


def split_state(state: Mapping[str, Any], layout: Sequence[Spread]) -> State:
    """The optimizer's state with an entry for each parameter in place of those of vectors."""
    entries: dict[int, State] = {}
    groups: list[State] = []
    for group, spread in zip(state["param_groups"], layout, strict=True):
        first = sum(len(before["params"]) for before in groups)
        params = list(range(first, first + len(spread.shapes)))
        own = [state["state"].get(number) for number in group["params"]]
        parts = _split(own[0], spread) if spread.is_flat else own
        entries |= {number: part for number, part in zip(params, parts, strict=True) if part is not None}
        groups.append({**group, "params": params})
    return {**state, "state": entries, "param_groups": groups}


def join_state(state: Mapping[str, Any], layout: Sequence[Spread]) -> State:
    """The optimizer's state with the entries of vectors, of what `split_state` returned.

    Raises ValueError where it is of other parameters.
    """
    entries: dict[int, State] = {}
    groups: list[State] = []
    if len(state["param_groups"]) != len(layout):
        raise ValueError("the state has other groups")
    for group, spread in zip(state["param_groups"], layout, strict=True):
        own = [state["state"].get(number) for number in group["params"]]
        if len(own) != len(spread.shapes):
            raise ValueError("the state has another number of parameters")
        first = sum(len(before["params"]) for before in groups)
        whole = [_join(own, spread)] if spread.is_flat else own
        params = list(range(first, first + len(whole)))
        entries |= {number: part for number, part in zip(params, whole, strict=True) if part is not None}
        groups.append({**group, "params": params})
    return {**state, "state": entries, "param_groups": groups}


def _split(entry: Mapping[str, Any] | None, spread: Spread) -> list[State | None]:
    """The entries of the vector's parameters."""
    parts: list[State | None] = [None if entry is None else dict(entry) for _ in spread.shapes]
    for name, value in (entry or {}).items():
        if isinstance(value, Tensor) and value.numel() == sum(spread.sizes):
            pieces = torch.split(value, spread.sizes)
            for part, piece, shape in zip(parts, pieces, spread.shapes, strict=True):
                if part is not None:
                    part[name] = piece.view(shape)
    return parts


def _join(entries: Sequence[Mapping[str, Any] | None], spread: Spread) -> State | None:
    """The vector's entry. Parameters that never had a gradient have none of their own, and zeros in it."""
    present = [(entry, size) for entry, size in zip(entries, spread.sizes, strict=True) if entry]
    if not present:
        return None
    whole = dict(present[0][0])
    for name, value in whole.items():
        if not isinstance(value, Tensor) or value.numel() != present[0][1]:
            continue
        pieces = [
            entry[name].flatten() if entry else torch.zeros(size, dtype=value.dtype)
            for entry, size in zip(entries, spread.sizes, strict=True)
        ]
        if [piece.numel() for piece in pieces] != spread.sizes:
            raise ValueError("the state has parameters of other shapes")
        whole[name] = torch.cat(pieces)
    return whole
