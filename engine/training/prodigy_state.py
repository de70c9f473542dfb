"""States of Prodigy as the package prodigyopt saved them, for the same optimizer of pytorch-optimizer.

Older versions of the engine trained with prodigyopt 1.1. Both compute the same steps.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

NAMES = {"use_bias_correction": "bias_correction", "decouple": "weight_decouple"}  # prodigyopt's: here
SAME = ("lr", "betas", "beta3", "eps", "weight_decay", "d", "d0", "d_max", "d_coef", "growth_rate")
LATER = ("d_hat", "safeguard_warmup")  # which a group may lack


def is_prodigyopt(state: Mapping[str, Any]) -> bool:
    """Whether prodigyopt saved this state of an optimizer."""
    return all("k" in group and "use_bias_correction" in group for group in state["param_groups"])


def convert_prodigyopt(state: Mapping[str, Any], usual: Mapping[str, Any]) -> dict[str, Any]:
    """The state as pytorch-optimizer has it. usual: a parameter group there, with its settings."""
    return {
        "state": {number: _convert_entry(entry) for number, entry in state["state"].items()},
        "param_groups": [_convert_group(group, usual) for group in state["param_groups"]],
    }


def _convert_group(group: Mapping[str, Any], usual: Mapping[str, Any]) -> dict[str, Any]:
    own = {name: group[name] for name in (*SAME, *LATER) if name in group}
    renamed = {new: group[old] for old, new in NAMES.items()}
    numerator = torch.tensor([float(group["d_numerator"])])
    # Its count of steps is of those done, and here it is of the next.
    return {
        **usual,
        **own,
        **renamed,
        "params": group["params"],
        "step": group["k"] + 1,
        "d_numerator": numerator,
    }


def _convert_entry(entry: Mapping[str, Any]) -> dict[str, Any]:
    """A parameter's entry. The start of a parameter that began as zeros is a single zero in it."""
    shape = entry["exp_avg"].shape
    numbers: dict[str, Tensor] = {name: entry[name] for name in ("s", "p0", "exp_avg", "exp_avg_sq")}
    return {
        name: value.expand(shape) if value.ndim == 0 else value.view(shape) for name, value in numbers.items()
    }
