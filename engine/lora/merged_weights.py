"""A mix of adapters merged into the weights of SDXL's modules, in place.

Modules and weight tensors stay the same objects while the engine lives, and a mix changes only the numbers in
them. So whatever was traced or compiled once serves every mix, and a forward costs the same with any number
of adapters. The base's numbers of a module that a mix changes are kept beside it until the mix is gone. A
module that holds its weight in few bits has its part of the mix beside, and adds it as it makes the weight.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor, nn

from engine.lora.adapter_file import Change, LowRank
from engine.lora.dora import dora_gain
from engine.lora.key_names import Place
from engine.lora.low_rank import flatten_weight, unflatten_weight
from engine.lora.lycoris_change import LycorisChange, lycoris_delta
from engine.messages import AdapterKind
from engine.sdxl.quantized_linear import QuantizedLinear


class NotFinite(Exception):
    """A merged weight is not a number, or too large for the model's precision."""


@dataclass(frozen=True, kw_only=True)
class ServedFactors:
    """One module's low-rank change as it is merged, on the device, of weights as `flatten_weight` has them.

    down: (rank, in); up: (out, rank); scale: alpha / rank. above_one: of a DoRA, its gain - 1, which is finer
    in low precision than the gain: (out, 1), or (1, in) with `by_input`.
    """

    down: Tensor
    up: Tensor
    scale: float
    above_one: Tensor | None = None
    by_input: bool = False

    @classmethod
    def of(cls, change: LowRank, weight: Tensor, precision: torch.dtype) -> "ServedFactors":
        """This change of a module with this weight (out, in, ...), on the weight's device."""
        above_one = gain_above_one(change, weight, precision)
        down, up = (
            flatten_weight(factor.to(weight.device, precision, non_blocking=True))
            for factor in (change.down, change.up)
        )
        return cls(
            down=down,
            up=up,
            scale=change.alpha / change.rank,
            above_one=above_one,
            by_input=change.by_input,
        )

    def to(self, precision: torch.dtype) -> "ServedFactors":
        """The same in another precision."""
        above_one = None if self.above_one is None else self.above_one.to(precision)
        return replace(self, down=self.down.to(precision), up=self.up.to(precision), above_one=above_one)

    def factors(self, weight: float) -> tuple[Tensor, Tensor]:
        """(up, down) at this weight of the adapter, so that their product is what is added to the weight."""
        up, down = weight * self.scale * self.up, self.down
        if self.above_one is None:
            return up, down
        return (up, down * (1 + self.above_one)) if self.by_input else (up * (1 + self.above_one), down)

    def added_output(self, weight: Tensor, x: Tensor) -> Tensor:
        """What it adds to weight @ x. weight: (out, in); x: (in,)."""
        up, down = self.factors(1.0)
        added = up @ (down @ x)
        if self.above_one is None:
            return added
        gained = weight @ (self.above_one[0] * x) if self.by_input else self.above_one[:, 0] * (weight @ x)
        return gained + added


@dataclass(frozen=True, kw_only=True)
class ServedLycoris:
    """One module's change of a kind of LyCORIS's as it is merged, on the device.

    tensors: in float32, or more precise in comparisons. shape: of the module's weight. above_one: as in
    ServedFactors.
    """

    kind: AdapterKind
    tensors: Mapping[str, Tensor]
    scale: float
    shape: torch.Size
    above_one: Tensor | None = None

    @classmethod
    def of(cls, change: LycorisChange, weight: Tensor, precision: torch.dtype) -> "ServedLycoris":
        """This change of a module with this weight (out, in, ...), on the weight's device."""
        precision = torch.promote_types(precision, torch.float32)
        return cls(
            kind=change.kind,
            tensors={name: tensor.to(weight.device, precision) for name, tensor in change.tensors.items()},
            scale=change.scale,
            shape=weight.shape,
            above_one=gain_above_one(change, weight, precision),
        )

    def to(self, precision: torch.dtype) -> "ServedLycoris":
        """The same in another precision, float32 at least."""
        precision = torch.promote_types(precision, torch.float32)
        above_one = None if self.above_one is None else self.above_one.to(precision)
        tensors = {name: tensor.to(precision) for name, tensor in self.tensors.items()}
        return replace(self, tensors=tensors, above_one=above_one)

    def added_weight(self, weight: Tensor) -> Tensor:
        """What it adds to this weight (out, in), as `flatten_weight` has it, in its tensors' precision."""
        precision = next(iter(self.tensors.values())).dtype
        weight = weight.to(precision)
        base = unflatten_weight(weight, self.shape)
        delta = flatten_weight(lycoris_delta(self.kind, self.tensors, self.scale, base))
        return delta if self.above_one is None else delta + self.above_one * (weight + delta)

    def added_output(self, weight: Tensor, x: Tensor) -> Tensor:
        """What it adds to weight @ x. weight: (out, in); x: (in,)."""
        return self.added_weight(weight) @ x


