"""A mix of adapters merged into the weights of SDXL's modules, in place.

Modules and weight tensors stay the same objects while the engine lives, and a mix changes only the numbers in
them. So whatever was traced or compiled once serves every mix, and a forward costs the same with any number
of adapters. The base's numbers of a module that a mix changes are kept beside it until the mix is gone.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from engine.lora.adapter_file import LowRank
from engine.lora.dora import dora_gain
from engine.lora.key_names import Place
from engine.lora.low_rank import flatten_weight, unflatten_weight


class NotFinite(Exception):
    """A merged weight is not a number, or too large for the model's precision."""


@dataclass(frozen=True, kw_only=True)
class ServedChange:
    """One module's change as it is merged, on the device, of weights as `flatten_weight` has them.

    down: (rank, in); up: (out, rank); scale: alpha / rank. above_one: of a DoRA, its gain - 1, which is finer
    in low precision than the gain: (out, 1), or (1, in) with `by_input`.
    """

    down: Tensor
    up: Tensor
    scale: float
    above_one: Tensor | None = None
    by_input: bool = False

    @classmethod
    def of(cls, change: LowRank, weight: Tensor, precision: torch.dtype) -> "ServedChange":
        """This change of a module with this weight (out, in, ...), on the weight's device."""
        above_one = None
        if change.magnitude is not None:
            above_one = (dora_gain(weight, change) - 1).to(weight.device, precision)
            kernel = weight[0, 0].numel()
            above_one = above_one.repeat(kernel)[None] if change.by_input else above_one[:, None]
        down, up = (
            flatten_weight(factor.to(weight.device, precision)) for factor in (change.down, change.up)
        )
        return cls(
            down=down,
            up=up,
            scale=change.alpha / change.rank,
            above_one=above_one,
            by_input=change.by_input,
        )

    def to(self, precision: torch.dtype) -> "ServedChange":
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


class MergedWeights:
    """The weights of these modules: the base's, or with a mix merged into them."""

    def __init__(self, modules: Mapping[Place, nn.Module]) -> None:
        self._weights: dict[Place, Tensor] = {
            place: module.get_parameter("weight").detach() for place, module in modules.items()
        }
        self._base: dict[Place, Tensor] = {}  # of the modules with something merged

    def base(self, place: Place) -> Tensor:
        """The base's weight of this module, whatever is merged."""
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
            for place, weighted in changes.items():
                self._write(place, weighted)
            if not checked and not self._is_finite(changes):
                raise NotFinite
        except BaseException:
            self._restore(list(self._base))
            raise

    def _write(self, place: Place, weighted: Sequence[tuple[ServedChange, float]]) -> None:
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
        sums = [self._weights[place].sum(dtype=torch.float32) for place in places]
        return not sums or bool(torch.stack(sums).isfinite().all())


def add_changes(base: Tensor, weighted: Sequence[tuple[ServedChange, float]], out: Tensor) -> None:
    """Write base (out, in) with these changes, each times its weight, to `out`, rounded only once."""
    if len(weighted) == 1 and weighted[0][0].above_one is None:
        change, weight = weighted[0]
        torch.addmm(base, change.up, change.down, alpha=weight * change.scale, out=out)
        return
    merged, changes = base.float(), [(change.to(torch.float32), weight) for change, weight in weighted]
    for change, weight in changes:
        if change.above_one is not None:
            merged = merged + weight * change.above_one * base
    ups, downs = zip(*(change.factors(weight) for change, weight in changes), strict=True)
    out.copy_(torch.addmm(merged, torch.cat(ups, 1), torch.cat(downs)))
