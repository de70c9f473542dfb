"""The numbers of an adapter in training in one float32 vector, and their gradients in another.

Each parameter is a view of the vector. So an optimizer's step, the clipping of gradients and the copy to the
number format of the forward pass are a few operations, however many modules the adapter changes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from engine.messages import Part


@dataclass(frozen=True, kw_only=True)
class TrainedParameter:
    """A parameter of an adapter in training. is_up: it is B, the second factor."""

    parameter: nn.Parameter
    part: Part
    is_up: bool


@dataclass(frozen=True, kw_only=True)
class Factor:
    """A parameter as the forward pass reads it, and what its gradient is added to, both of its shape."""

    value: Tensor
    gradient: Tensor


class FlatFactors:
    """The parameters of one adapter in training, in groups of the optimizer.

    `vectors`: the master, a parameter for each group, in float32 with its gradient.
    """

    def __init__(self, groups: Sequence[Sequence[Tensor]], precision: torch.dtype) -> None:
        """Make the parameters, float32 on one device, views. precision: of the forward pass.

        In float32 the forward pass reads the master itself.
        """
        self._groups = [list(group) for group in groups]
        parameters = [parameter for group in self._groups for parameter in group]
        sizes = [parameter.numel() for parameter in parameters]
        device = parameters[0].device if parameters else None
        self._master = torch.empty(sum(sizes), device=device)
        self._gradient = torch.zeros_like(self._master)
        self._is_half = precision is not torch.float32
        self._value = self._master.to(precision) if self._is_half else self._master
        self._value_gradient = self._gradient.to(precision) if self._is_half else self._gradient
        ends = [0]
        for parameter, size in zip(parameters, sizes, strict=True):
            ends.append(ends[-1] + size)
            view = self._master[ends[-2] : ends[-1]].view(parameter.shape)
            view.copy_(parameter.detach())
            parameter.data = view
            parameter.grad = self._gradient[ends[-2] : ends[-1]].view(parameter.shape)
        self._spans = {
            id(parameter): span for parameter, span in zip(parameters, pairwise(ends), strict=True)
        }
        self.vectors = [self._vector(group) for group in self._groups]
        self.write_values()

    def _vector(self, group: Sequence[Tensor]) -> nn.Parameter:
        start, end = (self._spans[id(group[0])][0], self._spans[id(group[-1])][1]) if group else (0, 0)
        vector = nn.Parameter(self._master[start:end])
        vector.grad = self._gradient[start:end]
        return vector

    def factor(self, parameter: Tensor) -> Factor:
        """What stands for this parameter, one of the groups', in a forward and backward pass."""
        start, end = self._spans[id(parameter)]
        if not self._is_half:
            return Factor(value=parameter, gradient=self._gradient[start:end].view(parameter.shape))
        value = self._value[start:end].view(parameter.shape).detach().requires_grad_()
        value.grad = self._value_gradient[start:end].view(parameter.shape)
        return Factor(value=value, gradient=value.grad)

    def matrices(self, group: int) -> Iterator[nn.Parameter]:
        """The parameters of this group module by module, for optimizers that tell rows from columns."""
        for parameter in self._groups[group]:
            start, end = self._spans[id(parameter)]
            # A stack holds a matrix of each module, and magnitudes are no matrix.
            shape = {1: (1, -1), 3: parameter.shape}.get(parameter.ndim, (1, parameter.shape[0], -1))
            for value, gradient in zip(
                self._master[start:end].view(shape), self._gradient[start:end].view(shape), strict=True
            ):
                matrix = nn.Parameter(value)
                matrix.grad = gradient
                yield matrix

    @torch.no_grad()
    def write_values(self) -> None:
        """Copy the master to what the forward pass reads, after each change of it."""
        if self._is_half:
            self._value.copy_(self._master)

    @torch.no_grad()
    def collect_gradients(self) -> None:
        """Add the gradients of a backward pass to the master's."""
        if self._is_half:
            self._gradient.add_(self._value_gradient)
            self._value_gradient.zero_()

    def zero_gradients(self) -> None:
        """Set all gradients to zero."""
        self._gradient.zero_()
        if self._is_half:
            self._value_gradient.zero_()
