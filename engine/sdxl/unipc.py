"""UniPC with its coefficients on the CPU, so that a step never waits for the device."""

from collections.abc import Sequence
from typing import Any

import torch
from diffusers import UniPCMultistepScheduler
from torch import Tensor


class HostUniPC(UniPCMultistepScheduler):  # type: ignore[misc]
    """UniPC (Zhao et al. 2023, arXiv 2302.04867) with the same numbers as diffusers' own on a CPU.

    On a GPU diffusers copies sigmas there and solves for the coefficients there in every step, and each of
    these waits for the device. The coefficients depend on the schedule alone.
    """

    def multistep_uni_p_bh_update(
        self, model_output: Tensor, *args: Any, sample: Tensor, order: int, **kwargs: Any
    ) -> Tensor:
        """UniP's sample at the next timestep."""
        if not self._has_host_coefficients:
            own: Tensor = super().multistep_uni_p_bh_update(
                model_output, *args, sample=sample, order=order, **kwargs
            )
            return own
        start = self.step_index
        ratios, matrix, right = self._equations(start, order)
        # For order 2 the paper has 1/2 in place of the solution (appendix F).
        solution = [torch.tensor(0.5)] if order == 2 else torch.linalg.solve(matrix[:-1, :-1], right[:-1])
        return self._update(sample, start, self._weighted_differences(ratios, list(solution)))

    def multistep_uni_c_bh_update(
        self,
        this_model_output: Tensor,
        *args: Any,
        last_sample: Tensor,
        this_sample: Tensor,
        order: int,
        **kwargs: Any,
    ) -> Tensor:
        """UniC's correction of this timestep's sample, with the model's output for it."""
        if not self._has_host_coefficients:
            own: Tensor = super().multistep_uni_c_bh_update(
                this_model_output,
                *args,
                last_sample=last_sample,
                this_sample=this_sample,
                order=order,
                **kwargs,
            )
            return own
        start = self.step_index - 1
        ratios, matrix, right = self._equations(start, order)
        *solution, last = [torch.tensor(0.5)] if order == 1 else list(torch.linalg.solve(matrix, right))
        difference = self._weighted_differences(ratios, solution)
        return self._update(
            last_sample, start, difference + last * (this_model_output - self.model_outputs[-1])
        )

    @property
    def _has_host_coefficients(self) -> bool:
        """Whether its config is the usual one, predicting x0, which these formulas are for."""
        return bool(self.predict_x0 and not self.solver_p and self.config.solver_type == "bh2")

    def _logarithms(self, position: int) -> Tensor:
        """Lambda, the logarithm of alpha / sigma at this position of the schedule."""
        alpha, sigma = self._sigma_to_alpha_sigma_t(self.sigmas[position])
        return torch.log(alpha) - torch.log(sigma)

    def _step_size(self, start: int) -> Tensor:
        """-h of the step from this position to the next."""
        return -(self._logarithms(start + 1) - self._logarithms(start))

    def _equations(self, start: int, order: int) -> tuple[list[Tensor], Tensor, Tensor]:
        """The ratios r_k of earlier steps, and the matrix and right side that the weights a_k solve."""
        step = self._step_size(start)
        ratios = [
            (self._logarithms(start - nth) - self._logarithms(start)) / -step for nth in range(1, order)
        ]
        points = torch.stack([*ratios, torch.ones(())])
        phi, factorial = torch.expm1(step) / step - 1, 1
        rows, right = [], []
        for power in range(1, order + 1):
            rows.append(torch.pow(points, power - 1))
            right.append(phi * factorial / torch.expm1(step))
            factorial *= power + 1
            phi = phi / step - 1 / factorial
        return ratios, torch.stack(rows), torch.stack(right)

    def _weighted_differences(self, ratios: Sequence[Tensor], weights: Sequence[Tensor]) -> Tensor | float:
        """The sum of weights times earlier outputs' differences to the last, each by its ratio."""
        *earlier, last = self.model_outputs
        total: Tensor | float = 0.0
        for nth, (ratio, weight) in enumerate(zip(ratios, weights, strict=True), 1):
            term = weight * ((earlier[-nth] - last) / ratio)
            total = term if nth == 1 else total + term
        return total

    def _update(self, sample: Tensor, start: int, difference: Tensor | float) -> Tensor:
        """The sample after the step from this position, in the sample's own precision."""
        alpha, sigma = self._sigma_to_alpha_sigma_t(self.sigmas[start + 1])
        _, sigma_start = self._sigma_to_alpha_sigma_t(self.sigmas[start])
        growth = torch.expm1(self._step_size(start))
        plain = sigma / sigma_start * sample - alpha * growth * self.model_outputs[-1]
        updated: Tensor = plain - alpha * growth * difference
        return updated.to(sample.dtype)
