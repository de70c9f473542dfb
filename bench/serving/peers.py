"""diffusers' pipeline at its best in other ways: compiled, and with its UNet run by OpenVINO."""

import os
import shutil
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn

from engine.messages import EngineSettings
from engine.runners.openvino_graphs import import_openvino
from engine.sdxl.model import Model, load_model

COMPILERS = ("g++", "clang++")
ADDED = ("text_embeds", "time_ids")

Key = tuple[torch.Size, torch.Size]


def compiled_pipeline(settings: EngineSettings) -> Model | None:
    """The model with its UNet compiled whole; None where there is no compiler.

    On a CPU its weights are compiled in (freezing), as is fastest there. Each number of rows is compiled at
    its first forward, for half a minute or so.
    """
    model = load_model(settings)
    on_cpu = model.device.type == "cpu"
    if on_cpu and not any(map(shutil.which, (os.environ.get("CXX", ""), *COMPILERS))):
        return None
    options: dict[str, Any] = {"options": {"freezing": True}} if on_cpu else {"mode": "max-autotune"}
    model.base.unet.compile(dynamic=False, **options)
    return model


def openvino_pipeline(settings: EngineSettings) -> Model | None:
    """The model with its UNet run by OpenVINO in float32; None where that is not installed.

    OpenVINO's own pipeline (optimum-intel) wants an older transformers; its time is the UNet's as well.
    """
    model = load_model(settings)
    if find_spec("openvino") is None or model.device.type != "cpu":
        return None
    model.base.unet.forward = openvino_forward(model.base.unet)
    return model


class Flat(nn.Module):
    """A UNet's forward with tensors in a row as its inputs."""

    def __init__(self, unet: nn.Module) -> None:
        super().__init__()
        self.unet = unet
        self._run: Callable[..., Any] = unet.forward  # as it is now, and not what replaces it

    def forward(
        self, sample: Tensor, timestep: Tensor, hidden: Tensor, pooled: Tensor, ids: Tensor
    ) -> Tensor:
        added = dict(zip(ADDED, (pooled, ids), strict=True))
        output: Tensor = self._run(sample, timestep, hidden, added_cond_kwargs=added, return_dict=False)[0]
        return output


def openvino_forward(unet: nn.Module) -> Callable[..., tuple[Tensor]]:
    """A forward in the UNet's place. Each shape of inputs is converted at its first forward."""
    openvino: Any = import_openvino()
    flat, core, converted = Flat(unet), openvino.Core(), dict[Key, Any]()
    options = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": torch.get_num_threads()}

    def forward(
        sample: Tensor,
        timestep: Tensor,
        encoder_hidden_states: Tensor,
        added_cond_kwargs: dict[str, Tensor],
        **_: object,
    ) -> tuple[Tensor]:
        inputs = (
            sample,
            timestep.float().expand(len(sample)).contiguous(),
            encoder_hidden_states,
            *(added_cond_kwargs[name] for name in ADDED),
        )
        key = sample.shape, encoder_hidden_states.shape
        if key not in converted:
            model = openvino.convert_model(flat, example_input=inputs, input=[each.shape for each in inputs])
            converted[key] = core.compile_model(model, "CPU", options)
        return (torch.from_numpy(converted[key]([each.numpy() for each in inputs])[0]),)

    return forward