ServedChange = ServedFactors | ServedLycoris


def serve_change(change: Change, weight: Tensor, precision: torch.dtype) -> ServedChange:
    """This change of a module with this weight (out, in, ...), as it is merged, on the weight's device."""
    if isinstance(change, LycorisChange):
        return ServedLycoris.of(change, weight, precision)
    return ServedFactors.of(change, weight, precision)


def gain_above_one(change: Change, weight: Tensor, precision: torch.dtype) -> Tensor | None:
    """A DoRA's gain - 1 for a weight as `flatten_weight` has it; None where the change has no magnitudes."""
    if change.magnitude is None:
        return None
    above_one = (dora_gain(weight, change) - 1).to(weight.device, precision)
    kernel = weight[0, 0].numel()
    return above_one.repeat(kernel)[None] if change.by_input else above_one[:, None]


class MergedWeights:
    """The weights of these modules: the base's, or with a mix merged into them."""

    def __init__(self, modules: Mapping[Place, nn.Module]) -> None:
        self._quantized = {
            place: module for place, module in modules.items() if isinstance(module, QuantizedLinear)
        }
        self._weights: dict[Place, Tensor] = {
            place: module.get_parameter("weight").detach()
            for place, module in modules.items()
            if place not in self._quantized
        }
        self._base: dict[Place, Tensor] = {}  # of the modules with something merged

    def base(self, place: Place) -> Tensor:
        """The base's weight of this module, whatever is merged."""
        if place in self._quantized:
            return self._quantized[place].weight
        return self._base.get(place, self._weights[place])

    @torch.no_grad()
    def merge(self, mix: Sequence[tuple[Mapping[Place, ServedChange], float]], *, checked: bool) -> None:
        """Set the weights to the base's and these changes times these weights, in their order.

        checked: nothing needs to be checked. Raises NotFinite, and what a device without memory raises. The
        weights are the base's then.
        """
        changes: dict[Place, list[tuple[ServedChange, float]]] = defaultdict(list)
        for adapter, weight in mix:
            for place, change in adapter.items():
                changes[place].append((change, weight))
        try:
            self._restore([place for place in self._base if place not in changes])
            for place, module in self._quantized.items():
                if place not in changes:
                    module.change = None
            for place, weighted in changes.items():
                self._write(place, weighted)
            if not checked and not self._is_finite(changes):
                raise NotFinite
        except BaseException:
            self._restore(list(self._base))
            for module in self._quantized.values():
                module.change = None
            raise

    def _write(self, place: Place, weighted: Sequence[tuple[ServedChange, float]]) -> None:
        if place in self._quantized:
            self._quantized[place].change = partial(add_in_place, weighted=tuple(weighted))
            return
        weight = self._weights[place]
        if place not in self._base:
            self._base[place] = weight.clone()
        matrix = flatten_weight(weight)
        add_changes(flatten_weight(self._base[place]), weighted, out=matrix)
        if matrix.data_ptr() != weight.data_ptr():  # a convolution whose channels come first
            weight.copy_(unflatten_weight(matrix, weight.shape))

    def _restore(self, places: Sequence[Place]) -> None:
        for place in places:
            self._weights[place].copy_(self._base.pop(place))

    def _is_finite(self, places: Mapping[Place, object]) -> bool:
        """Whether all numbers of these weights are: their sums are not where one of them is not."""
        weights = (
            self._quantized[place].changed_weight() if place in self._quantized else self._weights[place]
            for place in places
        )
        sums = [weight.sum(dtype=torch.float32) for weight in weights]
        return not sums or bool(torch.stack(sums).isfinite().all())


def add_in_place(weight: Tensor, weighted: Sequence[tuple[ServedChange, float]]) -> None:
    """Add these changes, each times its weight, to a weight (out, in)."""
    add_changes(weight, weighted, out=weight)


def add_changes(base: Tensor, weighted: Sequence[tuple[ServedChange, float]], out: Tensor) -> None:
    """Write base (out, in) with these changes, each times its weight, to `out`, rounded only once."""
    first, weight = weighted[0]
    if len(weighted) == 1 and isinstance(first, ServedFactors) and first.above_one is None:
        torch.addmm(base, first.up, first.down, alpha=weight * first.scale, out=out)
        return
    merged, factors = base.float(), []
    for change, weight in weighted:
        if isinstance(change, ServedLycoris):
            merged = merged + weight * change.added_weight(base)
            continue
        precise = change.to(torch.float32)
        factors.append(precise.factors(weight))
        if precise.above_one is not None:
            merged = merged + weight * precise.above_one * base
    if factors:
        ups, downs = zip(*factors, strict=True)
        merged = torch.addmm(merged, torch.cat(ups, 1), torch.cat(downs))
    out.copy_(merged)
