"""A linear module with low-rank adapters, which are added to its weight where that is less work.

PEFT's layer applies the module, and then both factors of each adapter, to everything that comes in. To add
their products to the weight first, W + sum of s B A, and to apply that once, is less where much comes in at
once; in training, where the gradient of the whole weight is then needed, where the module is small as well:
in the model that ships.
"""

from typing import Any

import torch
from peft.tuners.lora import Linear
from torch import Tensor, nn

# Multiplications in the time of what adding saves beside the products, measured (docs/measurements.md): the
# calls themselves, and to scale and add each number of the answer.
CALLS, NUMBER = 2**20, 160


class LowRankLinear(Linear):  # type: ignore[misc]
    """PEFT's layer; what it answers is the same but for the rounding of float32."""

    def forward(self, x: Tensor, *told: Any, **options: Any) -> Tensor:
        """x: (..., in); returns (..., out)."""
        if told or options or not self._adds(x):
            answer: Tensor = super().forward(x, *told, **options)
            return answer
        weight = self.base_layer.weight
        for name in self._active_adapter:
            up, down = self.lora_B[name].weight, self.lora_A[name].weight
            weight = torch.addmm(weight, up, down, alpha=self.scaling[name])
        return nn.functional.linear(x, weight, self.base_layer.bias)

    def _adds(self, x: Tensor) -> bool:
        """Whether the adapters that count may be added to the weight, and are worth it.

        Half precision would round what they change to the last bits of the weight.
        """
        weight = self.base_layer.weight
        if not weight.dtype is x.dtype is torch.float32 or torch.is_autocast_enabled(x.device.type):
            return False
        if self.disable_adapters or self.merged:
            return False
        return all(self._plain(name) and self._less_work(name, x) for name in self._active_adapter)

    def _plain(self, name: str) -> bool:
        """Whether it is no DoRA, and nothing of what comes in is dropped for it."""
        dropout = self.lora_dropout[name]
        # One that drops nothing is in training all the same when its adapter came to a layer that was there.
        drops = dropout.training and not isinstance(dropout, nn.Identity)
        return name not in self.lora_variant and not drops

    def _less_work(self, name: str, x: Tensor) -> bool:
        """Counted in multiplications."""
        rank, inside, outside = self.r[name], self.in_features, self.out_features
        rows = x.numel() // inside
        apart, added = rows * rank * (inside + outside), rank * inside * outside
        if torch.is_grad_enabled() and self.lora_A[name].weight.requires_grad:
            # Backward does both factors twice again; of a sum it also needs the gradient of the whole weight.
            apart, added = 3 * apart, 3 * added + rows * inside * outside
        return bool(added < apart + CALLS + NUMBER * rows * outside)
